//! The keys of a running Redis into a node, by SCAN and DUMP: for one that cannot be followed, as managed ones.
//!
//! What is changed there meanwhile may or may not be seen, so the last import is made when nobody writes there any
//! more, or `ringwell import status` says that all is equal. A link that breaks is made again, and the scan goes on.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use anyhow::{Context, bail};
use ringwell_storage::keyspace::{DATABASES, RdbRaw};

use super::keys::Sending;
use crate::client::Peer;
use crate::compare::{Found, Remote, Side as _};
use crate::progress::Progress;
use crate::remote::Source;
use crate::remote::client::{Client, Reply, Trouble};

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

async fn read_database(source: &Source, db: u8, said: &SyncSender<Said>) -> anyhow::Result<()> {
    let (mut cursor, mut at_once, mut failed) = (0, AT_ONCE, 0);
    let mut remote = None;
    loop {
        match page(source, db, &mut remote, cursor, &mut at_once, said).await {
            Ok(None) => return Ok(()),
            Ok(Some(next)) => {
                (cursor, failed) = (next, 0);
                if cursor == 0 {
                    return Ok(());
                }
            }
            Err(trouble @ Trouble::Stop(_)) => return Err(trouble.into()),
            Err(trouble) if failed >= TRIES => return Err(trouble.into()),
            Err(trouble) => {
                failed += 1;
                eprintln!("{trouble}; trying again");
                remote = None;
                tokio::time::sleep(Duration::from_secs(failed.into())).await;
            }
        }
    }
}

/// Reads the keys of one SCAN; gives where it goes on, `None` if nobody listens any more.
async fn page(
    source: &Source,
    db: u8,
    remote: &mut Option<Remote>,
    cursor: u64,
    at_once: &mut usize,
    said: &SyncSender<Said>,
) -> Result<Option<u64>, Trouble> {
    let remote = match remote {
        Some(remote) => remote,
        None => remote.insert(connect(source, db).await?),
    };
    let (names, next) = remote.page(cursor, PAGE).await?;
    let mut rest = names.as_slice();
    while !rest.is_empty() {
        let (names, behind) = rest.split_at((*at_once).min(rest.len()));
        rest = behind;
        let found = remote.read(db, names).await?;
        let mut bytes = 0;
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
        *at_once = (names.len() * BYTES / bytes.max(1)).clamp(1, PAGE);
    }
    Ok(Some(next))
}

/// A database of a Redis, to be read whole.
pub(super) async fn connect(source: &Source, db: u8) -> Result<Remote, Trouble> {
    let client = Client::connect(source, db).await?.with_room(LONGEST, PATIENCE);
    Ok(Remote::all(client))
}
