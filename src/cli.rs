//! The command line: what can be said, and what it starts.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, ConfigError, Place, Settings};
use crate::mcp::stdio;
use crate::{ask, export, import, inspect, keys, mirrors, node, tools};

const ABOUT: &str = "\
Ringwell: the time-series database for fleets of AI agents, training runs and GPUs.

Your agents already write their metrics to Redis. Point them at Ringwell: same commands, same bytes
back, and every metrics list is also a PromQL series with 90 days of history.";

const EXAMPLES: &str = "\
Examples:
  ringwell serve                                 start on loopback, data in ./data
  ringwell serve --demo --data-dir ./data/demo   the same with a simulated fleet to look at
  redis-cli -p 6380 LPUSH metrics:training:proj-1:loss '{\"step\":1,\"value\":0.53}'
  ringwell query 'training_loss{project=\"proj-1\"}'
  ringwell query 'rate(process_cpu_seconds_total[1m])' --start -1h --step 1m
  ringwell query up --url 'https://node:9681?ca_file=ca.pem'     ask a node with TLS
  ringwell keymap explain metrics:training:proj-1:loss
  ringwell import dump.rdb                       take over the keys of a Redis, from its file
  ringwell forget 'metrics:training:old-run:*'   say what that would delete
  ringwell check --config ringwell.toml          say what is wrong with a configuration

The web UI answers at http://127.0.0.1:9680, Prometheus's API below /api/v1.";

#[derive(Debug, Parser)]
#[command(name = "ringwell", version, about = ABOUT, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a node: Redis protocol, Prometheus API and web UI
    Serve(Serve),
    /// Ask a running node in PromQL
    Query(ask::Query),
    /// Read a configuration and say what is wrong with it, without starting anything
    Check(Serve),
    /// Show what stands in the data directory of a stopped node
    Inspect(inspect::Inspect),
    /// Check everything that stands in the data directory of a stopped node, changing nothing
    Verify(tools::Directory),
    /// Set damage in a stopped node's directory aside, in quarantine/, so that the rest is served
    Repair(tools::Directory),
    /// Take a snapshot of a running node, or of a stopped one's directory
    Snapshot(tools::Snapshot),
    /// Put a snapshot back into a new data directory
    Restore(tools::Restore),
    /// Say what keys become, and where series come from
    Keymap(keys::Keymap),
    /// Delete keys and the series they have fed
    Forget(keys::Forget),
    /// Write samples of a running node, or of a stopped one's directory, in a format others read
    Export(export::command::Export),
    /// Read samples or keys from a file, or keys from a Redis, into a running node
    Import(import::Import),
    /// Compare what a mirror has copied to another server
    Mirror(mirrors::Mirror),
    /// Offer a running node's MCP tools on stdin and stdout
    Mcp(stdio::Mcp),
    /// Print the version
    Version,
}

/// Flags of a node. All of them can also be set in the file and as RINGWELL_* variables; a flag
/// wins over a variable, a variable over the file.
#[derive(Debug, Default, Args)]
struct Serve {
    /// Read settings from this TOML file
    #[arg(long, value_name = "FILE", env = "RINGWELL_CONFIG")]
    config: Option<PathBuf>,
    /// Keep everything in this directory [default: ./data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Answer HTTP here; port 0 takes any free port [default: 127.0.0.1:9680]
    #[arg(long, value_name = "ADDR")]
    http_listen: Option<String>,
    /// Answer the Redis protocol here; port 0 takes any free port [default: 127.0.0.1:6380]
    #[arg(long, value_name = "ADDR")]
    redis_listen: Option<String>,
    /// Answer https here too; needs --tls-cert-file and --tls-key-file
    #[arg(long, value_name = "ADDR")]
    http_tls_listen: Option<String>,
    /// Answer the Redis protocol with TLS here too; needs the same
    #[arg(long, value_name = "ADDR")]
    redis_tls_listen: Option<String>,
    /// Show the certificate in this file where TLS is spoken; read again when it changes
    #[arg(long, value_name = "FILE")]
    tls_cert_file: Option<String>,
    /// Its key
    #[arg(long, value_name = "FILE")]
    tls_key_file: Option<String>,
    /// Keep samples this long, such as 30d or 1y; 0 keeps them for ever [default: 90d]
    #[arg(long, value_name = "TIME")]
    retention: Option<String>,
    /// Follow this Redis, to move in: redis[s]://[[user]:password@]host[:port]; clients may only read
    #[arg(long, value_name = "URL")]
    replica_of: Option<String>,
    /// Run a simulated fleet of agents against this node; its names begin with demo-
    #[arg(long)]
    demo: bool,
    /// Ask for the secret in this file: HTTP Bearer or Basic, Redis AUTH (or RINGWELL_AUTH_TOKEN)
    #[arg(long, value_name = "FILE")]
    auth_token_file: Option<String>,
    /// Allow addresses beyond loopback without a secret: everybody there may read and write
    #[arg(long)]
    insecure_allow_open: bool,
    /// Switch on a feature of Prometheus's, such as use-start-timestamps; repeatable, or with commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    enable_feature: Vec<String>,
    /// Answer Prometheus's admin paths, which delete series and take snapshots
    #[arg(long = "web.enable-admin-api")]
    web_enable_admin_api: bool,
    /// Set anything else, such as limits.series=500000; see docs/config.md
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Runs what the arguments say.
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(serve) => serve.load().map_err(Into::into).and_then(node::run),
        Command::Check(serve) => serve.load().map_err(Into::into).and_then(|config| check(&config)),
        Command::Query(query) => ask::run(&query),
        Command::Inspect(what) => inspect::run(&what),
        Command::Verify(what) => tools::verify(&what),
        Command::Repair(what) => tools::repair(&what),
        Command::Snapshot(what) => tools::snapshot(&what),
        Command::Restore(what) => tools::restore(&what),
        Command::Keymap(what) => keys::keymap(&what),
        Command::Forget(what) => keys::forget(&what),
        Command::Export(what) => export::command::run(&what),
        Command::Import(what) => import::run(&what),
        Command::Mirror(what) => mirrors::run(&what),
        Command::Mcp(what) => stdio::run(&what),
        Command::Version => {
            println!("ringwell {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringwell: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The settings are understood; what they name is looked at too.
fn check(config: &Config) -> anyhow::Result<()> {
    node::acceptors(config)?;
    println!("ok");
    Ok(())
}

impl Serve {
    fn load(&self) -> Result<Config, ConfigError> {
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Config::load(self.config.as_deref(), environment, |settings| self.set_flags(settings))
    }

    fn set_flags(&self, settings: &mut Settings) -> Result<(), ConfigError> {
        for assignment in &self.set {
            let place = Place::Flag(format!("--set {assignment}"));
            let (key, value) = assignment.split_once('=').ok_or_else(|| ConfigError::Value {
                key: assignment.clone(),
                text: String::new(),
                place: place.clone(),
                reason: "write it as --set KEY=VALUE".to_owned(),
            })?;
            settings.set(key.trim(), value.to_owned(), place)?;
        }
        let switch = |on: bool| on.then(|| "true".to_owned());
        for (key, flag, value) in [
            ("data_dir", "--data-dir", self.data_dir.clone()),
            ("http.listen", "--http-listen", self.http_listen.clone()),
            ("redis.listen", "--redis-listen", self.redis_listen.clone()),
            ("http.tls_listen", "--http-tls-listen", self.http_tls_listen.clone()),
            ("redis.tls_listen", "--redis-tls-listen", self.redis_tls_listen.clone()),
            ("tls.cert_file", "--tls-cert-file", self.tls_cert_file.clone()),
            ("tls.key_file", "--tls-key-file", self.tls_key_file.clone()),
            ("retention", "--retention", self.retention.clone()),
            ("replica_of", "--replica-of", self.replica_of.clone()),
            ("demo", "--demo", switch(self.demo)),
            (
                "enable_feature",
                "--enable-feature",
                (!self.enable_feature.is_empty()).then(|| self.enable_feature.join(",")),
            ),
            ("web.enable_admin_api", "--web.enable-admin-api", switch(self.web_enable_admin_api)),
            ("auth.token_file", "--auth-token-file", self.auth_token_file.clone()),
            ("auth.insecure_allow_open", "--insecure-allow-open", switch(self.insecure_allow_open)),
        ] {
            if let Some(value) = value {
                settings.set(key, value, Place::Flag(flag.to_owned()))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_knob_with_a_flag_has_that_flag() {
        let command = Cli::command();
        let serve = command.find_subcommand("serve").unwrap();
        let mut flags: Vec<String> = serve
            .get_arguments()
            .filter_map(|arg| Some(format!("--{}", arg.get_long()?)))
            .filter(|flag| flag != "--config" && flag != "--set")
            .collect();
        let mut knobs: Vec<String> =
            crate::config::KNOBS.iter().filter_map(|knob| knob.flag.map(str::to_owned)).collect();
        flags.sort();
        knobs.sort();
        assert_eq!(flags, knobs);
    }
}
