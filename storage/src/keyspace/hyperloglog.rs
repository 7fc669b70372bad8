//! HyperLogLog in the bytes of Redis, so that GET, SET and DUMP carry it from one to the other.
//!
//! ```text
//! counter := "HYLL" form:u8 0:u8*3 estimate:u64 registers
//! dense   := 16,384 registers of six bits, the lowest bits first
//! sparse  := run*
//! run     := 00llllll            l + 1 registers are 0
//!          | 01llllll llllllll   l + 1 registers are 0
//!          | 1vvvvvll            l + 1 registers are v + 1
//! ```
//!
//! The highest bit of the estimate says that it is out of date. How runs are split and joined is visible
//! in the bytes, so it is as Redis does it.

mod estimate;
mod sparse;

use std::borrow::Cow;

use sparse::{MAX_VALUE, Run};

/// Bits of a hash that choose the register, and those that are left.
const INDEX_BITS: u32 = 14;
const HASH_BITS: usize = 64 - INDEX_BITS as usize;
const REGISTERS: usize = 1 << INDEX_BITS;
const HEADER: usize = 16;
const MAGIC: &[u8; 4] = b"HYLL";
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
const DENSE_BYTES: usize = REGISTERS * 6 / 8;
/// A sparse counter that would be longer becomes dense (Redis's `hll-sparse-max-bytes`).
const MAX_SPARSE: usize = 3000;
const SEED: u64 = 0xadc8_3b19;

/// Why a string is no counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HyperLogLogError {
    #[error("another string")]
    Other,
    #[error("a damaged counter")]
    Damaged,
}

/// A counter of distinct elements.
#[derive(Clone, Debug)]
pub(super) struct HyperLogLog {
    /// The estimate as the string has it, perhaps out of date.
    estimate: u64,
    registers: Registers,
}

#[derive(Clone, Debug)]
enum Registers {
    Sparse(Vec<Run>),
    Dense(Vec<u8>),
}

/// How many elements a counter has seen.
pub(super) enum Estimate<'a> {
    /// As its string says.
    Kept(u64),
    /// The string that says so.
    New(u64, Cow<'a, [u8]>),
}

impl Default for HyperLogLog {
    fn default() -> HyperLogLog {
        let registers = Registers::Sparse(vec![Run::ManyZeros(REGISTERS)]);
        HyperLogLog { estimate: OUT_OF_DATE, registers }
    }
}

const OUT_OF_DATE: u64 = 1 << 63;

impl HyperLogLog {
    pub(super) fn read(string: &[u8]) -> Result<HyperLogLog, HyperLogLogError> {
        let (header, registers) =
            string.split_first_chunk::<HEADER>().ok_or(HyperLogLogError::Other)?;
        let [m0, m1, m2, m3, form, _, _, _, estimate @ ..] = *header;
        let registers = match form {
            _ if [m0, m1, m2, m3] != *MAGIC => return Err(HyperLogLogError::Other),
            DENSE if registers.len() == DENSE_BYTES => {
                Registers::Dense((0..REGISTERS).map(|at| packed(registers, at)).collect())
            }
            SPARSE => Registers::Sparse(sparse::runs(registers).ok_or(HyperLogLogError::Damaged)?),
            _ => return Err(HyperLogLogError::Other),
        };
        Ok(HyperLogLog { estimate: u64::from_le_bytes(estimate), registers })
    }

    /// How many a string has counted, which it may know.
    pub(super) fn estimated(string: &[u8]) -> Result<Estimate<'_>, HyperLogLogError> {
        let mut counter = HyperLogLog::read(string)?;
        if counter.estimate & OUT_OF_DATE == 0 {
            return Ok(Estimate::Kept(counter.estimate));
        }
        counter.estimate = counter.estimate();
        let mut bytes = string.to_vec();
        if let Some(slot) = bytes.get_mut(8..HEADER) {
            slot.copy_from_slice(&counter.estimate.to_le_bytes());
        }
        Ok(Estimate::New(counter.estimate, Cow::Owned(bytes)))
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&[if self.is_dense() { DENSE } else { SPARSE }, 0, 0, 0]);
        out.extend_from_slice(&self.estimate.to_le_bytes());
        match &self.registers {
            Registers::Sparse(runs) => runs.iter().for_each(|run| run.put(&mut out)),
            Registers::Dense(values) => {
                for four in values.chunks(4) {
                    let word = four.iter().rev().fold(0_u32, |word, v| word << 6 | u32::from(*v));
                    out.extend_from_slice(word.to_le_bytes().get(..3).unwrap_or_default());
                }
            }
        }
        out
    }

    fn is_dense(&self) -> bool {
        matches!(self.registers, Registers::Dense(_))
    }

    /// Counts an element; whether that changes anything.
    pub(super) fn add(&mut self, element: &[u8]) -> bool {
        let hash = murmur(element);
        let index = hash as usize % REGISTERS;
        // The last bit is set, so that the count of zeros ends.
        let rest = hash >> INDEX_BITS | 1 << HASH_BITS;
        self.raise(index, rest.trailing_zeros() as u8 + 1)
    }

    /// Takes over what others have counted, and their form if one is dense.
    pub(super) fn take_all(&mut self, others: &[HyperLogLog]) {
        let mut highest = vec![0_u8; REGISTERS];
        for other in others {
            other.visit(&mut |at, value| {
                if let Some(own) = highest.get_mut(at) {
                    *own = value.max(*own);
                }
            });
        }
        if others.iter().any(HyperLogLog::is_dense) {
            self.make_dense();
        }
        for (at, value) in highest.into_iter().enumerate().filter(|(_, value)| *value > 0) {
            self.raise(at, value);
        }
        self.estimate |= OUT_OF_DATE;
    }

    /// Takes over what another has counted.
    pub(super) fn merge(&mut self, other: &HyperLogLog) {
        self.make_dense();
        other.visit(&mut |at, value| {
            self.raise(at, value);
        });
    }

    fn visit(&self, see: &mut dyn FnMut(usize, u8)) {
        match &self.registers {
            Registers::Dense(values) => values.iter().enumerate().for_each(|(i, v)| see(i, *v)),
            Registers::Sparse(runs) => {
                let mut at = 0;
                for run in runs {
                    (at..at + run.len()).for_each(|at| see(at, run.value()));
                    at += run.len();
                }
            }
        }
    }

    fn make_dense(&mut self) {
        if !self.is_dense() {
            let mut values = vec![0; REGISTERS];
            self.visit(&mut |at, value| {
                values.iter_mut().skip(at).take(1).for_each(|v| *v = value)
            });
            self.registers = Registers::Dense(values);
        }
    }

    /// Lets a register be at least so much; whether that changes anything.
    fn raise(&mut self, index: usize, value: u8) -> bool {
        let raised = match &mut self.registers {
            Registers::Dense(values) => match values.get_mut(index) {
                Some(own) if *own < value => {
                    *own = value;
                    true
                }
                _ => false,
            },
            Registers::Sparse(_) if value > MAX_VALUE => {
                self.make_dense();
                return self.raise(index, value);
            }
            Registers::Sparse(runs) => match sparse::raise(runs, index, value) {
                Some(raised) => raised,
                None => {
                    self.make_dense();
                    return self.raise(index, value);
                }
            },
        };
        if raised {
            self.estimate |= OUT_OF_DATE;
        }
        raised
    }

    /// How many distinct elements were counted, by Ertl's estimator (arXiv 1702.01284).
    pub(super) fn estimate(&self) -> u64 {
        let mut having = [0_u32; 64];
        self.visit(&mut |_, value| {
            having.iter_mut().skip(value.into()).take(1).for_each(|n| *n += 1)
        });
        estimate::of(&having)
    }
}

/// The register at a place of a dense counter.
fn packed(bytes: &[u8], at: usize) -> u8 {
    let bit = at * 6;
    let byte = |at: usize| u16::from(bytes.get(at).copied().unwrap_or(0));
    let both = byte(bit / 8) | byte(bit / 8 + 1) << 8;
    (both >> (bit % 8) & 0x3f) as u8
}

/// MurmurHash64A.
fn murmur(bytes: &[u8]) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    const R: u32 = 47;
    let mut hash = SEED ^ (bytes.len() as u64).wrapping_mul(M);
    let words = bytes.chunks_exact(8);
    let rest = words.remainder();
    for word in words {
        let word = u64::from_le_bytes(word.try_into().unwrap_or_default()).wrapping_mul(M);
        hash = (hash ^ (word ^ word >> R).wrapping_mul(M)).wrapping_mul(M);
    }
    if !rest.is_empty() {
        let last = rest.iter().rev().fold(0_u64, |last, byte| last << 8 | u64::from(*byte));
        hash = (hash ^ last).wrapping_mul(M);
    }
    hash = (hash ^ hash >> R).wrapping_mul(M);
    hash ^ hash >> R
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_within_two_percent_and_survives_its_bytes() {
        let mut counter = HyperLogLog::default();
        for i in 0..60_000_u64 {
            counter.add(format!("element {i}").as_bytes());
            if [1, 10, 100, 1_000, 3_000, 10_000, 60_000].contains(&(i + 1)) {
                let (seen, wanted) = (counter.estimate() as f64, (i + 1) as f64);
                assert!((seen - wanted).abs() <= 0.02 * wanted + 0.5, "{seen} {wanted}");
                let bytes = counter.bytes();
                let again = HyperLogLog::read(&bytes).unwrap();
                assert_eq!(again.bytes(), bytes);
                assert_eq!(again.estimate(), counter.estimate());
                assert!(bytes.len() <= MAX_SPARSE || bytes.len() == HEADER + DENSE_BYTES);
            }
        }
        assert!(counter.is_dense());
    }

    #[test]
    fn foreign_strings_are_told_and_nothing_panics() {
        assert_eq!(HyperLogLog::read(b"hello").err(), Some(HyperLogLogError::Other));
        let bytes = HyperLogLog::default().bytes();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                if let Ok(mut counter) = HyperLogLog::read(&damaged) {
                    counter.add(b"x");
                    counter.estimate();
                }
            }
        }
    }
}
