//! The notation of series: `name{a="b"} 1 2+3x4 _ stale {{count:1 sum:2}}`.

use ringwell_query::parse_duration;
use ringwell_storage::model::{
    CounterReset, FloatHistogram, Labels, METRIC_NAME, STALE_NAN, Schema,
};

/// A value of a series line.
#[derive(Clone, Debug)]
pub(crate) enum Notated {
    Missing,
    Float(f64),
    Histogram(FloatHistogram),
}

/// A series line: labels, whether it gives start times, and its values.
pub(crate) struct SeriesLine {
    pub(crate) labels: Labels,
    pub(crate) starts: bool,
    pub(crate) values: Vec<Notated>,
}

/// Reads a series line.
pub(crate) fn series_line(line: &str) -> Result<SeriesLine, String> {
    let (labels, rest) = labels(line)?;
    let (starts, rest) = match rest.strip_prefix("@st") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let mut values = Vec::new();
    for token in tokens(rest) {
        values.extend(if starts { start_values(&token)? } else { expand(&token)? });
    }
    Ok(SeriesLine { labels, starts, values })
}

/// Reads `name{...}` or `{...}` from the start of a line.
pub(crate) fn labels(line: &str) -> Result<(Labels, &str), String> {
    let line = line.trim();
    let name_end = line.find(|c: char| c.is_whitespace() || c == '{' || c == '@');
    let name_end = name_end.unwrap_or(line.len());
    let (name, rest) = line.split_at(name_end);
    let mut pairs: Vec<(String, String)> = Vec::new();
    if !name.is_empty() {
        pairs.push((METRIC_NAME.to_owned(), name.to_owned()));
    }
    let mut rest = rest;
    let after_name = rest.trim_start();
    if after_name.starts_with('{') && !after_name.starts_with("{{") {
        let end = closing_brace(after_name).ok_or("no closing brace")?;
        // The parser wants at least one condition, so it gets one that is taken out again.
        let selector = format!("{{\"__any\"!=\"\",{}", &after_name[1..=end]);
        for matcher in ringwell_query::parse_selector(&selector).map_err(|e| e.message)? {
            if matcher.name() != "__any" {
                pairs.push((matcher.name().to_owned(), matcher.value().to_owned()));
            }
        }
        rest = &after_name[end + 1..];
    }
    let labels = Labels::from_pairs(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())))
        .map_err(|e| e.to_string())?;
    Ok((labels, rest))
}

fn closing_brace(text: &str) -> Option<usize> {
    let (mut quote, mut escaped) = (None, false);
    for (i, c) in text.char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '}') => return Some(i),
            (None, _) => {}
        }
    }
    None
}

/// Splits at blanks outside `{{...}}`.
pub(crate) fn tokens(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let (mut depth, mut current) = (0, String::new());
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            '#' if depth == 0 && current.is_empty() => break,
            _ => {}
        }
        if c.is_whitespace() && depth == 0 {
            if !current.is_empty() {
                out.push(std::mem::take(&mut current));
            }
        } else {
            current.push(c);
        }
    }
    if !current.is_empty() {
        out.push(current);
    }
    out
}

/// Reads one token of values, with repetitions.
pub(crate) fn expand(token: &str) -> Result<Vec<Notated>, String> {
    if token.starts_with("{{") {
        return expand_histogram(token);
    }
    let (body, times) = match token.split_once('x') {
        Some((body, times)) => {
            (body, times.parse::<usize>().map_err(|_| format!("bad repeat {token:?}"))?)
        }
        None => (token, 0),
    };
    if body == "_" {
        return Ok(vec![Notated::Missing; times.max(1)]);
    }
    if body == "stale" {
        return Ok(vec![Notated::Float(f64::from_bits(STALE_NAN)); times + 1]);
    }
    // The step's sign is the first one that neither begins the token nor follows an exponent.
    let bytes = body.as_bytes();
    let split = (1..bytes.len())
        .find(|&i| matches!(bytes[i], b'+' | b'-') && !matches!(bytes[i - 1], b'e' | b'E'));
    let (first, step) = match split {
        Some(at) if token.contains('x') => (number(&body[..at])?, number(&body[at..])?),
        _ => (number(body)?, 0.0),
    };
    let mut value = first;
    let mut out = vec![Notated::Float(value)];
    for _ in 0..times {
        value += step;
        out.push(Notated::Float(value));
    }
    Ok(out)
}

/// Start times are durations relative to the sample, given here in milliseconds.
fn start_values(token: &str) -> Result<Vec<Notated>, String> {
    if token.starts_with('_') {
        return expand(token);
    }
    let (body, times) = match token.split_once('x') {
        Some((body, times)) => (body, times.parse::<usize>().map_err(|e| e.to_string())?),
        None => (token, 0),
    };
    let bytes = body.as_bytes();
    let split = (1..bytes.len()).find(|&i| matches!(bytes[i], b'+' | b'-'));
    let (first, step) = match split {
        Some(at) => (offset(&body[..at])?, offset(&body[at..])?),
        None => (offset(body)?, 0.0),
    };
    Ok((0..=times).map(|i| Notated::Float(first + step * i as f64)).collect())
}

fn offset(text: &str) -> Result<f64, String> {
    let (sign, body) = match text.strip_prefix('-') {
        Some(body) => (-1.0, body),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    Ok(sign * parse_duration(body)? as f64)
}

/// A number as the scripts write it.
pub(crate) fn number(text: &str) -> Result<f64, String> {
    match text.to_ascii_lowercase().as_str() {
        "inf" | "+inf" => Ok(f64::INFINITY),
        "-inf" => Ok(f64::NEG_INFINITY),
        "nan" | "+nan" => Ok(f64::NAN),
        other => other.parse().map_err(|_| format!("not a number: {text:?}")),
    }
}

fn expand_histogram(token: &str) -> Result<Vec<Notated>, String> {
    let end = token.find("}}").ok_or("no closing }}")? + 2;
    let first = histogram(&token[..end])?;
    let rest = &token[end..];
    if rest.is_empty() {
        return Ok(vec![Notated::Histogram(first)]);
    }
    let (step, times) = if let Some(times) = rest.strip_prefix('x') {
        (None, times)
    } else {
        let step_end = rest.find("}}").ok_or("no closing }}")? + 2;
        let step = histogram(&rest[1..step_end])?;
        let step = if rest.starts_with('-') { step.scaled(-1.0) } else { step };
        (Some(step), rest[step_end..].strip_prefix('x').unwrap_or("0"))
    };
    let times: usize = times.parse().map_err(|_| format!("bad repeat {token:?}"))?;
    let mut value = first;
    let mut out = vec![Notated::Histogram(value.clone())];
    for _ in 0..times {
        if let Some(step) = &step {
            let hint = value.reset;
            value = value.plus(step).map_err(|e| e.to_string())?.histogram;
            value.reset = hint;
        }
        out.push(Notated::Histogram(value.clone()));
    }
    Ok(out)
}

fn histogram(text: &str) -> Result<FloatHistogram, String> {
    let inner = text.trim_start_matches('{').trim_end_matches('}');
    let mut out = FloatHistogram {
        reset: CounterReset::Unknown,
        schema: Schema::Exponential(0),
        zero_threshold: 0.0,
        zero_count: 0.0,
        count: 0.0,
        sum: 0.0,
        positive: Vec::new(),
        negative: Vec::new(),
        custom_values: [].into(),
    };
    let (mut offset, mut n_offset) = (0, 0);
    let (mut positive, mut negative) = (Vec::new(), Vec::new());
    let mut rest = inner.trim();
    while !rest.is_empty() {
        let (key, after) = rest.split_once(':').ok_or_else(|| format!("no value in {text:?}"))?;
        let (value, after) = if let Some(list) = after.strip_prefix('[') {
            list.split_once(']').ok_or("no closing ]")?
        } else {
            after.split_once(char::is_whitespace).unwrap_or((after, ""))
        };
        let list = || value.split_whitespace().map(number).collect::<Result<Vec<f64>, _>>();
        let int = || value.parse::<i32>().map_err(|e| e.to_string());
        match key.trim() {
            "schema" => out.schema = Schema::from_number(int()?).ok_or("bad schema")?,
            "sum" => out.sum = number(value)?,
            "count" => out.count = number(value)?,
            "z_bucket" => out.zero_count = number(value)?,
            "z_bucket_w" => out.zero_threshold = number(value)?,
            "custom_values" => out.custom_values = list()?.into(),
            "buckets" => positive = list()?,
            "n_buckets" => negative = list()?,
            "offset" => offset = int()?,
            "n_offset" => n_offset = int()?,
            "counter_reset_hint" => {
                out.reset = match value {
                    "gauge" => CounterReset::Gauge,
                    "reset" => CounterReset::Yes,
                    "not_reset" => CounterReset::No,
                    _ => CounterReset::Unknown,
                }
            }
            other => return Err(format!("unknown field {other:?} of a histogram")),
        }
        rest = after.trim();
    }
    let place = |offset: i32, counts: &[f64]| -> Vec<(i32, f64)> {
        let pairs = counts.iter().enumerate().map(|(i, c)| (offset + i as i32, *c));
        pairs.filter(|b| b.1 != 0.0).collect()
    };
    out.positive = place(offset, &positive);
    out.negative = place(n_offset, &negative);
    Ok(out)
}
