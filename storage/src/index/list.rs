//! A list of ascending numbers in memory: most of them are a byte, what they are more than the one before. A
//! short list, as most values of labels have, needs no allocation.
//!
//! A number is its step in 7 bits a byte, the lowest first; the high bit of a byte says that more follow.

/// Bytes of a list that needs no allocation.
const FEW: usize = 14;

/// Numbers, ascending.
#[derive(Debug)]
pub(super) enum List {
    /// How many bytes there are.
    Few(u8, [u8; FEW]),
    Many(Box<Many>),
}

#[derive(Debug)]
pub(super) struct Many {
    bytes: Vec<u8>,
    last: u32,
}

const _: () = assert!(size_of::<List>() == 16);

impl Default for List {
    fn default() -> List {
        List::Few(0, [0; FEW])
    }
}

impl List {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    pub(super) fn iter(&self) -> Numbers<'_> {
        Numbers { bytes: self.bytes(), before: 0 }
    }

    /// Enters a number; they mostly come ascending.
    pub(super) fn insert(&mut self, number: u32) {
        match self.last() {
            Some(last) if number <= last => self.insert_between(number),
            last => self.push(number, last.unwrap_or(0)),
        }
    }

    /// Leaves those that are to be kept.
    pub(super) fn retain(&mut self, keep: impl Fn(u32) -> bool) {
        if self.iter().any(|number| !keep(number)) {
            let mut kept = List::default();
            self.iter().filter(|number| keep(*number)).for_each(|number| kept.insert(number));
            *self = kept;
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            List::Few(length, bytes) => &bytes[..usize::from(*length)],
            List::Many(many) => &many.bytes,
        }
    }

    fn last(&self) -> Option<u32> {
        match self {
            List::Few(..) => self.iter().last(),
            List::Many(many) => Some(many.last),
        }
    }

    fn push(&mut self, number: u32, last: u32) {
        let step = Step::of(number - last);
        if let List::Few(length, bytes) = self {
            let start = usize::from(*length);
            if let Some(room) = bytes.get_mut(start..start + step.bytes().len()) {
                room.copy_from_slice(step.bytes());
                *length += step.1;
                return;
            }
        }
        let many = self.many(last);
        if many.bytes.capacity() - many.bytes.len() < step.bytes().len() {
            // By a quarter and not to the double: there are many lists.
            many.bytes.reserve_exact((many.bytes.len() / 4).next_multiple_of(16).max(16));
        }
        many.bytes.extend_from_slice(step.bytes());
        many.last = number;
    }

    #[cold]
    fn insert_between(&mut self, number: u32) {
        let (mut before, mut at) = (0, 0);
        let mut numbers = self.iter();
        while let Some(next) = numbers.next() {
            let end = self.bytes().len() - numbers.bytes.len();
            if next >= number {
                if next > number {
                    let steps = [Step::of(number - before), Step::of(next - number)];
                    let last = self.last().unwrap_or(next);
                    let steps = steps.iter().flat_map(|step| step.bytes().iter().copied());
                    self.many(last).bytes.splice(at..end, steps);
                }
                return;
            }
            (before, at) = (next, end);
        }
    }

    /// With an allocation, if it had none.
    fn many(&mut self, last: u32) -> &mut Many {
        if let List::Few(..) = self {
            *self = List::Many(Box::new(Many { bytes: self.bytes().to_vec(), last }));
        }
        match self {
            List::Many(many) => many,
            List::Few(..) => unreachable!("it was just made to be many"),
        }
    }
}

/// A step's bytes, and how many there are.
struct Step([u8; 5], u8);

impl Step {
    fn of(mut step: u32) -> Step {
        let (mut bytes, mut length) = ([0; 5], 0);
        for byte in &mut bytes {
            length += 1;
            *byte = step as u8 & 0x7f;
            step >>= 7;
            if step == 0 {
                break;
            }
            *byte |= 0x80;
        }
        Step(bytes, length)
    }

    fn bytes(&self) -> &[u8] {
        &self.0[..usize::from(self.1)]
    }
}

/// The numbers of a list.
pub(super) struct Numbers<'a> {
    bytes: &'a [u8],
    before: u32,
}

impl Iterator for Numbers<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        let (mut step, mut shift) = (0, 0);
        loop {
            let (byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            step |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
        }
        self.before += step;
        Some(self.before)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn numbers_in_any_order_come_back_ascending() {
        let (mut list, mut held, mut seed) = (List::default(), BTreeSet::new(), 1_u64);
        for round in 0..3000_u32 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            let number = match round {
                0 => u32::MAX,
                1 => 0,
                _ => (seed >> 33) as u32 >> (seed % 32),
            };
            list.insert(number);
            held.insert(number);
            if round % 500 == 99 {
                list.retain(|number| number % 3 != 0);
                held.retain(|number| number % 3 != 0);
            }
            if round % 50 == 0 || round < 3 {
                assert!(list.iter().eq(held.iter().copied()));
                assert_eq!((list.is_empty(), list.last()), (false, held.last().copied()));
            }
        }
        let mut ascending = List::default();
        (0..1000).for_each(|number| ascending.insert(number));
        assert!(ascending.iter().eq(0..1000) && ascending.bytes().len() == 1000);
    }
}
