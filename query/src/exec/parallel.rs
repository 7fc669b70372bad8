//! The same work for many series, on several threads where it is worth their start.

use super::Context;
use crate::error::QueryError;

/// Below this many cells of work one thread is faster.
const MIN_WORK: usize = 1 << 16;

/// `f(i, scratch)` for each of `count` series, in order, without the empty results. The scratch is
/// memory that goes from one series to the next.
pub(super) fn map<T: Send, S: Default>(
    ctx: &Context<'_>,
    count: usize,
    work_each: usize,
    f: impl Fn(usize, &mut S) -> Result<Option<T>, QueryError> + Sync,
) -> Result<Vec<T>, QueryError> {
    let work = count.saturating_mul(work_each);
    let threads = ctx.options.parallelism.min(count / 8).min(work / MIN_WORK).max(1);
    let part = |from: usize, to: usize| -> Result<Vec<T>, QueryError> {
        let (mut out, mut scratch) = (Vec::with_capacity(to.saturating_sub(from)), S::default());
        for i in from..to {
            out.extend(f(i, &mut scratch)?);
        }
        Ok(out)
    };
    if threads == 1 {
        return part(0, count);
    }
    let size = count.div_ceil(threads);
    let parts: Vec<Result<Vec<T>, QueryError>> = std::thread::scope(|scope| {
        let part = &part;
        let handles: Vec<_> = (0..threads)
            .map(|n| {
                let (from, to) = (n * size, ((n + 1) * size).min(count));
                scope.spawn(move || part(from, to))
            })
            .collect();
        handles
            .into_iter()
            .map(|handle| {
                handle
                    .join()
                    .unwrap_or_else(|_| Err(QueryError::execution("a worker of the query failed")))
            })
            .collect()
    });
    let mut out = Vec::with_capacity(count);
    for part in parts {
        out.extend(part?);
    }
    Ok(out)
}
