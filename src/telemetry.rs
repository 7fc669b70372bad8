//! What the process says about itself while it runs: lines on stderr, text or JSON.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::FormatTime;

/// Starts logging; says what is wrong with the directives.
pub fn start(level: &str, json: bool) -> Result<(), String> {
    let filter = EnvFilter::try_new(level)
        .map_err(|error| format!("log.level = {level:?} is not understood: {error}"))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_timer(Rfc3339);
    let started = if json { log.json().try_init() } else { log.try_init() };
    started.map_err(|error| error.to_string())
}

/// Times as RFC 3339 with milliseconds, from the node's one clock.
struct Rfc3339;

impl FormatTime for Rfc3339 {
    fn format_time(&self, w: &mut tracing_subscriber::fmt::format::Writer<'_>) -> std::fmt::Result {
        match jiff::Timestamp::from_millisecond(crate::clock::now_ms()) {
            Ok(time) => write!(w, "{time:.3}"),
            Err(_) => Ok(()),
        }
    }
}
