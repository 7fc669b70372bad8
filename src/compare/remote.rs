//! The keys of a server that speaks Redis's protocol: names by SCAN, contents by DUMP.

use std::sync::Arc;

use ringwell_storage::keyspace::RdbRaw;

use super::{Look, Side};
use crate::clock;
use crate::remote::client::{Client, Reply, Trouble, command};

/// Which names there belong to a comparison, as they are called here.
pub(crate) type Here = Arc<dyn Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync>;

/// Keys looked at with one call: so many at first, and then as many as make about so many bytes.
const FIRST: usize = 8;
const BYTES: usize = 4 << 20;

/// One database of a server.
pub(crate) struct Remote {
    pub(crate) client: Client,
    /// What its keys are called there.
    pub(crate) prefix: Vec<u8>,
    /// What SCAN is asked for.
    pub(crate) pattern: Vec<u8>,
    pub(crate) here: Here,
    /// Whether it knows PEXPIRETIME, which Redis does since 7.0.
    tells_when: bool,
    /// Keys that are looked at with one call.
    at_once: usize,
}

/// What was found of a key.
#[derive(Debug)]
pub(crate) enum Found {
    Missing,
    Key(RdbRaw),
    /// Why it could not be taken.
    Refused(String),
}

impl Remote {
    /// All keys of the database that a connection has selected.
    pub(crate) fn all(client: Client) -> Remote {
        let here: Here = Arc::new(|name| Some(name.to_vec()));
        Remote::of(client, Vec::new(), here)
    }

    /// Those that begin like this and are called something here.
    pub(crate) fn of(client: Client, prefix: Vec<u8>, here: Here) -> Remote {
        let pattern = crate::remote::client::beginning(&prefix);
        Remote { client, prefix, pattern, here, tells_when: true, at_once: FIRST }
    }

    /// Reads keys whole: the first at least, and as many of the others as there is room for.
    pub(crate) async fn read(&mut self, db: u8, names: &[Vec<u8>]) -> Result<Vec<Found>, Trouble> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut requests = Vec::new();
        for name in names {
            let name = [&self.prefix, name.as_slice()].concat();
            command(&mut requests, &[b"DUMP", &name]);
            let when: &[u8] = if self.tells_when { b"PEXPIRETIME" } else { b"PTTL" };
            command(&mut requests, &[when, &name]);
        }
        let replies = self.client.call(&requests, 2 * names.len()).await?;
        let unknown = |reply: &Reply| match reply {
            Reply::Error(text) => text.contains("unknown command") || text.contains("NOPERM"),
            _ => false,
        };
        if self.tells_when && replies.iter().skip(1).step_by(2).any(unknown) {
            self.tells_when = false;
            return Box::pin(self.read(db, names)).await;
        }
        let now = if self.tells_when { 0 } else { clock::now_ms() };
        let crowded = |pair: &[Reply]| matches!(pair, [Reply::TooLong(_), _]);
        let pairs = replies.chunks_exact(2).zip(names).enumerate();
        let pairs = pairs.take_while(|(at, (pair, _))| *at == 0 || !crowded(pair));
        pairs.map(|(_, (pair, name))| found(db, name, pair, now)).collect()
    }
}

fn found(db: u8, name: &[u8], pair: &[Reply], now: i64) -> Result<Found, Trouble> {
    let [dump, when] = pair else { return Ok(Found::Missing) };
    let dump = match dump {
        Reply::Bulk(Some(dump)) => dump,
        Reply::Bulk(None) => return Ok(Found::Missing),
        Reply::TooLong(length) => {
            return Ok(Found::Refused(format!("it has {length} bytes, which are too many")));
        }
        Reply::Error(text) => {
            return match dump.trouble() {
                // Of this key only.
                Some(Trouble::Link(_)) | None => Ok(Found::Refused(text.clone())),
                Some(trouble) => Err(trouble),
            };
        }
        _ => return Err(Trouble::Link("the server's DUMP is none".to_owned())),
    };
    let expires = match when {
        Reply::Integer(at) if *at >= 0 => Some(now.saturating_add(*at)),
        Reply::Integer(-1) => None,
        // It went between the two.
        Reply::Integer(_) => return Ok(Found::Missing),
        Reply::Error(text) => return Ok(Found::Refused(text.clone())),
        _ => return Err(Trouble::Link("the server's PTTL is none".to_owned())),
    };
    Ok(match RdbRaw::of_dump(db.into(), name.to_vec(), expires, dump) {
        Ok(raw) => Found::Key(raw),
        Err(error) => Found::Refused(error.to_string()),
    })
}

impl Side for Remote {
    async fn page(&mut self, cursor: u64, count: usize) -> Result<(Vec<Vec<u8>>, u64), Trouble> {
        let cursor = cursor.to_string();
        let (names, next) = self.client.scan(cursor.as_bytes(), &self.pattern, count).await?;
        let next = std::str::from_utf8(&next).ok().and_then(|text| text.parse().ok());
        let next = next.ok_or_else(|| Trouble::Link("the server's SCAN is none".to_owned()))?;
        Ok((names.iter().filter_map(|name| (self.here)(name)).collect(), next))
    }

    async fn look(&mut self, names: &[Vec<u8>]) -> Result<Vec<Look>, Trouble> {
        let mut looks = Vec::with_capacity(names.len());
        while let Some(rest) = names.get(looks.len()..).filter(|rest| !rest.is_empty()) {
            let names = rest.get(..self.at_once).unwrap_or(rest);
            let found = self.read(0, names).await?;
            let (count, mut bytes) = (found.len(), 1);
            looks.extend(found.into_iter().map(|found| match found {
                Found::Missing => Look::Missing,
                Found::Refused(why) => Look::Unread(why),
                Found::Key(raw) => {
                    bytes += raw.size();
                    match raw.digest() {
                        Ok(digest) => Look::Holds { digest, expires: raw.expires },
                        Err(error) => Look::Unread(error.to_string()),
                    }
                }
            }));
            self.at_once = (count * BYTES / bytes).clamp(1, super::AT_ONCE);
        }
        Ok(looks)
    }

    async fn has(&mut self, names: &[Vec<u8>]) -> Result<Vec<bool>, Trouble> {
        let mut requests = Vec::new();
        for name in names {
            command(&mut requests, &[b"EXISTS", &[&self.prefix, name.as_slice()].concat()]);
        }
        let replies = self.client.call(&requests, names.len()).await?;
        let there = replies.into_iter().map(|reply| match (reply.trouble(), reply) {
            (Some(trouble), _) => Err(trouble),
            (None, reply) => Ok(reply == Reply::Integer(1)),
        });
        there.collect()
    }
}
