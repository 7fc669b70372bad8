//! The keys of a running Redis into a node, by SCAN and DUMP: for one that cannot be followed, as managed ones.
//!
//! What is changed there meanwhile may or may not be seen, so the last import is made when nobody writes there any
//! more, or `ringwell import status` says that all is equal. A link that breaks is made again, and the scan goes on;
//! at another process it begins anew, for a cursor is worth something only where it is from.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use anyhow::{Context, bail};
use ringwell_storage::keyspace::{DATABASES, RdbRaw};

use super::keys::Sending;
use crate::client::Peer;
use crate::compare::{Found, Remote, Side as _};
use crate::progress::Progress;
use crate::remote::Source;
use crate::remote::client::{Client, Reply, Trouble, command};

/// Keys asked for with one SCAN.
const PAGE: usize = 500;
/// Keys read together: so many at first, and then as many as make about so many bytes.
const AT_ONCE: usize = 64;
const BYTES: usize = 4 << 20;
/// A value may be as long as a Redis allows, and take so long.
const LONGEST: usize = 512 << 20;
const PATIENCE: Duration = Duration::from_secs(300);
/// A link that breaks is made again so often in a row.
const TRIES: u32 = 10;
/// Keys that could not be taken and are told by name.
const NAMED: usize = 10;

/// What the reader of the Redis says.
enum Said {
    /// How many keys there are, in all databases that are read.
    Total(u64),
    Key(RdbRaw),
    Refused(u8, Vec<u8>, String),
}

pub(super) fn run(source: &Source, peer: &Peer, keep_existing: bool) -> anyhow::Result<()> {
    let (said, heard) = sync_channel(64);
    let from = source.clone();
    let reader = std::thread::Builder::new().name("reader".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(read(&from, &said))
    })?;
    let mut sending = Sending::to(peer, keep_existing);
    let (mut total, mut refused) = (None, 0);
    let mut progress = Progress::begin();
    let mut sent = Ok(());
    for what in heard {
        match what {
            Said::Total(keys) => total = Some(keys),
            Said::Key(key) => sent = sending.put(key),
            Said::Refused(db, key, why) => {
                refused += 1;
                if refused <= NAMED {
                    let key = String::from_utf8_lossy(&key).into_owned();
                    eprintln!("database {db}, key {key:?} is not taken: {why}");
                }
            }
        }
        if sent.is_err() {
            break;
        }
        progress.show(sending.counts.keys, total, "keys");
    }
    progress.end();
    let sent = sent.and_then(|()| sending.flush());
    let read = reader.join().map_err(|_| anyhow::anyhow!("the reader failed"));
    println!("{}", sending.counts);
    sent?;
    read?.context("not all keys were read; the import may be repeated")?;
    anyhow::ensure!(refused == 0, "{refused} keys were not taken");
    Ok(())
}

/// Reads all keys; nobody listens any more where that cannot be said.
async fn read(source: &Source, said: &SyncSender<Said>) -> anyhow::Result<()> {
    let databases = databases(source).await?;
    let total = databases.iter().map(|(_, keys)| keys).sum();
    if said.send(Said::Total(total)).is_err() {
        return Ok(());
    }
    for (db, _) in databases {
        read_database(source, db, said).await.with_context(|| format!("database {db}"))?;
    }
    Ok(())
}

/// The databases that have keys, or the one that is asked for, and how many keys.
pub(super) async fn databases(source: &Source) -> anyhow::Result<Vec<(u8, u64)>> {
    let mut client = Client::connect(source, source.db.unwrap_or(0)).await?;
    if let Some(db) = source.db {
        let keys = match client.ask(&[b"DBSIZE"]).await? {
            Reply::Integer(keys) => u64::try_from(keys).unwrap_or(0),
            _ => 0,
        };
        return Ok(vec![(db, keys)]);
    }
    let Reply::Bulk(Some(text)) = client.ask(&[b"INFO", b"keyspace"]).await? else {
        bail!("{source:?} does not say which databases it has; name one: {source:?}/0");
    };
    let text = String::from_utf8_lossy(&text).into_owned();
    let mut found = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("db")) {
        let Some((db, facts)) = line.split_once(':') else { continue };
        let keys = facts.split(',').find_map(|fact| fact.strip_prefix("keys=")?.parse().ok());
        match db.parse::<u8>().ok().filter(|db| *db < DATABASES) {
            Some(db) => found.push((db, keys.unwrap_or(0))),
            None => bail!("{source:?} has a database {db}; a node has 16, from 0 on"),
        }
    }
    Ok(found)
}

/// Where the scan of a database is.
struct Scan {
    remote: Option<Remote>,
    /// The process that the cursor is from, as it calls itself.
    process: Option<String>,
    cursor: u64,
    at_once: usize,
}

async fn read_database(source: &Source, db: u8, said: &SyncSender<Said>) -> anyhow::Result<()> {
    let mut scan = Scan { remote: None, process: None, cursor: 0, at_once: AT_ONCE };
    let mut failed = 0;
    loop {
        match page(source, db, &mut scan, said).await {
            Ok(None) => return Ok(()),
            Ok(Some(next)) => {
                (scan.cursor, failed) = (next, 0);
                if next == 0 {
                    return Ok(());
                }
            }
            Err(trouble @ Trouble::Stop(_)) => return Err(trouble.into()),
            Err(trouble) if failed >= TRIES => return Err(trouble.into()),
            Err(trouble) => {
                failed += 1;
                eprintln!("{trouble}; trying again");
                tokio::time::sleep(Duration::from_secs(failed.into())).await;
            }
        }
    }
}

impl Scan {
    /// Connects; begins anew where the cursor is from another process.
    async fn connect(&mut self, source: &Source, db: u8) -> Result<Remote, Trouble> {
        let mut remote = connect(source, db).await?;
        let process = process(&mut remote).await?;
        if self.cursor > 0 && (process.is_none() || process != self.process) {
            eprintln!("this may be another server than before: database {db} is read anew");
            self.cursor = 0;
        }
        self.process = process;
        Ok(remote)
    }
}

/// What the process at the other end calls itself; each hashes keys, and so orders a scan, in its own way.
async fn process(remote: &mut Remote) -> Result<Option<String>, Trouble> {
    let mut request = Vec::new();
    command(&mut request, &[b"INFO", b"server"]);
    let reply = remote.client.call(&request, 1).await?.pop();
    let Some(Reply::Bulk(Some(text))) = reply else { return Ok(None) };
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok(text.lines().find_map(|line| line.strip_prefix("run_id:")).map(|id| id.trim().to_owned()))
}

/// Reads the keys of one SCAN; gives where it goes on, `None` if nobody listens any more.
async fn page(
    source: &Source,
    db: u8,
    scan: &mut Scan,
    said: &SyncSender<Said>,
) -> Result<Option<u64>, Trouble> {
    let mut remote = match scan.remote.take() {
        Some(remote) => remote,
        None => scan.connect(source, db).await?,
    };
    let Scan { cursor, at_once, .. } = scan;
    let (names, next) = remote.page(*cursor, PAGE).await?;
    let mut rest = names.as_slice();
    while !rest.is_empty() {
        let names = rest.get(..*at_once).unwrap_or(rest);
        let found = remote.read(db, names).await?;
        let (count, mut bytes) = (found.len(), 0);
        rest = rest.get(count..).unwrap_or_default();
        for (name, found) in names.iter().zip(found) {
            let what = match found {
                Found::Missing => continue,
                Found::Key(key) => {
                    bytes += key.size();
                    Said::Key(key)
                }
                Found::Refused(why) => Said::Refused(db, name.clone(), why),
            };
            if said.send(what).is_err() {
                return Ok(None);
            }
        }
        *at_once = (count * BYTES / bytes.max(1)).clamp(1, PAGE);
    }
    scan.remote = Some(remote);
    Ok(Some(next))
}

/// A database of a Redis, to be read whole.
pub(super) async fn connect(source: &Source, db: u8) -> Result<Remote, Trouble> {
    let client = Client::connect(source, db).await?.with_room(LONGEST, PATIENCE);
    Ok(Remote::all(client))
}
