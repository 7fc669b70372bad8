//! `ringwell query`: asks a running node in PromQL and prints what it answers.

mod hint;

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::client::{self, Peer};
use crate::clock;

/// What to ask, and whom.
#[derive(Debug, Args)]
pub struct Query {
    /// The expression, such as 'rate(process_cpu_seconds_total[1m])'
    expr: String,
    /// The node
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9680")]
    url: String,
    /// Evaluate at this time: seconds since 1970, RFC 3339, or ago such as -1h [default: now]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, conflicts_with = "start")]
    time: Option<String>,
    /// Evaluate over a range that starts here
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    start: Option<String>,
    /// The range ends here [default: now]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, requires = "start")]
    end: Option<String>,
    /// One value so often [default: a 250th of the range]
    #[arg(long, value_name = "DURATION", requires = "start")]
    step: Option<String>,
    /// Print the plan instead of asking for values
    #[arg(long)]
    explain: bool,
    /// Run the query and print what each operator of its plan took
    #[arg(long, conflicts_with = "explain")]
    analyze: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Give the secret in this file (or RINGWELL_AUTH_TOKEN)
    #[arg(long, value_name = "FILE")]
    auth_token_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Lines for people
    Table,
    /// The node's answer as it is
    Json,
}

/// Asks and prints.
pub fn run(query: &Query) -> anyhow::Result<()> {
    let peer = Peer::of(&query.url, query.auth_token_file.as_deref())?;
    let (path, form) = query.request()?;
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let answer = peer
        .send("POST", path, &headers, form.as_bytes())
        .with_context(|| format!("no answer from {} (is a node running there?)", query.url))?;
    if answer.status != 200 {
        let reason = answer.reason();
        bail!("{reason}{}", hint::hint(&query.expr, &reason));
    }
    let text = answer.text();
    match query.format {
        Format::Json => println!("{text}"),
        Format::Table => {
            let answer: Value = serde_json::from_str(&text).context("the answer is not JSON")?;
            let plan = query.explain || query.analyze;
            print!("{}", if plan { plan_table(&answer) } else { table(&answer) });
        }
    }
    Ok(())
}

impl Query {
    fn request(&self) -> anyhow::Result<(&'static str, String)> {
        let (path, form) = self.form()?;
        Ok(match (self.explain, self.analyze) {
            (false, false) => (path, form),
            (_, analyze) => ("/api/v1/explain", format!("{form}&analyze={analyze}")),
        })
    }

    fn form(&self) -> anyhow::Result<(&'static str, String)> {
        let mut form = format!("query={}", client::encode(&self.expr));
        let mut add = |name: &str, value: &str| {
            let _ = write!(form, "&{name}={}", client::encode(value));
        };
        let Some(start) = &self.start else {
            if let Some(time) = &self.time {
                add("time", &moment(time)?);
            }
            return Ok(("/api/v1/query", form));
        };
        let start = moment(start)?;
        let end = self.end.as_deref().map_or_else(|| moment("-0"), moment)?;
        add("start", &start);
        add("end", &end);
        match &self.step {
            Some(step) => add("step", step),
            None => {
                let step = |start: f64, end: f64| ((end - start) / 250.0).max(1.0).round();
                let step = start.parse().ok().zip(end.parse().ok()).map(|(s, e)| step(s, e));
                add("step", &step.unwrap_or(15.0).to_string());
            }
        }
        Ok(("/api/v1/query_range", form))
    }
}

/// A time as the API takes it; `-1h` is an hour ago.
fn moment(text: &str) -> anyhow::Result<String> {
    let Some(ago) = text.strip_prefix('-') else { return Ok(text.to_owned()) };
    let millis = if ago == "0" {
        0
    } else {
        ringwell_query::parse_duration(ago)
            .map_err(|_| anyhow::anyhow!("{text:?} is not a time; write it like -1h30m"))?
    };
    Ok(((clock::now_ms() - millis) as f64 / 1000.0).to_string())
}

/// An answer in lines: a series, then its value, or its values with their times.
fn table(answer: &Value) -> String {
    let mut out = String::new();
    for key in ["warnings", "infos"] {
        for note in answer.get(key).and_then(Value::as_array).into_iter().flatten() {
            let _ = writeln!(out, "# {}", note.as_str().unwrap_or_default());
        }
    }
    let result = answer.pointer("/data/result");
    let kind = answer.pointer("/data/resultType").and_then(Value::as_str);
    if matches!(kind, Some("scalar" | "string")) {
        let _ = writeln!(out, "{}", result.and_then(|r| r.get(1)).map_or_else(String::new, cell));
        return out;
    }
    let series = result.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if series.is_empty() {
        out.push_str("# no series\n");
    }
    for series in series {
        let name = name(series.get("metric").unwrap_or(&Value::Null));
        for key in ["value", "histogram"] {
            if let Some(value) = series.get(key).and_then(|pair| pair.get(1)) {
                let _ = writeln!(out, "{name}  {}", cell(value));
            }
        }
        for key in ["values", "histograms"] {
            let Some(points) = series.get(key).and_then(Value::as_array) else { continue };
            let _ = writeln!(out, "{name}");
            for point in points {
                let at = point.get(0).and_then(Value::as_f64).unwrap_or_default();
                let at = jiff::Timestamp::from_millisecond((at * 1000.0).round() as i64);
                let at = at.map(|at| at.to_string()).unwrap_or_default();
                let _ = writeln!(out, "  {at}  {}", point.get(1).map_or_else(String::new, cell));
            }
        }
    }
    out
}

/// A plan in lines, what each operator took on its right.
fn plan_table(answer: &Value) -> String {
    let operators = answer.pointer("/data/operators").and_then(Value::as_array);
    let rows: Vec<[String; 7]> = operators.into_iter().flatten().map(plan_row).collect();
    let ran = rows.iter().any(|row| !row[6].is_empty());
    let heads = ["operator", "series", "values", "bytes", "decoded", "bytes read", "time"];
    let heads = heads.map(str::to_owned);
    let width = |at: usize| {
        let cells = std::iter::once(&heads).chain(&rows);
        cells.map(|row| row[at].chars().count()).max().unwrap_or(0)
    };
    let mut out = String::new();
    if !ran {
        rows.iter().for_each(|row| out.push_str(&format!("{}\n", row[0])));
        return out;
    }
    for row in std::iter::once(&heads).chain(&rows) {
        let mut line = format!("{:<width$}", row[0], width = width(0));
        for (at, cell) in row.iter().enumerate().skip(1) {
            let _ = write!(line, "  {cell:>width$}", width = width(at));
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

fn plan_row(operator: &Value) -> [String; 7] {
    let depth = operator.get("depth").and_then(Value::as_u64).unwrap_or(0);
    let indent = "  ".repeat(usize::try_from(depth).unwrap_or(0));
    let text = operator.get("operator").and_then(Value::as_str).unwrap_or_default();
    let count = |key: &str| operator.get(key).map_or_else(String::new, Value::to_string);
    let seconds = operator.get("seconds").and_then(Value::as_f64);
    let time = seconds.map_or_else(String::new, |s| format!("{:.3} ms", s * 1000.0));
    let counts = ["series", "values", "bytes", "samplesDecoded", "bytesRead"].map(count);
    let [series, values, bytes, decoded, bytes_read] = counts;
    [format!("{indent}{text}"), series, values, bytes, decoded, bytes_read, time]
}

fn cell(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A series as PromQL spells it.
fn name(metric: &Value) -> String {
    let labels = metric.as_object().into_iter().flatten();
    let mut name = String::new();
    let mut pairs = Vec::new();
    for (label, value) in labels {
        match label.as_str() {
            "__name__" => name = cell(value),
            _ => pairs.push(format!("{label}={value}")),
        }
    }
    if pairs.is_empty() && !name.is_empty() {
        return name;
    }
    format!("{name}{{{}}}", pairs.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_as_lines() {
        let plan = r#"{"data":{"operators":[
            {"depth":0,"operator":"call rate","series":2,"values":10,"bytes":90,"samplesDecoded":100,"bytesRead":130,"seconds":0.0015},
            {"depth":1,"operator":"window 5m #0 {}"}]}}"#;
        assert_eq!(
            plan_table(&serde_json::from_str(plan).unwrap()),
            "operator           series  values  bytes  decoded  bytes read      time\n\
             call rate               2      10     90      100         130  1.500 ms\n  window 5m #0 {}\n"
        );
        let plan = r#"{"data":{"operators":[{"depth":0,"operator":"negate"},{"depth":1,"operator":"number 1"}]}}"#;
        let lines = plan_table(&serde_json::from_str(plan).unwrap());
        assert_eq!(lines, "negate\n  number 1\n");
    }

    #[test]
    fn answers_as_lines() {
        for (answer, lines) in [
            (r#"{"data":{"resultType":"scalar","result":[1,"2"]}}"#, "2\n"),
            (r#"{"data":{"resultType":"vector","result":[]}}"#, "# no series\n"),
            (
                r#"{"warnings":["w"],"data":{"resultType":"vector","result":[
                    {"metric":{"__name__":"up","job":"a\"b"},"value":[1,"1"]},
                    {"metric":{},"value":[1,"NaN"]}]}}"#,
                "# w\nup{job=\"a\\\"b\"}  1\n{}  NaN\n",
            ),
            (
                r#"{"data":{"resultType":"matrix","result":[
                    {"metric":{"__name__":"up"},"values":[[0,"1"],[1.5,"2"]]}]}}"#,
                "up\n  1970-01-01T00:00:00Z  1\n  1970-01-01T00:00:01.5Z  2\n",
            ),
        ] {
            assert_eq!(table(&serde_json::from_str(answer).unwrap()), lines);
        }
    }
}
