//! How far something is that takes long, on the standard error: a line that is written over, or where nobody
//! looks at it a line now and then.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// A line of progress.
pub(crate) struct Progress {
    live: bool,
    began: Instant,
    shown: Option<Instant>,
}

impl Progress {
    pub(crate) fn begin() -> Progress {
        let live = std::io::stderr().is_terminal();
        Progress { live, began: Instant::now(), shown: None }
    }

    /// So much is done, of so much if that is known.
    pub(crate) fn show(&mut self, done: u64, total: Option<u64>, things: &str) {
        let every = Duration::from_millis(if self.live { 200 } else { 10_000 });
        let since = self.shown.unwrap_or(self.began);
        if since.elapsed() < every {
            return;
        }
        self.shown = Some(Instant::now());
        let rate = done as f64 / self.began.elapsed().as_secs_f64().max(0.001);
        let text = match total.filter(|total| *total > 0) {
            Some(total) => {
                let part = (done as f64 / total as f64).min(1.0);
                let filled = (part * 20.0) as usize;
                let bar = format!("{}{}", "=".repeat(filled), " ".repeat(20 - filled));
                format!("[{bar}] {:3.0} %  {done} of {total} {things}, {rate:.0}/s", part * 100.0)
            }
            None => format!("{done} {things}, {rate:.0}/s"),
        };
        let mut out = std::io::stderr().lock();
        // Nobody has to read it.
        let _ = match self.live {
            true => write!(out, "\r\x1b[K{text}").and_then(|()| out.flush()),
            false => writeln!(out, "{text}"),
        };
    }

    /// Takes the line away.
    pub(crate) fn end(self) {
        if self.live && self.shown.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
