//! Bytes of many short runs, in blocks of one size that all runs of a shard share.
//!
//! Runs grow a few bytes at a time, all of them together. With an allocation each they would walk through an
//! allocator's sizes one after the other, and in each leave pages behind that nobody else can use.

/// Bytes of a run in a block.
const BYTES: usize = 60;
/// Blocks in one allocation: 8 KB.
const CHUNK: usize = 128;
/// No block.
const NONE: u32 = u32::MAX;

/// A cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Block {
    /// The next of its run, or of those that are free.
    next: u32,
    bytes: [u8; BYTES],
}

/// Blocks with runs in them, and free ones.
#[derive(Debug)]
pub(crate) struct Blocks {
    chunks: Vec<Box<[Block]>>,
    /// The first free one.
    free: u32,
    /// Runs that have a block.
    runs: u32,
}

/// Bytes that grow at their end. They live in [`Blocks`], which do not know whose they are: who drops a run
/// that was not cleared loses its blocks.
#[derive(Debug)]
pub(super) struct Run {
    first: u32,
    last: u32,
    /// Bytes in the last block.
    fill: u8,
}

impl Default for Run {
    fn default() -> Run {
        Run { first: NONE, last: NONE, fill: BYTES as u8 }
    }
}

impl Default for Blocks {
    fn default() -> Blocks {
        Blocks { chunks: Vec::new(), free: NONE, runs: 0 }
    }
}

impl Run {
    pub(super) fn is_empty(&self) -> bool {
        self.first == NONE
    }
}

impl Blocks {
    /// Appends at most a block's bytes to a run.
    #[inline]
    pub(super) fn append(&mut self, run: &mut Run, bytes: &[u8]) {
        let fill = usize::from(run.fill);
        let fits = bytes.len().min(BYTES - fill);
        let (now, later) = bytes.split_at(fits);
        if !now.is_empty() {
            self.block(run.last).bytes[fill..fill + fits].copy_from_slice(now);
            run.fill += fits as u8;
        }
        if !later.is_empty() {
            self.extend(run);
            self.block(run.last).bytes[..later.len()].copy_from_slice(later);
            run.fill = later.len() as u8;
        }
    }

    /// Appends the lowest bytes of a word, at most eight: one store of a length that is known where all of it
    /// has room.
    #[inline]
    pub(super) fn append_word(&mut self, run: &mut Run, word: u64, len: usize) {
        let fill = usize::from(run.fill);
        let bytes = word.to_le_bytes();
        if fill + bytes.len() > BYTES {
            return self.append(run, &bytes[..len]);
        }
        self.block(run.last).bytes[fill..fill + bytes.len()].copy_from_slice(&bytes);
        run.fill += len as u8;
    }

    /// Appends all bytes of a run to `out`.
    pub(super) fn copy(&self, run: &Run, out: &mut Vec<u8>) {
        let mut at = run.first;
        while at != NONE {
            let block = &self.chunks[at as usize / CHUNK][at as usize % CHUNK];
            let filled = if at == run.last { usize::from(run.fill) } else { BYTES };
            out.extend_from_slice(&block.bytes[..filled]);
            at = block.next;
        }
    }

    /// Takes all bytes of a run.
    pub(super) fn clear(&mut self, run: &mut Run) {
        if run.is_empty() {
            return;
        }
        self.block(run.last).next = self.free;
        self.free = run.first;
        *run = Run::default();
        self.runs -= 1;
        if self.runs == 0 {
            *self = Blocks::default();
        }
    }

    /// Runs that have bytes.
    #[cfg(test)]
    pub(super) fn runs(&self) -> u32 {
        self.runs
    }

    fn block(&mut self, at: u32) -> &mut Block {
        &mut self.chunks[at as usize / CHUNK][at as usize % CHUNK]
    }

    /// One more block at the end of a run.
    #[cold]
    fn extend(&mut self, run: &mut Run) {
        if self.free == NONE {
            self.grow();
        }
        let at = self.free;
        let block = self.block(at);
        let next = std::mem::replace(&mut block.next, NONE);
        self.free = next;
        if run.is_empty() {
            run.first = at;
            self.runs += 1;
        } else {
            self.block(run.last).next = at;
        }
        run.last = at;
    }

    fn grow(&mut self) {
        let start = (self.chunks.len() * CHUNK) as u32;
        let block = |i: u32| Block { next: start + i + 1, bytes: [0; BYTES] };
        let mut chunk: Box<[Block]> = (0..CHUNK as u32).map(block).collect();
        if let Some(last) = chunk.last_mut() {
            last.next = NONE;
        }
        self.chunks.push(chunk);
        self.free = start;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_grow_and_go_keep_their_bytes_and_share_the_memory() {
        let (mut blocks, mut seed) = (Blocks::default(), 1_u64);
        let mut draw = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            (seed >> 33) % below
        };
        let mut runs: Vec<(Run, Vec<u8>)> = (0..40).map(|_| Default::default()).collect();
        for round in 0..60_000_u64 {
            let (run, held) = &mut runs[draw(40) as usize];
            if draw(200) == 0 {
                blocks.clear(run);
                held.clear();
            }
            let bytes = vec![round as u8; draw(BYTES as u64 + 1) as usize];
            blocks.append(run, &bytes);
            held.extend_from_slice(&bytes);
            if round % 64 == 0 {
                let mut copy = Vec::new();
                blocks.copy(run, &mut copy);
                assert_eq!(copy, *held);
                assert_eq!(run.is_empty(), held.is_empty());
            }
        }
        let most: usize = runs.iter().map(|(_, held)| held.len().div_ceil(BYTES)).sum();
        assert!(blocks.chunks.len() * CHUNK < 4 * most, "blocks are used again");
        for (run, held) in &mut runs {
            let mut copy = Vec::new();
            blocks.copy(run, &mut copy);
            assert_eq!(copy, *held);
            blocks.clear(run);
        }
        assert_eq!((blocks.runs(), blocks.chunks.len()), (0, 0), "all memory is given back");
    }
}
