//! The only reader of the clock. Everything below the node is handed `now`.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970 by the system's clock, negative before.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub fn now_ms() -> i64 {
    let now = SystemTime::now();
    let millis = |d: std::time::Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
    match now.duration_since(UNIX_EPOCH) {
        Ok(after) => millis(after),
        Err(before) => -millis(before.duration()),
    }
}

/// The same in seconds, as Prometheus's JSON has it.
pub fn now_seconds() -> f64 {
    now_ms() as f64 / 1000.0
}
