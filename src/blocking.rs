//! The one bridge from async tasks to blocking work: a bounded number of jobs at a time.
//!
//! A job that waits too long for its turn is refused, one whose asker is gone is told to stop:
//! dropping the future of [`Pool::run`] raises the job's [`Cancel`].
//!
//! A job that was quick the last time runs where it is asked for: going to another thread and back takes
//! as long as it does.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ringwell_query::{Interrupt, Stop};
use tokio::sync::Semaphore;

/// A job is quick if it takes no longer.
const QUICK: Duration = Duration::from_micros(300);
/// A job that was quick may hold up the other tasks of its thread for so long.
const IN_PLACE: Duration = Duration::from_millis(1);
/// So many jobs are known to be quick; beyond, all are forgotten.
const KNOWN: usize = 4096;

/// A bounded pool of blocking jobs.
#[derive(Debug)]
pub struct Pool {
    turns: Arc<Semaphore>,
    queue: Duration,
    running: Arc<AtomicUsize>,
    refused: AtomicU64,
    quick: Mutex<HashSet<u64>>,
}

/// Why a job gave no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// Its turn did not come.
    #[error("too many queries at once: none of the {0} running ones ended in time")]
    Busy(usize),
    /// It panicked; the message is in the log.
    #[error("the job failed unexpectedly")]
    Panicked,
}

/// Tells a running job to stop: when its asker is gone, or its time is over.
#[derive(Debug)]
pub struct Cancel {
    canceled: AtomicBool,
    deadline: Instant,
    /// When it is to stop because it runs in place, and whether it did.
    in_place: Option<(Instant, AtomicBool)>,
}

impl Cancel {
    fn by(deadline: Instant) -> Cancel {
        Cancel { canceled: AtomicBool::new(false), deadline, in_place: None }
    }
}

impl Interrupt for Cancel {
    fn stop(&self) -> Option<Stop> {
        if let Some((until, stopped)) = &self.in_place {
            // It is over before its deadline, and nobody can cancel what runs in the asker's own thread.
            let now = Instant::now() >= *until;
            stopped.fetch_or(now, Ordering::Relaxed);
            return now.then_some(Stop::Canceled);
        }
        if self.canceled.load(Ordering::Relaxed) {
            Some(Stop::Canceled)
        } else if Instant::now() >= self.deadline {
            Some(Stop::TimedOut)
        } else {
            None
        }
    }
}

impl Pool {
    /// A pool of `size` jobs at a time; others wait up to `queue` for their turn.
    pub fn new(size: usize, queue: Duration) -> Pool {
        Pool {
            turns: Arc::new(Semaphore::new(size.max(1))),
            queue,
            running: Arc::default(),
            refused: AtomicU64::new(0),
            quick: Mutex::default(),
        }
    }

    /// Jobs that run now.
    pub fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// Jobs refused since the start.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Runs a job that may be told to stop and start anew. What has the same `key` takes about as long.
    pub async fn run_again<T: Send + 'static>(
        &self,
        key: impl Hash,
        timeout: Duration,
        job: impl Fn(&Cancel) -> T + Send + Sync + 'static,
    ) -> Result<T, PoolError> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let key = hasher.finish();
        if self.known_quick().contains(&key)
            && timeout > IN_PLACE
            && let Some(done) = self.run_in_place(key, timeout, &job)
        {
            return done;
        }
        let timed = move |cancel: &Cancel| {
            let started = Instant::now();
            (job(cancel), started.elapsed())
        };
        let (done, took) = self.run(timeout, timed).await?;
        if took <= QUICK {
            let mut quick = self.known_quick();
            if quick.len() >= KNOWN {
                quick.clear();
            }
            quick.insert(key);
        }
        Ok(done)
    }

    /// `None` where all turns are taken, or it took longer than the other tasks can wait.
    fn run_in_place<T>(
        &self,
        key: u64,
        timeout: Duration,
        job: impl Fn(&Cancel) -> T,
    ) -> Option<Result<T, PoolError>> {
        let _turn = self.turns.try_acquire().ok()?;
        let _running = Running::start(&self.running);
        let started = Instant::now();
        let mut cancel = Cancel::by(started + timeout);
        cancel.in_place = Some((started + IN_PLACE, AtomicBool::new(false)));
        let done = catch_unwind(AssertUnwindSafe(|| job(&cancel)));
        if started.elapsed() > IN_PLACE {
            self.known_quick().remove(&key);
        }
        let stopped = cancel.in_place.is_some_and(|(_, stopped)| stopped.into_inner());
        (!stopped).then(|| done.map_err(|_| PoolError::Panicked))
    }

    fn known_quick(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.quick.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a job that may take `timeout`, its wait included.
    pub async fn run<T: Send + 'static>(
        &self,
        timeout: Duration,
        job: impl FnOnce(&Cancel) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let deadline = Instant::now() + timeout;
        let turn = Arc::clone(&self.turns).acquire_owned();
        let Ok(Ok(turn)) = tokio::time::timeout(self.queue.min(timeout), turn).await else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(PoolError::Busy(self.running()));
        };
        let cancel = Arc::new(Cancel::by(deadline));
        let _raised_on_drop = CancelOnDrop(Arc::clone(&cancel));
        let running = Running::start(&self.running);
        let work = tokio::task::spawn_blocking(move || {
            let _held_to_the_end = (running, turn);
            job(&cancel)
        });
        work.await.map_err(|_| PoolError::Panicked)
    }
}

/// Counts a job for as long as it lives, a panic included.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn start(counter: &Arc<AtomicUsize>) -> Running {
        counter.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(counter))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct CancelOnDrop(Arc<Cancel>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.canceled.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_job_beyond_the_bound_waits_and_is_refused() {
        let pool = Arc::new(Pool::new(1, Duration::from_millis(20)));
        let (started, has_started) = mpsc::channel();
        let (go, gone) = mpsc::channel::<()>();
        let first = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move {
                pool.run(LONG, move |_| {
                    started.send(()).unwrap();
                    gone.recv().unwrap();
                    1
                })
                .await
            }
        });
        tokio::task::spawn_blocking(move || has_started.recv().unwrap()).await.unwrap();
        assert_eq!(pool.run(LONG, |_| 2).await, Err(PoolError::Busy(1)));
        go.send(()).unwrap();
        assert_eq!(first.await.unwrap(), Ok(1));
        assert_eq!(pool.run(LONG, |_| 3).await, Ok(3));
    }

    #[tokio::test]
    async fn a_job_whose_asker_is_gone_is_told_to_stop() {
        let pool = Pool::new(1, LONG);
        let (ended, end) = mpsc::channel();
        let job = pool.run(LONG, move |cancel| {
            while cancel.stop().is_none() {
                std::thread::sleep(Duration::from_millis(1));
            }
            ended.send(matches!(cancel.stop(), Some(Stop::Canceled))).unwrap();
        });
        assert!(tokio::time::timeout(Duration::from_millis(50), job).await.is_err());
        assert_eq!(end.recv_timeout(LONG), Ok(true));
    }

    #[tokio::test]
    async fn a_job_past_its_time_is_told_so_and_a_panic_frees_its_turn() {
        let pool = Pool::new(1, LONG);
        let stopped = pool.run(Duration::from_millis(10), |cancel| {
            std::thread::sleep(Duration::from_millis(20));
            matches!(cancel.stop(), Some(Stop::TimedOut))
        });
        assert_eq!(stopped.await, Ok(true));
        assert_eq!(
            pool.run(LONG, |_| panic!("on purpose")).await,
            Err::<(), _>(PoolError::Panicked)
        );
        assert_eq!(pool.run(LONG, |_| ()).await, Ok(()));
        assert_eq!(pool.running(), 0);
    }

    #[tokio::test]
    async fn what_was_quick_runs_in_place_until_it_is_not() {
        let pool = Pool::new(1, LONG);
        let here = std::thread::current().id();
        let in_place = move |_: &Cancel| std::thread::current().id() == here;
        assert_eq!(pool.run_again("job", LONG, in_place).await, Ok(false));
        // A machine that stood still for a moment may have made it slow.
        let mut tries = 0;
        while !pool.run_again("job", LONG, in_place).await.unwrap() {
            tries += 1;
            assert!(tries < 1_000, "it never runs in place");
        }
        assert_eq!(pool.run_again("other", LONG, in_place).await, Ok(false));

        let grown = move |cancel: &Cancel| {
            while in_place(cancel) && cancel.stop().is_none() {}
            in_place(cancel)
        };
        assert_eq!(pool.run_again("job", LONG, grown).await, Ok(false));
        let panics = |_: &Cancel| -> bool { panic!("on purpose") };
        assert_eq!(pool.run_again("job", LONG, panics).await, Err(PoolError::Panicked));
        assert_eq!((pool.running(), pool.turns.available_permits()), (0, 1));
    }
}
