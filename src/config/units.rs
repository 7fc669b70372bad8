//! Reads the units in which settings are written.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use ringwell_storage::compaction::Rule;

/// A time span: `0`, or Prometheus's spelling (`90d`, `1h30m`, `500ms`).
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let millis = ringwell_query::parse_duration(text)
        .ok()
        .and_then(|ms| u64::try_from(ms).ok())
        .ok_or("not a duration; write it like 90d, 1h30m or 500ms")?;
    Ok(Duration::from_millis(millis))
}

/// A size: a number of bytes, or one with a unit (`64MiB`, `1.5GB`).
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(size_help()),
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor).ok_or_else(|| "too large a size".to_owned());
    }
    let size = number.parse::<f64>().map_err(|_| size_help())? * factor as f64;
    if size.is_finite() && size < u64::MAX as f64 {
        Ok(size as u64)
    } else {
        Err("too large a size".to_owned())
    }
}

fn size_help() -> String {
    "not a size; write it like 64MiB, 1.5GB or 4096".to_owned()
}

/// A whole number; `_` may group its digits.
pub(super) fn count(text: &str) -> Result<u64, String> {
    text.trim().replace('_', "").parse().map_err(|_| "not a whole number".to_owned())
}

/// `true` or `false`, also as `1`/`0`, `yes`/`no`, `on`/`off`.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("neither true nor false".to_owned()),
    }
}

/// Words separated by commas.
pub(super) fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Rules of retention: `SELECTOR DURATION`, separated by `;`.
pub(super) fn rules(text: &str) -> Result<Vec<Rule>, String> {
    let mut rules = Vec::new();
    let (mut quote, mut start) = (None, 0);
    let mut ends: Vec<usize> = Vec::new();
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if std::mem::take(&mut escaped) {
            continue;
        }
        escaped = c == '\\';
        match quote {
            Some(open) if c == open => quote = None,
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            None if c == ';' => ends.push(at),
            _ => {}
        }
    }
    for end in ends.into_iter().chain([text.len()]) {
        let one = text[start..end].trim();
        start = end + 1;
        if one.is_empty() {
            continue;
        }
        let (selector, kept) =
            one.rsplit_once(' ').ok_or("not a rule; write it like {job=\"lab\"} 30d")?;
        let matchers = ringwell_query::parse_selector(selector).map_err(|e| e.to_string())?;
        if matchers.iter().all(ringwell_storage::model::Matcher::matches_empty) {
            return Err(format!("{selector} means every series; set retention instead"));
        }
        let kept = duration(kept)?;
        let keep = i64::try_from(kept.as_millis()).map_err(|_| "too long a time".to_owned())?;
        rules.push(Rule { matchers, keep });
    }
    Ok(rules)
}

/// An address to listen on: `IP:PORT`, `localhost:PORT`, or `:PORT` for every interface.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let help = "not an address; write it like 127.0.0.1:9680, [::1]:9680 or localhost:9680";
    let (host, port) = text.rsplit_once(':').ok_or(help)?;
    let port: u16 = port.parse().map_err(|_| "not a port; ports are 0 to 65535")?;
    match host {
        "localhost" => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        "" | "*" => Ok(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
        _ => Err(help.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, want) in
            [("4096", 4096), ("64MiB", 64 << 20), ("1.5GB", 1_500_000_000), (" 2 k ", 2048)]
        {
            assert_eq!(bytes(text), Ok(want), "{text}");
        }
        for text in ["", "MiB", "12 parsecs", "-1", "99999999999TiB", "1e3"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(duration("90d"), Ok(Duration::from_secs(90 * 86_400)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        for text in ["", "90", "d", "-5m", "5 m", "1x"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn retention_rules() {
        let found = rules("up 7d; {job=\"a;b\",x!=\"1\"} 1h ;").unwrap();
        let keeps: Vec<_> = found.iter().map(|r| (r.matchers.len(), r.keep)).collect();
        assert_eq!(keeps, [(1, 7 * 86_400_000), (2, 3_600_000)]);
        assert_eq!(found[1].matchers[0].value(), "a;b");
        for text in ["up", "7d", "{job= 7d", "up seven"] {
            assert!(rules(text).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses() {
        assert_eq!(address("localhost:0").unwrap().to_string(), "127.0.0.1:0");
        assert_eq!(address(":9680").unwrap().to_string(), "0.0.0.0:9680");
        assert_eq!(address("[::1]:80").unwrap().to_string(), "[::1]:80");
        for text in ["9680", "localhost", "example.org:80", "127.0.0.1:99999"] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
