//! Configuration as it is meant: every value read, checked and in its type.
//!
//! [`raw`] holds what is written and where; nothing else of the node sees it. [`knobs`] defines
//! each setting once, and [`reference`] prints `docs/config.md` from there.

mod error;
mod features;
mod keymap_rules;
mod knobs;
mod limits;
mod mirrors;
mod raw;
mod reference;
mod tls;
mod units;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use error::ConfigError;
pub use features::Features;
pub use knobs::{KNOBS, Kind, Knob};
pub use limits::Limits;
pub use raw::{Place, Setting, Settings, printable};
pub use reference::reference;
pub use tls::Tls;

use ringwell_storage::compaction::Rule;

use crate::ingest::events::{self, Derive};
use crate::ingest::keymap;
use crate::remote::Source;
use crate::{mirror, replication};

use units::{address, bytes, duration, list, rules, switch};

/// What a node is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// How long samples are kept; `None` = for ever.
    pub retention: Option<Duration>,
    /// Bytes of blocks; `None` = any.
    pub retention_size: Option<u64>,
    /// Shorter times for some series.
    pub retention_rules: Vec<Rule>,
    /// Whether the simulated fleet runs.
    pub demo: bool,
    /// Where HTTP answers.
    pub http_listen: SocketAddr,
    /// Host names allowed beside the built-in ones; `*` allows all.
    pub allowed_hosts: Vec<String>,
    /// Whether Prometheus's admin paths answer.
    pub admin_api: bool,
    /// Where the Redis protocol answers.
    pub redis_listen: SocketAddr,
    /// Where HTTP answers with TLS.
    pub http_tls: Option<Tls>,
    /// Where the Redis protocol answers with TLS.
    pub redis_tls: Option<Tls>,
    /// Whether DEBUG may be called.
    pub redis_debug: bool,
    /// What opens both faces; `None` = they are open.
    pub secret: Option<Secret>,
    /// Whether non-loopback addresses may be open.
    pub insecure_allow_open: bool,
    /// When samples are synced.
    pub samples_sync: Sync,
    /// When keys are synced.
    pub keys_sync: Sync,
    /// A Redis that this node follows.
    pub replica_of: Option<Source>,
    /// Bytes of log kept for replicas.
    pub replication_backlog: u64,
    /// How replicas are dealt with.
    pub replication: replication::Options,
    /// Redis servers that keys are pushed to.
    pub mirrors: Vec<mirror::redis::Options>,
    /// How often metrics are collected; `None` = never.
    pub collect: Option<Duration>,
    /// The operator's rules of the keymap.
    pub keymap_rules: Vec<keymap::Rule>,
    /// What published events become.
    pub events: events::Options,
    /// What is logged.
    pub log_level: String,
    /// Whether the log is JSON.
    pub log_json: bool,
    /// What of Prometheus's feature switches is on.
    pub features: Features,
    /// Queries that take longer are logged; `None` = none are.
    pub slow_query: Option<Duration>,
    /// How much of everything.
    pub limits: Limits,
}

/// When what is written is synced to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Before it is acknowledged.
    Commit,
    /// This often.
    Every(Duration),
    /// When the system likes.
    Off,
}

/// A secret; it is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret of this text.
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    /// Its bytes, for comparing.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<redacted>")
    }
}

impl Config {
    /// Reads a configuration: file, then environment, then what `flags` sets.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        flags: impl FnOnce(&mut Settings) -> Result<(), ConfigError>,
    ) -> Result<Config, ConfigError> {
        let mut settings = Settings::default();
        if let Some(path) = file {
            settings.read_file(path)?;
        }
        settings.read_environment(environment)?;
        flags(&mut settings)?;
        Config::mean(&settings)
    }

    /// What the settings mean.
    pub fn mean(settings: &Settings) -> Result<Config, ConfigError> {
        let [http_tls, redis_tls] = tls::mean(settings)?;
        let config = Config {
            data_dir: read(settings, "data_dir", non_empty)?.into(),
            retention: read(settings, "retention", duration)
                .map(|kept| (!kept.is_zero()).then_some(kept))?,
            retention_size: Some(read(settings, "retention_size", bytes)?).filter(|n| *n > 0),
            retention_rules: read(settings, "retention_rules", rules)?,
            demo: read(settings, "demo", switch)?,
            http_listen: read(settings, "http.listen", address)?,
            allowed_hosts: read(settings, "http.allowed_hosts", |text| Ok(list(text)))?,
            admin_api: read(settings, "web.enable_admin_api", switch)?,
            redis_listen: read(settings, "redis.listen", address)?,
            http_tls,
            redis_tls,
            redis_debug: read(settings, "redis.debug", switch)?,
            secret: secret(settings)?,
            insecure_allow_open: read(settings, "auth.insecure_allow_open", switch)?,
            samples_sync: read(settings, "wal.sync", sync)?,
            keys_sync: read(settings, "wal.keys_sync", sync)?,
            replica_of: read(settings, "replica_of", |text| {
                let url = Some(text.trim()).filter(|text| !text.is_empty());
                url.map(Source::read).transpose()
            })?,
            replication_backlog: read(settings, "replication.backlog", bytes)?,
            replication: replication::Options {
                ping: read(settings, "replication.ping", interval)?,
                timeout: read(settings, "replication.timeout", interval)?,
            },
            mirrors: settings.mirrors().to_vec(),
            collect: read(settings, "collect.enabled", switch)?.then_some(read(
                settings,
                "collect.interval",
                interval,
            )?),
            keymap_rules: settings.keymap_rules().to_vec(),
            events: events(settings)?,
            log_level: read(settings, "log.level", non_empty)?,
            log_json: read(settings, "log.format", log_format)?,
            features: read(settings, "enable_feature", Features::mean)?,
            slow_query: read(settings, "log.slow_query", duration)
                .map(|long| (!long.is_zero()).then_some(long))?,
            limits: Limits::mean(settings)?,
        };
        config.refuse_open_doors()?;
        Ok(config)
    }

    /// An address beyond loopback needs a secret, or the word that none is wanted.
    fn refuse_open_doors(&self) -> Result<(), ConfigError> {
        if self.secret.is_some() || self.insecure_allow_open {
            return Ok(());
        }
        // Who has to show a certificate is no stranger.
        let open = |tls: &Option<Tls>| {
            tls.as_ref().filter(|tls| tls.files.client_ca.is_none()).map(|tls| tls.listen)
        };
        let faces = [
            ("HTTP", Some(self.http_listen), "--http-listen"),
            ("Redis", Some(self.redis_listen), "--redis-listen"),
            ("HTTP", open(&self.http_tls), "--http-tls-listen"),
            ("Redis", open(&self.redis_tls), "--redis-tls-listen"),
        ];
        for (face, address, flag) in faces {
            if let Some(address) = address.filter(|address| !address.ip().is_loopback()) {
                return Err(ConfigError::Open { face, address, flag });
            }
        }
        Ok(())
    }
}

/// Reads one knob; an error names the place where it is set.
fn read<T>(
    settings: &Settings,
    key: &'static str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, ConfigError> {
    let knob = knobs::find(key).expect("invariant: every key read here is in the table of knobs");
    let Setting { text, place } = settings.get(knob);
    parse(&text).map_err(|reason| ConfigError::Value {
        key: key.to_owned(),
        text: if printable(knob) { text } else { "<redacted>".to_owned() },
        place,
        reason,
    })
}

/// The one secret, from its file or as it is.
fn secret(settings: &Settings) -> Result<Option<Secret>, ConfigError> {
    let file = read(settings, "auth.token_file", |text| Ok(text.to_owned()))?;
    let given = read(settings, "auth.token", |text| {
        if !text.is_empty() && !file.is_empty() {
            return Err("auth.token_file is set too; set one of them".to_owned());
        }
        Ok(text.trim().to_owned())
    })?;
    if file.is_empty() {
        return Ok((!given.is_empty()).then(|| Secret::new(given)));
    }
    let text = std::fs::read_to_string(&file).map_err(|error| ConfigError::Read {
        path: file.into(),
        reason: format!("{error} (auth.token_file)"),
    })?;
    let text = text.trim();
    read(settings, "auth.token_file", |_| match text {
        "" => Err("the file is empty, and an empty secret protects nothing".to_owned()),
        _ => Ok(Some(Secret::new(text.to_owned()))),
    })
}

fn events(settings: &Settings) -> Result<events::Options, ConfigError> {
    let derive = read(settings, "events.derive", |text| match text.trim() {
        "always" => Ok(Derive::Always),
        "unheard" => Ok(Derive::Unheard),
        "off" => Ok(Derive::Off),
        _ => Err("neither always, unheard, nor off".to_owned()),
    })?;
    let some = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    Ok(events::Options {
        derive,
        queue: Limits::mean(settings)?.events_queue,
        dashboard: read(settings, "events.dashboard", duration)
            .map(|every| (!every.is_zero()).then_some(every))?,
        project: read(settings, "events.dashboard_project", |text| Ok(text.trim().to_owned()))?,
        outside: read(settings, "events.redis", |text| {
            some(text).map(|url| Source::read(&url)).transpose()
        })?,
    })
}

fn sync(text: &str) -> Result<Sync, String> {
    match text.trim() {
        "commit" | "always" => Ok(Sync::Commit),
        "off" => Ok(Sync::Off),
        text => match duration(text) {
            Ok(every) if !every.is_zero() => Ok(Sync::Every(every)),
            _ => Err("neither commit, off, nor a duration such as 1s".to_owned()),
        },
    }
}

fn log_format(text: &str) -> Result<bool, String> {
    match text.trim() {
        "text" => Ok(false),
        "json" => Ok(true),
        _ => Err("neither text nor json".to_owned()),
    }
}

fn non_empty(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(text.to_owned()) }
}

fn interval(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|d| if d.is_zero() { Err("must not be 0".to_owned()) } else { Ok(d) })
}

#[cfg(test)]
mod tests;
