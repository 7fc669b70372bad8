//! Takes samples out of a series, wherever in memory they are.

use std::sync::Arc;

use super::{MemSeries, Sealed, Shared};
use crate::head::chunk::HeadChunk;
use crate::model::{SampleBuf, TimeRange};

impl MemSeries {
    /// Deletes the samples in a range. Chunks are shared with readers, so they are replaced.
    pub(crate) fn delete(&mut self, range: TimeRange, shared: &mut Shared) {
        if let Some(rare) = &mut self.rare {
            rare.side.retain(|s| !range.contains(s.t));
        }
        let held = self.ring.bounds().and_then(|(first, last)| TimeRange::new(first, last));
        if held.is_some_and(|held| held.overlaps(range)) {
            let rest = without(&self.ring.samples(&shared.blocks), range);
            self.ring.fill(rest.iter(), &mut shared.blocks);
        }
        let touched = |c: &HeadChunk| c.min_t <= range.end() && range.start() <= c.max_t;
        let kept = self.sealed.iter().filter_map(|chunk| {
            if !touched(chunk) {
                return Some(Arc::clone(chunk));
            }
            if range.start() <= chunk.min_t && chunk.max_t <= range.end() {
                return None;
            }
            let mut samples = SampleBuf::default();
            // A chunk of this process's own memory decodes, or memory itself is broken; one in a file that does
            // not read is lost with it.
            chunk.decode(&mut samples).ok()?;
            let rest = without(&samples, range);
            (!rest.is_empty()).then(|| Arc::new(shared.sealer.seal(&rest)))
        });
        self.sealed = Sealed::of(kept.collect());
    }
}

fn without(samples: &SampleBuf, range: TimeRange) -> SampleBuf {
    let mut rest = SampleBuf::default();
    samples.iter().filter(|s| !range.contains(s.t)).for_each(|s| rest.push(s));
    rest
}
