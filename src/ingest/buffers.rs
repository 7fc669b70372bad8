//! Memory for decompressed requests, used again: a request of half a megabyte would else be zeroed,
//! and given back to the system and taken again, every time.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Buffers that wait for their next request, at most.
const MOST: usize = 4;
/// A larger buffer is not kept.
const LARGEST: usize = 2 << 20;

/// Buffers that wait for their next request.
#[derive(Debug, Default)]
pub struct Buffers(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    buffers: Vec<Vec<u8>>,
    /// The fewest there were since the last look: so many nobody needed.
    fewest: usize,
}

/// A buffer, as long as was asked for; what it holds is what a request before left in it.
#[derive(Debug)]
pub struct Buffer<'a> {
    bytes: Vec<u8>,
    length: usize,
    home: &'a Buffers,
}

impl Buffers {
    /// A buffer of this length.
    pub fn take(&self, length: usize) -> Buffer<'_> {
        let mut bytes = self.lock().take().unwrap_or_default();
        if bytes.len() < length {
            // Not `resize`, which would copy what nobody needs.
            bytes = vec![0; length];
        }
        Buffer { bytes, length, home: self }
    }

    /// Lets go the buffers that nobody needed since the last call.
    pub fn trim(&self) {
        let mut waiting = self.lock();
        let needed = waiting.buffers.len() - waiting.fewest;
        waiting.buffers.truncate(needed);
        waiting.fewest = needed;
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn take(&mut self) -> Option<Vec<u8>> {
        let taken = self.buffers.pop();
        self.fewest = self.fewest.min(self.buffers.len());
        taken
    }
}

impl Buffer<'_> {
    /// Makes it shorter.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }
}

impl Deref for Buffer<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl DerefMut for Buffer<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        if self.bytes.len() > LARGEST {
            return;
        }
        let mut waiting = self.home.lock();
        if waiting.buffers.len() < MOST {
            waiting.buffers.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_and_bounded() {
        let buffers = Buffers::default();
        let mut first = buffers.take(100);
        first.fill(7);
        first.truncate(60);
        assert_eq!((&*first, first.len()), ([7; 60].as_slice(), 60));
        drop(first);
        assert_eq!(&*buffers.take(80), [7; 80], "the same memory");
        assert_eq!(&*buffers.take(200), [0; 200], "what is longer is new");
        drop(buffers.take(LARGEST + 1));
        let many: Vec<_> = (0..2 * MOST).map(|_| buffers.take(10)).collect();
        drop(many);
        assert_eq!(buffers.lock().buffers.len(), MOST);
        assert!(buffers.lock().buffers.iter().all(|bytes| bytes.len() <= LARGEST));
    }

    #[test]
    fn what_nobody_needs_is_let_go() {
        let buffers = Buffers::default();
        drop([buffers.take(10), buffers.take(10), buffers.take(10)]);
        buffers.trim();
        assert_eq!(buffers.lock().buffers.len(), 3, "all three were needed just now");
        drop([buffers.take(10), buffers.take(10)]);
        buffers.trim();
        assert_eq!(buffers.lock().buffers.len(), 2);
        buffers.trim();
        assert_eq!(buffers.lock().buffers.len(), 0);
    }
}
