//! The keys of an RDB file into a running node. The file is read twice: first all of it is checked, and nothing
//! is sent of one that is damaged.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::Context;
use ringwell_storage::keyspace::RdbReader;

use super::keys::Sending;
use crate::client::Peer;
use crate::progress::Progress;

pub(super) fn run(file: &Path, peer: &Peer, keep_existing: bool) -> anyhow::Result<()> {
    let name = file.display();
    anyhow::ensure!(
        file.as_os_str() != "-",
        "an RDB file is read twice, so it cannot come from the standard input"
    );
    let bytes = File::open(file).and_then(|file| file.metadata());
    let bytes = bytes.with_context(|| format!("cannot read {name}"))?.len();
    let keys = check(file, bytes).with_context(|| format!("{name}: nothing was imported"))?;
    let mut reader = open(file)?;
    let mut sending = Sending::to(peer, keep_existing);
    let mut progress = Progress::begin();
    let sent = (|| -> anyhow::Result<()> {
        while let Some(key) = reader.next_raw()? {
            sending.put(key)?;
            progress.show(sending.counts.keys, Some(keys), "keys");
        }
        sending.flush()
    })();
    progress.end();
    sent.with_context(|| {
        let done = sending.counts.keys;
        format!("{name}: {done} of {keys} keys are in; the import may be repeated")
    })?;
    println!("{}", sending.counts);
    Ok(())
}

fn open(file: &Path) -> anyhow::Result<RdbReader<impl Read + use<>>> {
    let read = File::open(file)?;
    RdbReader::new(BufReader::with_capacity(1 << 20, read)).context("at byte 0")
}

/// Reads all of a file; gives how many keys it has.
fn check(file: &Path, bytes: u64) -> anyhow::Result<u64> {
    let mut reader = open(file)?;
    let mut progress = Progress::begin();
    let mut keys = 0;
    loop {
        let key = reader.next_key().with_context(|| format!("at byte {}", reader.at()))?;
        let Some(key) = key else { break };
        let known = key.db < u64::from(ringwell_storage::keyspace::DATABASES);
        anyhow::ensure!(known, "database {}: a node has 16, from 0 on", key.db);
        keys += 1;
        progress.show(reader.at(), Some(bytes), "bytes checked");
    }
    progress.end();
    Ok(keys)
}
