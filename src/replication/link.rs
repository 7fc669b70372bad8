//! The conversation with one replica: an RDB file if it begins anew, then the stream without end, and
//! what it says of how far it is.
//!
//! What waits to be sent stands in the log, not here: one piece of the stream, or four of the RDB file.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use ringwell_storage::feed::{Feeder, StreamView};
use ringwell_storage::store::Ack;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Handshake, Notify, Primary, Replica, Wanted, hex, next_command};
use crate::wire::Wire;

/// Bytes of the stream sent at a time.
const PIECE: usize = 256 << 10;
/// Pieces of an RDB file that are made ahead.
const AHEAD: usize = 4;
/// What is written waits for others' syncs so long, then one is asked for.
const LAG: Duration = Duration::from_millis(100);
/// How often a replica that waits for its RDB file is sent something.
const ALIVE: Duration = Duration::from_secs(1);
/// Longest thing a replica says.
const MAX_SAID: usize = 64 << 10;

/// A connection that became a replica's.
pub struct Conversation<'a, S> {
    /// The connection.
    pub stream: &'a mut S,
    /// Bytes that arrived behind the request to be fed.
    pub input: Vec<u8>,
    /// Who is at its other end.
    pub peer: SocketAddr,
    /// What it said of itself.
    pub handshake: Handshake,
    /// What it wants.
    pub wanted: Wanted,
}

impl<S: Wire> Conversation<'_, S> {
    /// Feeds the replica until it is gone, does not answer, or `end` returns.
    pub async fn run(
        mut self,
        primary: Arc<Primary>,
        end: impl Future<Output = ()>,
    ) -> std::io::Result<()> {
        let given = self.handshake.address.as_deref().and_then(|text| text.parse().ok());
        let (id, replica) = primary.join(Replica {
            address: given.unwrap_or(self.peer.ip()),
            port: self.handshake.port,
            online: AtomicBool::new(false),
            offset: AtomicU64::new(0),
            heard: AtomicI64::new(crate::clock::now_ms()),
            spoke: Notify::new(),
        });
        let input = std::mem::take(&mut self.input);
        let (handshake, wanted) = (self.handshake, self.wanted);
        let (read, write) = self.stream.halves();
        let feeding = Feeding { primary: &primary, replica: &replica, write };
        let ended = tokio::select! {
            ended = feeding.run(&handshake, wanted) => ended,
            ended = listen(read, input, &primary, &replica) => ended,
            () = silence(&primary, &replica) => {
                Err(Error::new(ErrorKind::TimedOut, "the replica said nothing for too long"))
            }
            () = end => Ok(()),
        };
        primary.leave(id);
        match &ended {
            Ok(()) => tracing::info!(peer = %self.peer, "replica left"),
            Err(error) => tracing::warn!(peer = %self.peer, %error, "replica cut off"),
        }
        ended
    }
}

/// Returns when a replica has said nothing for too long.
async fn silence(primary: &Primary, replica: &Replica) {
    let timeout = primary.options.timeout;
    loop {
        let heard = replica.heard.load(Ordering::Relaxed);
        let quiet = u64::try_from(crate::clock::now_ms() - heard).unwrap_or(0);
        match timeout.checked_sub(Duration::from_millis(quiet)) {
            Some(left) if !left.is_zero() => tokio::time::sleep(left).await,
            _ => return,
        }
    }
}

/// Reads what the replica says until it is gone.
async fn listen(
    mut read: impl AsyncRead + Unpin,
    mut input: Vec<u8>,
    primary: &Primary,
    replica: &Replica,
) -> std::io::Result<()> {
    loop {
        let mut done = 0;
        while let Some((said, length)) = said(input.get(done..).unwrap_or_default())? {
            done += length;
            if let Some(offset) = said {
                replica.offset.fetch_max(offset, Ordering::AcqRel);
                replica.spoke.notify_one();
                primary.acknowledged.notify_waiters();
            }
        }
        input.drain(..done);
        if input.len() > MAX_SAID {
            return Err(Error::new(ErrorKind::InvalidData, "the replica talks too much"));
        }
        if read.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
        replica.hear();
    }
}

/// The next thing said: an offset, or something else; and how long it is. `None` if it is not whole.
fn said(bytes: &[u8]) -> std::io::Result<Option<(Option<u64>, usize)>> {
    // While it loads an RDB file it sends empty lines.
    if bytes.first() == Some(&b'\n') {
        return Ok(Some((None, 1)));
    }
    let command = next_command(bytes, MAX_SAID);
    let command = command.map_err(|what| Error::new(ErrorKind::InvalidData, what))?;
    let Some((args, length)) = command else { return Ok(None) };
    let offset = match args.as_slice() {
        [name, what, offset, ..]
            if name.eq_ignore_ascii_case(b"replconf") && what.eq_ignore_ascii_case(b"ack") =>
        {
            std::str::from_utf8(offset).ok().and_then(|text| text.parse().ok())
        }
        _ => None,
    };
    Ok(Some((offset, length)))
}

/// The half of the conversation that sends.
struct Feeding<'a, W> {
    primary: &'a Arc<Primary>,
    replica: &'a Arc<Replica>,
    write: W,
}

impl<W: AsyncWrite + Unpin> Feeding<'_, W> {
    async fn run(mut self, handshake: &Handshake, wanted: Wanted) -> std::io::Result<()> {
        let store = Arc::clone(self.primary.store()?);
        // The name a replica is told must not be forgotten by a power cut.
        let named = tokio::task::spawn_blocking(move || store.name_stream()).await?;
        self.durable(named.map_err(other)?).await?;
        let feeder = match self.go_on(handshake, wanted).await? {
            Some(feeder) => feeder,
            None => self.begin_anew(handshake, wanted).await?,
        };
        self.replica.offset.fetch_max(feeder.offset(), Ordering::AcqRel);
        self.replica.online.store(true, Ordering::Release);
        self.primary.acknowledged.notify_waiters();
        self.feed(feeder).await
    }

    /// Goes on where the replica was, if that can be.
    async fn go_on(
        &mut self,
        handshake: &Handshake,
        wanted: Wanted,
    ) -> std::io::Result<Option<Feeder>> {
        let Wanted::After(name, offset) = wanted else { return Ok(None) };
        let counters = &self.primary.counters;
        let stream = self.primary.store()?.stream();
        let now = stream.map(|stream| stream.name).filter(|now| handshake.renames || *now == name);
        let found = now.and_then(|now| {
            let store = self.primary.store().ok()?;
            store.stream_from(&name, offset).map(|feeder| (now, feeder))
        });
        let Some((now, feeder)) = found else {
            counters.refused.fetch_add(1, Ordering::Relaxed);
            tracing::info!(
                name = hex(&name), offset, replica = %self.replica.address,
                "the replica cannot go on where it was and begins anew"
            );
            return Ok(None);
        };
        counters.partial.fetch_add(1, Ordering::Relaxed);
        tracing::info!(offset, replica = %self.replica.address, "replica goes on where it was");
        let answer = match handshake.renames {
            true => format!("+CONTINUE {}\r\n", hex(&now)),
            false => "+CONTINUE\r\n".to_owned(),
        };
        self.send(answer.as_bytes()).await?;
        Ok(Some(feeder))
    }

    /// Sends all keys as an RDB file.
    async fn begin_anew(
        &mut self,
        handshake: &Handshake,
        wanted: Wanted,
    ) -> std::io::Result<Feeder> {
        let store = Arc::clone(self.primary.store()?);
        let frozen = tokio::task::spawn_blocking(move || {
            store.stream_view().map(|view| (view, store.log_end()))
        });
        let (StreamView { view, name, offset, feeder }, end) = frozen.await?.map_err(other)?;
        self.durable(end).await?;
        self.primary.counters.full.fetch_add(1, Ordering::Relaxed);
        tracing::info!(keys = view.keys(), offset, replica = %self.replica.address, "replica begins anew");
        if wanted != Wanted::AllUnnamed {
            let answer = format!("+FULLRESYNC {} {offset}\r\n", hex(&name));
            self.send(answer.as_bytes()).await?;
        }
        let view = Arc::new(view);
        let streamed = handshake.eof && wanted != Wanted::AllUnnamed;
        let mark = end_mark();
        let head = if streamed {
            format!("$EOF:{mark}\r\n")
        } else {
            let view = Arc::clone(&view);
            let measured = tokio::task::spawn_blocking(move || {
                let mut length = 0;
                view.rdb(&mut |piece| {
                    length += piece.len();
                    true
                });
                length
            });
            format!("${}\r\n", self.alive(measured).await?)
        };
        self.send(head.as_bytes()).await?;
        let (sender, mut pieces) = mpsc::channel::<Vec<u8>>(AHEAD);
        let made = tokio::task::spawn_blocking(move || {
            view.rdb(&mut |piece| sender.blocking_send(piece).is_ok())
        });
        while let Some(piece) = pieces.recv().await {
            self.send(&piece).await?;
            // It says nothing while it takes the file; that it takes it is enough.
            self.replica.hear();
        }
        if !made.await? {
            return Err(Error::other("the RDB file ended early"));
        }
        if streamed {
            self.send(mark.as_bytes()).await?;
            // It finds the end by the mark, so nothing may follow before it has.
            self.replica.spoke.notified().await;
        }
        Ok(feeder)
    }

    /// Waits for work before the RDB file; meanwhile the replica gets empty lines, or it would take this node
    /// for dead.
    async fn alive<T>(&mut self, mut work: JoinHandle<T>) -> std::io::Result<T> {
        loop {
            match tokio::time::timeout(ALIVE, &mut work).await {
                Ok(done) => return Ok(done?),
                Err(_) => {
                    self.send(b"\n").await?;
                    self.replica.hear();
                }
            }
        }
    }

    /// Sends what comes, as soon as it is synced.
    async fn feed(mut self, mut feeder: Feeder) -> std::io::Result<()> {
        let mut piece = Vec::new();
        loop {
            let durable = self.primary.store()?.synced();
            if feeder.position() < durable {
                let read = tokio::task::spawn_blocking(move || {
                    let read = feeder.read(durable, PIECE, &mut piece);
                    (read, feeder, piece)
                });
                let read = read.await?;
                (feeder, piece) = (read.1, read.2);
                if let Err(error) = read.0 {
                    // Or it would come back to the same place for ever.
                    self.primary.store()?.stream_lost(&feeder);
                    return Err(Error::other(error));
                }
                self.send(&piece).await?;
                piece.clear();
                piece.shrink_to(2 * PIECE);
                continue;
            }
            let synced = self.primary.synced.notified();
            let _ = tokio::time::timeout(LAG, synced).await;
            let end = self.primary.store()?.log_end();
            if self.primary.store()?.synced() == durable && end > durable {
                self.durable(end).await?;
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.write.write_all(bytes).await?;
        self.write.flush().await
    }

    async fn durable(&self, position: ringwell_storage::model::WalPosition) -> std::io::Result<()> {
        self.primary.store()?.wait(position, Ack::Synced).await.map_err(other)
    }
}

fn other(error: ringwell_storage::append::AppendError) -> Error {
    Error::other(error)
}

/// Forty characters that no RDB file holds but by an accident that never happens.
fn end_mark() -> String {
    use std::hash::{BuildHasher, RandomState};
    let part = |i: u8| RandomState::new().hash_one(i);
    format!("{:016x}{:016x}{:08x}", part(0), part(1), part(2) as u32)
}

#[cfg(test)]
mod tests {
    use super::said;

    #[test]
    fn reads_what_is_said_whole_or_not_at_all() {
        let ack = b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$4\r\n1234\r\n";
        for length in 0..ack.len() {
            assert_eq!(said(&ack[..length]).unwrap(), None);
        }
        assert_eq!(said(ack).unwrap(), Some((Some(1234), ack.len())));
        assert_eq!(said(b"\n*3").unwrap(), Some((None, 1)));
        assert_eq!(said(b"*1\r\n$4\r\nPING\r\n").unwrap(), Some((None, 14)));
        for wrong in
            [&b"+OK\r\n"[..], b"*99999999\r\n", b"*-1\r\n", b"*1\r\n:5\r\n", b"GET / HTTP/1.1\r\n"]
        {
            assert!(said(wrong).is_err(), "{wrong:?}");
        }
    }
}
