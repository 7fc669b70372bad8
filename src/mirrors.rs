//! `ringwell mirror verify`: has a node compare all keys that a mirror has copied with its own.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use serde_json::Value;

use crate::client::{self, Peer};
use crate::progress::Progress;

/// How often the node is asked how far it is.
const ASK: Duration = Duration::from_millis(300);
/// Keys that differ and are told by name.
const NAMED: usize = 20;

/// What is asked of mirrors.
#[derive(Debug, Args)]
pub struct Mirror {
    #[command(subcommand)]
    what: MirrorCommand,
}

#[derive(Debug, Subcommand)]
enum MirrorCommand {
    /// Compare all keys of a mirror's target with the node's; fails if any differs. Those that do are written anew
    Verify(Verify),
}

#[derive(Debug, Args)]
struct Verify {
    /// The mirror's name [default: the only one]
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// The node
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9680")]
    url: String,
    /// Give the secret in this file (or RINGWELL_AUTH_TOKEN)
    #[arg(long, value_name = "FILE")]
    auth_token_file: Option<PathBuf>,
}

/// Answers what is asked of mirrors.
pub fn run(what: &Mirror) -> anyhow::Result<()> {
    let MirrorCommand::Verify(verify) = &what.what;
    let peer = Peer::of(&verify.url, verify.auth_token_file.as_deref())?;
    let all = ask(&peer, "GET", "/api/v1/mirrors")?;
    let names: Vec<&str> = all.as_array().into_iter().flatten().filter_map(name_of).collect();
    let name = match (&verify.name, names.as_slice()) {
        (Some(name), _) => name.clone(),
        (None, [only]) => (*only).to_owned(),
        (None, []) => bail!("the node at {} has no mirror", verify.url),
        (None, names) => bail!("which mirror? {}", names.join(", ")),
    };
    ask(&peer, "POST", &format!("/api/v1/mirrors/verify?name={}", client::encode(&name)))?;
    let mut progress = Progress::begin();
    let done = loop {
        std::thread::sleep(ASK);
        let all = ask(&peer, "GET", "/api/v1/mirrors")?;
        let mirror = all.as_array().into_iter().flatten().find(|m| name_of(m) == Some(&name));
        let found = mirror.and_then(|mirror| mirror.get("verification")).cloned();
        let found = found.with_context(|| format!("mirror {name:?} is gone"))?;
        let began = count(&found, "begun") > 0;
        ensure!(began, "the node was started anew and has not compared all: ask again");
        progress.show(count(&found, "compared"), None, "keys compared");
        if found.get("running") != Some(&Value::Bool(true)) {
            break found;
        }
    };
    progress.end();
    for named in done.get("named").and_then(Value::as_array).into_iter().flatten().take(NAMED) {
        let text = |name: &str| named.get(name).and_then(Value::as_str).unwrap_or_default();
        println!("{}: {}", text("key"), text("what"));
    }
    let compared = count(&done, "compared");
    if let Some(error) = done.get("error").and_then(Value::as_str) {
        bail!("the comparison ended after {compared} keys: {error}");
    }
    let (different, unsettled) = (count(&done, "different"), count(&done, "unsettled"));
    ensure!(
        different + unsettled == 0,
        "{compared} keys compared: {different} differ and are written anew, {unsettled} could not be settled"
    );
    println!("{compared} keys compared, all are equal");
    Ok(())
}

fn name_of(mirror: &Value) -> Option<&str> {
    mirror.get("name")?.as_str()
}

fn count(of: &Value, name: &str) -> u64 {
    of.get(name).and_then(Value::as_u64).unwrap_or(0)
}

fn ask(peer: &Peer, method: &str, path: &str) -> anyhow::Result<Value> {
    let answer = peer
        .send(method, path, &[], b"")
        .with_context(|| format!("no answer from {}", peer.authority()))?;
    if answer.status != 200 {
        bail!("{}", answer.reason());
    }
    let mut answer: Value = serde_json::from_slice(&answer.body)?;
    Ok(answer.get_mut("data").map(Value::take).unwrap_or_default())
}
