//! What a connection is told from outside: to rest, to stop, to end.
//!
//! A connection waits for it beside every request, so that costs two looks at an atomic, and no lock.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Poll;

use futures_util::task::AtomicWaker;

/// What is wanted of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// To give its buffers back, for nothing has arrived for a while.
    Rest = 1,
    /// To end after the request it is at, for the node stops.
    Stop = 2,
    /// To end.
    End = 4,
}

/// Tells one connection what is wanted of it; what was not heard yet is kept.
#[derive(Debug, Default)]
pub(super) struct Nudge {
    wanted: AtomicU8,
    waker: AtomicWaker,
}

impl Nudge {
    pub(super) fn tell(&self, wanted: Wanted) {
        self.wanted.fetch_or(wanted as u8, Ordering::Release);
        self.waker.wake();
    }

    /// What is wanted, the most urgent first. One task at a time may ask.
    pub(super) async fn wanted(&self) -> Wanted {
        poll_fn(|context| {
            if let Some(wanted) = self.take() {
                return Poll::Ready(wanted);
            }
            self.waker.register(context.waker());
            // It may have been told meanwhile.
            self.take().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    fn take(&self) -> Option<Wanted> {
        let told = self.wanted.load(Ordering::Acquire);
        if told == 0 {
            return None;
        }
        let all = [Wanted::End, Wanted::Stop, Wanted::Rest];
        let wanted = all.into_iter().find(|wanted| told & *wanted as u8 != 0)?;
        self.wanted.fetch_and(!(wanted as u8), Ordering::AcqRel);
        Some(wanted)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn what_is_told_before_or_while_it_is_waited_for_is_heard_once_the_most_urgent_first() {
        let nudge = Arc::new(Nudge::default());
        nudge.tell(Wanted::Rest);
        nudge.tell(Wanted::Rest);
        nudge.tell(Wanted::End);
        assert_eq!(nudge.wanted().await, Wanted::End);
        assert_eq!(nudge.wanted().await, Wanted::Rest);
        let waits = tokio::time::timeout(Duration::from_millis(1), nudge.wanted());
        assert!(waits.await.is_err());
        let heard = tokio::spawn({
            let nudge = Arc::clone(&nudge);
            async move { nudge.wanted().await }
        });
        tokio::task::yield_now().await;
        nudge.tell(Wanted::Stop);
        assert_eq!(heard.await.unwrap(), Wanted::Stop);
    }
}
