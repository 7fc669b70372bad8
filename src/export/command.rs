//! `ringwell export`: from a running node, or from the directory of a stopped one, to a file or to whoever
//! reads the standard output.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use ringwell_query::{parse_duration, parse_selector};
use ringwell_storage::model::Timestamp;
use ringwell_storage::read::Queryable;
use ringwell_storage::store::{Options, Store};

use super::{Format, Selection, Written, between};
use crate::client::{self, Peer};
use crate::{clock, number, tools};

/// What is exported, from where to where.
#[derive(Debug, Args)]
pub struct Export {
    /// How it is written
    #[arg(long, value_enum, default_value_t = Format::OpenMetrics)]
    format: Format,
    /// Series that this selector accepts, such as '{job="api"}'; repeatable [default: all]
    #[arg(long = "match", value_name = "SELECTOR")]
    selectors: Vec<String>,
    /// From here on: seconds since 1970, RFC 3339, or ago such as -1h [default: the oldest sample]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// Up to here [default: the newest sample]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    /// Into this file, which has its name only once it is whole [default: the standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Of the running node that answers here
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9680")]
    url: String,
    /// Of this directory instead, whose node is stopped
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Give the secret in this file (or RINGWELL_AUTH_TOKEN)
    #[arg(long, value_name = "FILE")]
    auth_token_file: Option<PathBuf>,
}

/// Exports, and says on the standard error what was written.
pub fn run(what: &Export) -> anyhow::Result<()> {
    let written = match &what.output {
        None => what.write(&mut io::stdout().lock())?,
        Some(path) => what.write_file(path)?,
    };
    eprintln!("{} samples of {} series written", written.samples, written.series);
    for (count, things) in [
        (written.histograms, "native histograms, which only jsonl carries"),
        (written.stale, "markers of the end of a series, which only jsonl carries"),
    ] {
        if count > 0 {
            eprintln!("left out: {count} {things}");
        }
    }
    Ok(())
}

impl Export {
    fn write_file(&self, path: &Path) -> anyhow::Result<Written> {
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let file = File::create(&part).with_context(|| format!("cannot write {part:?}"))?;
        let mut out = BufWriter::new(file);
        let written = self.write(&mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(&part, path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(written)
    }

    fn write(&self, out: &mut dyn Write) -> anyhow::Result<Written> {
        let ends = (
            self.from.as_deref().map(moment).transpose()?,
            self.to.as_deref().map(moment).transpose()?,
        );
        match &self.data_dir {
            Some(dir) => self.write_directory(dir, ends, out),
            None => self.write_node(ends, out),
        }
    }

    fn write_directory(
        &self,
        dir: &Path,
        (from, to): (Option<Timestamp>, Option<Timestamp>),
        out: &mut dyn Write,
    ) -> anyhow::Result<Written> {
        let selectors = self.selectors.iter().map(|text| {
            parse_selector(text).map_err(|error| anyhow::anyhow!("--match {text:?}: {error}"))
        });
        let selection = Selection {
            selectors: selectors.collect::<Result<_, _>>()?,
            range: between(from, to).context("--from is after --to")?,
        };
        let disk = Arc::new(tools::existing(dir)?);
        let store = Store::open(disk, Options::default(), clock::now_ms())?;
        if let Some(refused) = store.report().refused_blocks.first() {
            bail!("{refused}; `ringwell repair` sets it aside, and then the rest is exported");
        }
        Ok(super::write(store.snapshot().as_ref(), &selection, self.format, out)?)
    }

    fn write_node(
        &self,
        (from, to): (Option<Timestamp>, Option<Timestamp>),
        out: &mut dyn Write,
    ) -> anyhow::Result<Written> {
        let peer = Peer::of(&self.url, self.auth_token_file.as_deref())?;
        let format = if self.format == Format::Jsonl { "jsonl" } else { "openmetrics" };
        let mut target = format!("/api/v1/export?format={format}");
        for selector in &self.selectors {
            let _ = write!(target, "&match[]={}", client::encode(selector));
        }
        for (name, end) in [("start", from), ("end", to)] {
            if let Some(millis) = end {
                let _ = write!(target, "&{name}=");
                number::push_time(&mut target, millis);
            }
        }
        let answer = peer
            .stream(&target, out)
            .with_context(|| format!("the answer of {} is not whole", self.url))?;
        if answer.status != 200 {
            bail!("{}", answer.reason());
        }
        out.flush()?;
        let count = |name| answer.header(name).and_then(|n| n.parse().ok());
        let mut written = Written::default();
        for (name, place) in written.places() {
            *place = count(name).with_context(|| format!("{} does not say {name}", self.url))?;
        }
        Ok(written)
    }
}

/// A time; `-1h` is an hour ago.
fn moment(text: &str) -> anyhow::Result<Timestamp> {
    let wrong = || format!("{text:?} is not a time: write seconds since 1970, RFC 3339, or -1h30m");
    if let Some(ago) = text.strip_prefix('-').filter(|ago| ago.ends_with(char::is_alphabetic)) {
        return Ok(clock::now_ms() - parse_duration(ago).ok().with_context(wrong)?);
    }
    let seconds = text.parse::<f64>().ok().map(|s| (s * 1000.0).round());
    let seconds = seconds.filter(|ms| ms.abs() < 9.3e15).map(|ms| ms as Timestamp);
    let date = || Some(text.parse::<jiff::Timestamp>().ok()?.as_millisecond());
    seconds.or_else(date).with_context(wrong)
}
