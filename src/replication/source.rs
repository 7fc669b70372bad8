//! This node as the replica of a Redis, to move in: `ringwell serve --replica-of redis://host:port`.
//!
//! A full sync is written into a file and read key by key; of each key only what differs is changed
//! (`adopt`), so a second one makes no sample again. Then the source's commands run as a client's would, with
//! what the keymap makes of them. A link that broke goes on where it was, if the source lets it.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ringwell_storage::keyspace::{RdbReader, Reply};
use ringwell_storage::store::Store;
use tokio::io::AsyncWriteExt as _;

use super::adopt::Adopting;
use super::call::{Link, PATIENCE};
use super::command::{MAX_STRING, next_command};
use super::upstream::Upstream;
use crate::inside::Inside;

/// After a break of so long all is asked for again: a key may have expired here meanwhile that was changed there.
const FORGETS: Duration = Duration::from_secs(10);
/// Between two calls. After full syncs that fail it doubles up to the second: each costs the source a snapshot.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How often the source hears how far this is.
const REPORT: Duration = Duration::from_secs(1);

pub(super) type Result<T> = std::result::Result<T, String>;

/// Follows a Redis.
pub struct Following {
    upstream: Arc<Upstream>,
    port: u16,
    inside: Arc<dyn Inside>,
    store: Arc<Store>,
    /// Where a full sync is written.
    file: PathBuf,
    /// Bytes of a command or a transaction that are held until all of it is there.
    longest: usize,
}

/// Where this is in the source's stream.
struct Place {
    name: String,
    offset: u64,
    db: u8,
    heard: Instant,
    /// Whether a transaction could be run in part only, or not at all: nothing but a full sync makes that good.
    lost: bool,
}

/// A transaction of the source whose end has not come. Until then this node is where it begins.
struct Open {
    commands: Vec<(u8, Vec<Vec<u8>>)>,
    bytes: usize,
    /// The database that is selected in it.
    db: u8,
}

impl Following {
    /// A node that follows a source and answers itself at `port`.
    pub fn new(
        upstream: Arc<Upstream>,
        port: u16,
        inside: Arc<dyn Inside>,
        store: Arc<Store>,
        file: PathBuf,
        longest: usize,
    ) -> Following {
        // The source says when keys go.
        store.expire_keys(false);
        Following { upstream, port, inside, store, file, longest }
    }

    /// Follows until `stop` returns.
    pub async fn run(self: Arc<Self>, stop: impl Future<Output = ()>) {
        let following = async {
            let (mut place, mut pause) = (None, PAUSE.0);
            loop {
                let source = &self.upstream.source;
                if let Err(error) = self.session(&mut place).await {
                    tracing::warn!(?source, error, "the source is not followed now");
                }
                pause = match self.upstream.broke() {
                    true => (pause * 2).min(PAUSE.1),
                    false => PAUSE.0,
                };
                tokio::time::sleep(pause).await;
            }
        };
        tokio::select! {
            () = stop => {}
            () = following => {}
        }
    }

    async fn session(&self, place: &mut Option<Place>) -> Result<()> {
        let (source, state) = (&self.upstream.source, &self.upstream.state);
        let stream = source.connect(PATIENCE).await.map_err(text)?;
        let mut link = Link { stream, input: Vec::new() };
        let auth = source.login().await.map_err(text)?;
        if !auth.is_empty() {
            let words: Vec<&[u8]> =
                [&b"AUTH"[..]].into_iter().chain(auth.iter().map(Vec::as_slice)).collect();
            link.expect_ok(&words).await?;
        }
        let port = self.port.to_string();
        link.expect_ok(&[b"REPLCONF", b"listening-port", port.as_bytes()]).await?;
        link.expect_ok(&[b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"]).await?;
        if place.as_ref().is_some_and(|place| place.lost || place.heard.elapsed() > FORGETS) {
            *place = None;
        }
        let answer = match &*place {
            Some(place) => {
                let first = (place.offset + 1).to_string();
                link.ask(&[b"PSYNC", place.name.as_bytes(), first.as_bytes()]).await?
            }
            None => link.ask(&[b"PSYNC", b"?", b"-1"]).await?,
        };
        let mut words = answer.split(' ');
        match (words.next(), place.as_mut()) {
            (Some("+CONTINUE"), Some(known)) => {
                if let Some(name) = words.next() {
                    name.clone_into(&mut known.name);
                }
                state.partial.fetch_add(1, Ordering::Relaxed);
                tracing::info!(offset = known.offset, "the source goes on where this node was");
            }
            (Some("+FULLRESYNC"), _) => {
                let name = words.next().unwrap_or_default().to_owned();
                // As Redis counts it, so that there is room for what is added.
                let offset = words.next().and_then(|text| text.parse::<i64>().ok());
                let offset = offset.and_then(|offset| u64::try_from(offset).ok());
                let offset = offset.ok_or_else(|| format!("the source says {answer:?}"))?;
                *place = None;
                state.syncing.store(true, Ordering::Relaxed);
                self.take_all(&mut link).await?;
                state.syncing.store(false, Ordering::Relaxed);
                *place = Some(Place { name, offset, db: 0, heard: Instant::now(), lost: false });
                state.full.fetch_add(1, Ordering::Relaxed);
            }
            _ => return Err(format!("the source says {answer:?}")),
        }
        let Some(place) = place.as_mut() else { return Ok(()) };
        state.heard.store(crate::clock::now_ms(), Ordering::Relaxed);
        state.up.store(true, Ordering::Relaxed);
        self.follow(&mut link, place).await
    }

    /// Writes the source's RDB file down and takes it over.
    async fn take_all(&self, link: &mut Link) -> Result<()> {
        let spooled = Spooled(&self.file);
        link.spool(&self.file, &self.store).await?;
        let file = File::open(&self.file).map_err(text)?;
        let (inside, store) = (Arc::clone(&self.inside), Arc::clone(&self.store));
        let work = tokio::task::spawn_blocking(move || {
            let mut reader =
                RdbReader::new(BufReader::with_capacity(1 << 20, file)).map_err(text)?;
            let mut adopting = Adopting::new(&*inside, &store);
            while let Some(key) = reader.next_key().map_err(text)? {
                adopting.take(&key)?;
                adopting.stays(key);
            }
            adopting.finish()
        });
        // The source takes a silent replica for dead.
        let alive = async {
            loop {
                tokio::time::sleep(REPORT).await;
                let said = async {
                    link.stream.write_all(b"\n").await?;
                    link.stream.flush().await
                };
                if said.await.is_err() {
                    return std::future::pending::<()>().await;
                }
            }
        };
        let taken = tokio::select! {
            taken = work => taken.map_err(text)??,
            () = alive => return Err("never".to_owned()),
        };
        self.upstream.state.keys.store(taken, Ordering::Relaxed);
        drop(spooled);
        tracing::info!(keys = taken, "all keys of the source are here");
        Ok(())
    }

    /// Runs what the source sends.
    async fn follow(&self, link: &mut Link, place: &mut Place) -> Result<()> {
        link.report(place.offset).await?;
        let mut report = tokio::time::interval(REPORT);
        let mut open = None;
        loop {
            let mut done = 0;
            loop {
                let rest = link.input.get(done..).unwrap_or_default();
                let Some((args, length)) = next_command(rest, MAX_STRING)? else { break };
                // One that this node cannot take now is not behind it: it is asked for again.
                let asks = self.take(&args, length, place, &mut open)?;
                done += length;
                if asks {
                    link.input.drain(..std::mem::take(&mut done));
                    link.report(place.offset).await?;
                }
            }
            link.input.drain(..done);
            self.upstream.state.offset.store(place.offset, Ordering::Relaxed);
            if link.input.len() > self.longest {
                return Err(self.too_long("a command", place));
            }
            tokio::select! {
                read = link.read() => {
                    read?;
                    place.heard = Instant::now();
                    self.upstream.state.heard.store(crate::clock::now_ms(), Ordering::Relaxed);
                }
                _ = report.tick() => {
                    if place.heard.elapsed() > PATIENCE {
                        return Err("the source is silent".to_owned());
                    }
                    link.report(place.offset).await?;
                }
            }
        }
    }

    /// Takes a command, which is so long; whether the source wants to hear how far this is.
    fn take(
        &self,
        args: &[&[u8]],
        length: usize,
        place: &mut Place,
        open: &mut Option<Open>,
    ) -> Result<bool> {
        let name = args.first().copied().unwrap_or_default();
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        let Some(within) = open else {
            if is(b"multi") {
                *open = Some(Open { commands: Vec::new(), bytes: length, db: place.db });
                return Ok(false);
            }
            let asks = self.run_one(args, place)?;
            place.offset += length as u64;
            return Ok(asks);
        };
        within.bytes += length;
        if within.bytes > self.longest {
            return Err(self.too_long("a transaction", place));
        }
        if is(b"select") {
            within.db = database(args)?;
        } else if is(b"exec") {
            self.run_whole(within, place)?;
            place.offset += within.bytes as u64;
            place.db = within.db;
            *open = None;
        } else {
            within.commands.push((within.db, args.iter().map(|arg| arg.to_vec()).collect()));
        }
        Ok(false)
    }

    /// It would be as long again, but a full sync has what it makes.
    fn too_long(&self, what: &str, place: &mut Place) -> String {
        place.lost = true;
        let most = self.longest;
        format!(
            "{what} of the source has more than {most} bytes (limits.source_command): all is asked for again"
        )
    }

    /// Runs a transaction of the source as one.
    fn run_whole(&self, open: &Open, place: &mut Place) -> Result<()> {
        let told = |args: &[Vec<u8>]| {
            let name = args.first().map(Vec::as_slice).unwrap_or_default();
            name.eq_ignore_ascii_case(b"publish") || name.eq_ignore_ascii_case(b"spublish")
        };
        let (messages, commands): (Vec<_>, Vec<_>) =
            open.commands.iter().partition(|(_, args)| told(args));
        let commands: Vec<(u8, Vec<&[u8]>)> = commands
            .into_iter()
            .map(|(db, args)| (*db, args.iter().map(Vec::as_slice).collect()))
            .collect();
        if !commands.is_empty() {
            self.store.admits().map_err(text)?;
            let called = self.inside.follow_all(&commands);
            let changed = called.iter().any(|called| called.position.is_some());
            for (called, (_, args)) in called.into_iter().zip(&commands) {
                let name = args.first().copied().unwrap_or_default();
                self.look(name, called.reply).inspect_err(|_| place.lost |= changed)?;
            }
        }
        for (_, args) in messages {
            if let [_, channel, message] = args.as_slice() {
                self.inside.publish(channel, message);
            }
        }
        Ok(())
    }

    /// Runs a command; whether the source wants to hear how far this is.
    fn run_one(&self, args: &[&[u8]], place: &mut Place) -> Result<bool> {
        let name = args.first().copied().unwrap_or_default().to_ascii_lowercase();
        match (name.as_slice(), args) {
            (b"ping" | b"exec", _) => return Ok(false),
            (b"replconf", [_, what, ..]) => return Ok(what.eq_ignore_ascii_case(b"getack")),
            (b"select", _) => {
                place.db = database(args)?;
                return Ok(false);
            }
            (b"publish" | b"spublish", [_, channel, message]) => {
                self.inside.publish(channel, message);
                return Ok(false);
            }
            _ => {}
        }
        self.look(&name, self.inside.follow(place.db, args).reply)?;
        Ok(false)
    }

    /// Counts a command, and tells of one that is refused; an error if it is to be asked for again.
    fn look(&self, name: &[u8], reply: Reply) -> Result<()> {
        let state = &self.upstream.state;
        state.commands.fetch_add(1, Ordering::Relaxed);
        let Reply::Error(error) = reply else { return Ok(()) };
        if error.starts_with("MISCONF") {
            return Err(error);
        }
        if state.refused.fetch_add(1, Ordering::Relaxed) == 0 {
            let command = String::from_utf8_lossy(name).into_owned();
            tracing::error!(
                command,
                error,
                "a command of the source is refused here; its key is not equal"
            );
        }
        Ok(())
    }
}

/// The database that SELECT names.
fn database(args: &[&[u8]]) -> Result<u8> {
    let number = args.get(1).and_then(|number| std::str::from_utf8(number).ok()?.parse().ok());
    let known = number.filter(|db| *db < ringwell_storage::keyspace::DATABASES);
    known.ok_or_else(|| "the source has more than 16 databases".to_owned())
}

/// The file of a full sync, which goes when nobody reads it any more, however that ends.
struct Spooled<'a>(&'a Path);

impl Drop for Spooled<'_> {
    fn drop(&mut self) {
        // It may not have come to be.
        let _ = std::fs::remove_file(self.0);
    }
}

pub(super) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
