//! Memory for decompressed requests, used again: a request of half a megabyte would else be zeroed,
//! and given back to the system and taken again, every time.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Buffers that wait for their next request, at most.
const MOST: usize = 4;
/// A larger buffer is not kept.
const LARGEST: usize = 1 << 20;

/// Buffers that wait for their next request.
#[derive(Debug, Default)]
pub struct Buffers(Mutex<Vec<Vec<u8>>>);

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
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut bytes = waiting.unwrap_or_default();
        if bytes.len() < length {
            // Not `resize`, which would copy what nobody needs.
            bytes = vec![0; length];
        }
        Buffer { bytes, length, home: self }
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
        let mut waiting = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MOST {
            waiting.push(std::mem::take(&mut self.bytes));
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
        let waiting = buffers.0.lock().unwrap();
        assert_eq!(waiting.len(), MOST);
        assert!(waiting.iter().all(|bytes| bytes.len() <= LARGEST));
    }
}
