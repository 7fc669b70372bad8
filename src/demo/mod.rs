//! The demo fleet: a simulated fleet that pushes its metrics like any Redis client would.
//!
//! It connects to the node's own port, writes six hours of history, then lives on at one round a
//! second. Each round is one transaction that also notes how far the fleet has come, so a node that
//! was killed goes on where it was and no push is ever made twice.

mod client;
mod fleet;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use client::Client;
pub use fleet::{Command, Fleet};

/// How far back the first start writes.
pub const HISTORY: i64 = 6 * 3_600_000;
/// Rounds of history lie so far apart.
pub const HISTORY_STEP: i64 = 15_000;
/// Live rounds lie so far apart.
const LIVE_STEP: Duration = Duration::from_secs(1);
/// Rounds of history that are sent before their replies are read.
const BATCH: usize = 32;
/// A node that does not answer is asked again after this.
const RETRY: Duration = Duration::from_secs(1);

/// When the fleet's first round was: its story is told from there.
const START_KEY: &[u8] = b"demo-fleet:start";
/// How many rounds there were: as many as each training list had pushes.
const ROUNDS_KEY: &[u8] = b"demo-fleet:rounds";
/// The fleet's last round.
const LAST_KEY: &[u8] = b"demo-fleet:last";

/// Where the fleet pushes to, and who it is.
#[derive(Clone)]
pub struct Options {
    /// The node's Redis address.
    pub address: SocketAddr,
    /// What AUTH must give, if anything.
    pub secret: Option<Vec<u8>>,
    /// Makes one fleet differ from another.
    pub seed: u64,
    /// Milliseconds since 1970.
    pub now: Arc<dyn Fn() -> i64 + Send + Sync>,
}

/// Runs the fleet until `stop` returns; what it pushed stays.
pub async fn run(options: Options, stop: impl Future<Output = ()>) {
    let live = async {
        loop {
            let Err(error) = push(&options).await;
            tracing::warn!(%error, "the demo fleet lost its connection; trying again");
            tokio::time::sleep(RETRY).await;
        }
    };
    tokio::select! {
        () = stop => tracing::info!("the demo fleet has stopped; its data stays"),
        () = live => {}
    }
}

/// Writes what is missing of the history, then live rounds for ever.
async fn push(options: &Options) -> std::io::Result<std::convert::Infallible> {
    let mut client = Client::connect(options.address, options.secret.as_deref()).await?;
    let (fleet, last) = resume(&mut client, options).await?;
    let mut last = history(&mut client, &fleet, last, (options.now)()).await?;
    let mut ticks = tokio::time::interval(LIVE_STEP);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let now = (options.now)();
        // A clock that goes back is waited for: the fleet never tells its story twice.
        if now > last {
            client.call(&transaction(&fleet, last, now, |_| true)).await?;
            last = now;
        }
    }
}

/// The fleet and its last round, as the node remembers them, or a fleet that begins now.
async fn resume(client: &mut Client, options: &Options) -> std::io::Result<(Fleet, i64)> {
    let now = (options.now)();
    let oldest = now - HISTORY;
    if let (Some(start), Some(last)) =
        (client.number(START_KEY).await?, client.number(LAST_KEY).await?)
    {
        return Ok((Fleet::new(options.seed, start), last.max(oldest)));
    }
    client.call(&[set(START_KEY, oldest)]).await?;
    Ok((Fleet::new(options.seed, oldest), oldest))
}

/// Writes rounds after `last` up to `now`, the oldest first; gives the newest one's time.
async fn history(client: &mut Client, fleet: &Fleet, last: i64, now: i64) -> std::io::Result<i64> {
    let mut last = last;
    while last + HISTORY_STEP <= now {
        let mut commands = Vec::new();
        for _ in 0..BATCH {
            if last + HISTORY_STEP <= now {
                commands.extend(transaction(fleet, last, last + HISTORY_STEP, is_event));
                last += HISTORY_STEP;
            }
        }
        client.call(&commands).await?;
    }
    Ok(last)
}

/// Whether a command is about a list. Elements say when they happened; fields and members say what
/// is true now, so history has none.
fn is_event(command: &Command) -> bool {
    let name = command.first().map(Vec::as_slice).unwrap_or_default();
    [&b"LPUSH"[..], b"LTRIM", b"EXPIRE"].contains(&name)
}

/// One round, or what of it is wanted, and the note of it, all or nothing.
fn transaction(
    fleet: &Fleet,
    after: i64,
    t: i64,
    wanted: impl Fn(&Command) -> bool,
) -> Vec<Command> {
    let mut commands = vec![vec![b"MULTI".to_vec()]];
    commands.extend(fleet.round(after, t).into_iter().filter(|command| wanted(command)));
    commands.push(set(LAST_KEY, t));
    commands.push(vec![b"INCR".to_vec(), ROUNDS_KEY.to_vec()]);
    commands.push(vec![b"EXEC".to_vec()]);
    commands
}

fn set(key: &[u8], value: i64) -> Command {
    vec![b"SET".to_vec(), key.to_vec(), value.to_string().into_bytes()]
}
