//! Compares the keys of two servers, key by key, while both are written to: for `ringwell import status`,
//! `ringwell mirror verify` and the verifier of mirrors that always runs.
//!
//! One side is the first to have a change, the other gets it later. A key of a server that is written to may
//! differ just because it was looked at twice at different moments. So a difference counts only if the first
//! side had the same before and after the other was looked at, the other had the time to get it, and both have what
//! they had at the looks before: a key that changes to and fro looks unchanged where it is looked at but twice.

mod local;
mod remote;

use ringwell_storage::keyspace::{Value, digest};

use crate::remote::client::Trouble;

pub(crate) use local::Local;
pub(crate) use remote::{Found, Remote};

/// Expiries that differ by less are the same: some servers tell only how long it is until then.
const SLACK: i64 = 2000;
/// Differences that are remembered by name: more than a page has, as a mirror writes those anew.
const NAMED: usize = 2048;

/// What a key holds, and when it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Missing,
    Holds {
        digest: u64,
        expires: Option<i64>,
    },
    /// Why it could not be looked at.
    Unread(String),
}

impl Look {
    fn of(value: &Value, expires: Option<i64>) -> Look {
        Look::Holds { digest: digest(value), expires }
    }

    /// How another look differs from this one; `None` if it does not.
    fn differs(&self, other: &Look) -> Option<What> {
        match (self, other) {
            (Look::Missing, Look::Missing) => None,
            (Look::Holds { digest, expires }, Look::Holds { digest: d, expires: e }) => {
                let apart = match (expires, e) {
                    (None, None) => false,
                    (Some(a), Some(b)) => a.abs_diff(*b) > SLACK.unsigned_abs(),
                    _ => true,
                };
                if digest != d { Some(What::Value) } else { apart.then_some(What::Expiry) }
            }
            (Look::Unread(why), _) | (_, Look::Unread(why)) => Some(What::Unread(why.clone())),
            (Look::Missing, _) => Some(What::OnlySecond),
            (_, Look::Missing) => Some(What::OnlyFirst),
        }
    }
}

/// How a key differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    OnlyFirst,
    OnlySecond,
    Value,
    Expiry,
    /// It was changed at every look.
    Changing,
    Unread(String),
}

/// A server's keys.
pub(crate) trait Side: Send {
    /// Some names from a cursor on, and where it goes on; 0 at the end.
    fn page(
        &mut self,
        cursor: u64,
        count: usize,
    ) -> impl Future<Output = Result<(Vec<Vec<u8>>, u64), Trouble>> + Send;

    /// What these keys hold.
    fn look(
        &mut self,
        names: &[Vec<u8>],
    ) -> impl Future<Output = Result<Vec<Look>, Trouble>> + Send;

    /// Which of these keys there are.
    fn has(&mut self, names: &[Vec<u8>])
    -> impl Future<Output = Result<Vec<bool>, Trouble>> + Send;
}

/// Waits until the second side must have what the first one had before.
pub(crate) trait Settle: Send {
    fn settle(&mut self, attempt: u32) -> impl Future<Output = Result<(), Trouble>> + Send;
}

/// How patient a comparison is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// A difference is believed that is the same at so many looks in a row.
    pub(crate) believes: u32,
    /// Looks at a key that changes.
    pub(crate) looks: u32,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) compared: u64,
    pub(crate) equal: u64,
    pub(crate) different: u64,
    /// Keys that were changed at every look.
    pub(crate) changing: u64,
    /// Keys that could not be looked at.
    pub(crate) unread: u64,
    /// The first that are not equal, by name.
    pub(crate) named: Vec<(Vec<u8>, What)>,
    /// Sum of the digests of names and values that are equal.
    pub(crate) digest: u64,
}

impl Outcome {
    fn add(&mut self, name: &[u8], what: Option<What>) {
        self.compared += 1;
        match &what {
            None => self.equal += 1,
            Some(What::Changing) => self.changing += 1,
            Some(What::Unread(_)) => self.unread += 1,
            Some(_) => self.different += 1,
        }
        if let Some(what) = what
            && self.named.len() < NAMED
        {
            self.named.push((name.to_vec(), what));
        }
    }

    /// Whether all that was compared is equal.
    pub(crate) fn is_equal(&self) -> bool {
        self.compared == self.equal
    }

    pub(crate) fn merge(&mut self, other: Outcome) {
        self.compared += other.compared;
        self.equal += other.equal;
        self.different += other.different;
        self.changing += other.changing;
        self.unread += other.unread;
        self.digest = self.digest.wrapping_add(other.digest);
        let room = NAMED.saturating_sub(self.named.len());
        self.named.extend(other.named.into_iter().take(room));
    }
}

/// Two servers that are compared.
pub(crate) struct Comparison<A, B, S> {
    first: A,
    second: B,
    settle: S,
    patience: Patience,
    /// Keys that differed at a first glance, of the first side and only of the second.
    suspects: [Vec<Vec<u8>>; 2],
}

impl<A: Side, B: Side, S: Settle> Comparison<A, B, S> {
    pub(crate) fn new(first: A, second: B, settle: S, patience: Patience) -> Self {
        Comparison { first, second, settle, patience, suspects: [Vec::new(), Vec::new()] }
    }

    /// Compares some keys of the first side, from a cursor on; gives where it goes on, 0 at the end. Those that
    /// differ are looked at again by [`Comparison::finish`].
    pub(crate) async fn forward(
        &mut self,
        cursor: u64,
        count: usize,
        outcome: &mut Outcome,
    ) -> Result<u64, Trouble> {
        let (names, next) = self.first.page(cursor, count).await?;
        for names in names.chunks(AT_ONCE) {
            let before = self.first.look(names).await?;
            let there = self.second.look(names).await?;
            for ((name, before), there) in names.iter().zip(before).zip(there) {
                match before.differs(&there) {
                    None => outcome.equal(name, &before),
                    Some(_) => self.suspects[0].push(name.clone()),
                }
            }
        }
        self.finish_if(MANY, outcome).await?;
        Ok(next)
    }

    /// Looks for keys of the second side that the first has not; counts no others.
    pub(crate) async fn backward(
        &mut self,
        cursor: u64,
        count: usize,
        outcome: &mut Outcome,
    ) -> Result<u64, Trouble> {
        let (names, next) = self.second.page(cursor, count).await?;
        let there = self.first.has(&names).await?;
        let only = names.into_iter().zip(there).filter(|(_, there)| !there);
        self.suspects[1].extend(only.map(|(name, _)| name));
        self.finish_if(MANY, outcome).await?;
        Ok(next)
    }

    /// Compares keys of the first side by name.
    pub(crate) async fn these(
        &mut self,
        names: &[Vec<u8>],
        outcome: &mut Outcome,
    ) -> Result<(), Trouble> {
        self.suspects[0].extend_from_slice(names);
        self.finish(outcome).await
    }

    /// Settles what differed at a first glance, all of it together: each round waits but once.
    pub(crate) async fn finish(&mut self, outcome: &mut Outcome) -> Result<(), Trouble> {
        self.finish_if(1, outcome).await
    }

    async fn finish_if(&mut self, least: usize, outcome: &mut Outcome) -> Result<(), Trouble> {
        if self.suspects.iter().map(Vec::len).sum::<usize>() < least {
            return Ok(());
        }
        let [of_first, of_second] = std::mem::take(&mut self.suspects);
        self.judge(of_first, outcome).await?;
        let mut found = Outcome::default();
        self.judge(of_second, &mut found).await?;
        // One that came or went meanwhile was none of the first side's keys.
        found.compared -= found.equal;
        (found.equal, found.digest) = (0, 0);
        outcome.merge(found);
        Ok(())
    }

    async fn judge(&mut self, open: Vec<Vec<u8>>, outcome: &mut Outcome) -> Result<(), Trouble> {
        let mut open: Vec<Suspect> = open.into_iter().map(Suspect::of).collect();
        for attempt in 1..=self.patience.looks {
            if open.is_empty() {
                return Ok(());
            }
            let names: Vec<Vec<u8>> = open.iter().map(|suspect| suspect.name.clone()).collect();
            let mut before = Vec::with_capacity(open.len());
            for names in names.chunks(AT_ONCE) {
                before.extend(self.first.look(names).await?);
            }
            self.settle.settle(attempt).await?;
            let mut still = Vec::new();
            let mut looked = open.into_iter().zip(before);
            for names in names.chunks(AT_ONCE) {
                let there = self.second.look(names).await?;
                let after = self.first.look(names).await?;
                for ((there, after), (mut suspect, before)) in
                    there.into_iter().zip(after).zip(&mut looked)
                {
                    match after.differs(&there) {
                        None => outcome.equal(&suspect.name, &after),
                        Some(_) if before.differs(&there).is_none() => {
                            outcome.equal(&suspect.name, &before);
                        }
                        Some(what)
                            if suspect.looks(&before, after, there) >= self.patience.believes =>
                        {
                            outcome.add(&suspect.name, Some(what));
                        }
                        Some(_) => still.push(suspect),
                    }
                }
            }
            open = still;
        }
        open.iter().for_each(|suspect| outcome.add(&suspect.name, Some(What::Changing)));
        Ok(())
    }
}

/// A key that differs, and what it was like at the last look.
struct Suspect {
    name: Vec<u8>,
    last: Option<(Look, Look)>,
    /// Looks in a row at which both sides had this.
    same: u32,
}

impl Suspect {
    fn of(name: Vec<u8>) -> Suspect {
        Suspect { name, last: None, same: 0 }
    }

    /// Notes a look: what the first side had before it and has after it, and what the second has. Says at how many
    /// looks in a row it was so.
    fn looks(&mut self, before: &Look, after: Look, there: Look) -> u32 {
        let stands = matches!(after, Look::Unread(_)) || before.differs(&after).is_none();
        let same = self.last.as_ref().is_some_and(|(first, second)| {
            first.differs(&after).is_none_or(|what| matches!(what, What::Unread(_)))
                && second.differs(&there).is_none_or(|what| matches!(what, What::Unread(_)))
        });
        self.same = match (stands, same) {
            (false, _) => 0,
            (true, false) => 1,
            (true, true) => self.same + 1,
        };
        self.last = Some((after, there));
        self.same
    }
}

/// Keys that are looked at together: few, for each may be large.
const AT_ONCE: usize = 32;
/// Keys that differ are settled once they are so many.
const MANY: usize = 10_000;

impl Outcome {
    fn equal(&mut self, name: &[u8], look: &Look) {
        // One that neither has was deleted meanwhile.
        if let Look::Holds { digest, .. } = look {
            self.add(name, None);
            let name = xxhash_rust::xxh3::xxh3_64_with_seed(name, *digest);
            self.digest = self.digest.wrapping_add(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a side has at each look, the last for ever.
    struct Script(Vec<Look>, usize);

    impl Side for Script {
        async fn page(&mut self, _: u64, _: usize) -> Result<(Vec<Vec<u8>>, u64), Trouble> {
            Ok((vec![b"k".to_vec()], 0))
        }

        async fn look(&mut self, names: &[Vec<u8>]) -> Result<Vec<Look>, Trouble> {
            if names.is_empty() {
                return Ok(Vec::new());
            }
            let at = self.1.min(self.0.len() - 1);
            self.1 += 1;
            Ok(vec![self.0[at].clone()])
        }

        async fn has(&mut self, names: &[Vec<u8>]) -> Result<Vec<bool>, Trouble> {
            Ok(vec![false; names.len()])
        }
    }

    struct AtOnce;

    impl Settle for AtOnce {
        async fn settle(&mut self, _: u32) -> Result<(), Trouble> {
            Ok(())
        }
    }

    fn is(digest: u64) -> Look {
        Look::Holds { digest, expires: None }
    }

    fn compare(first: &[Look], second: &[Look]) -> Outcome {
        let patience = Patience { believes: 2, looks: 4 };
        let (first, second) = (Script(first.to_vec(), 0), Script(second.to_vec(), 0));
        let mut comparison = Comparison::new(first, second, AtOnce, patience);
        let mut outcome = Outcome::default();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(comparison.forward(0, 10, &mut outcome)).unwrap();
        runtime.block_on(comparison.finish(&mut outcome)).unwrap();
        outcome
    }

    #[test]
    fn a_difference_counts_only_if_nothing_changed_meanwhile() {
        let what = |outcome: &Outcome| outcome.named.first().map(|(_, what)| what.clone());
        assert!(compare(&[is(1)], &[is(1)]).is_equal());
        // The second side gets it a look later.
        assert!(compare(&[is(2)], &[is(1), is(2)]).is_equal());
        // The first changes between the looks, and the second follows.
        assert!(compare(&[is(1), is(2)], &[is(2)]).is_equal());
        assert_eq!(what(&compare(&[is(2)], &[is(1)])), Some(What::Value));
        assert_eq!(what(&compare(&[is(2)], &[Look::Missing])), Some(What::OnlyFirst));
        // The second side is not what it was, so the first may have been changed to and fro.
        assert!(compare(&[is(1)], &[is(2), is(3), is(2), is(1)]).is_equal());
        let changing: Vec<Look> = (0..20).map(is).collect();
        assert_eq!(what(&compare(&changing, &[is(99)])), Some(What::Changing));
        // What is gone on both sides is no key.
        assert_eq!(compare(&[Look::Missing], &[Look::Missing]).compared, 0);
        let expires = |at| Look::Holds { digest: 1, expires: Some(at) };
        assert!(compare(&[expires(5000)], &[expires(6000)]).is_equal());
        assert_eq!(what(&compare(&[expires(5000)], &[expires(9000)])), Some(What::Expiry));
        assert_eq!(what(&compare(&[expires(5000)], &[is(1)])), Some(What::Expiry));
        let unread = compare(&[is(1)], &[Look::Unread("too long".to_owned())]);
        assert_eq!((unread.unread, unread.different), (1, 0));
    }
}
