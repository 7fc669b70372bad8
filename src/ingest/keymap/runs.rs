//! Which training run an element belongs to, where it does not say so itself.
//!
//! A step that falls by more than half opens the next run. The state is the key's mark: it is
//! logged with the samples, so replay and a deleted key agree on the count.
//!
//! Mark: version 1, the run's number (u32) and the last step (f64 bits), little-endian.

const VERSION: u8 = 1;
const LEN: usize = 1 + 4 + 8;

/// The run a key is at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Runs {
    number: u32,
    /// The newest step, if one was seen.
    last: f64,
}

impl Default for Runs {
    fn default() -> Runs {
        Runs { number: 1, last: f64::NAN }
    }
}

impl Runs {
    /// The state a mark holds; a mark of another version begins anew.
    pub(super) fn decode(mark: Option<&[u8]>) -> Runs {
        let read = |mark: &[u8]| {
            let (version, rest) = mark.split_first()?;
            let (number, last) = rest.split_at_checked(4)?;
            let number = u32::from_le_bytes(number.try_into().ok()?);
            let last = f64::from_le_bytes(last.try_into().ok()?);
            (*version == VERSION).then_some(Runs { number, last })
        };
        mark.and_then(read).unwrap_or_default()
    }

    pub(super) fn encode(self) -> Vec<u8> {
        let mut mark = Vec::with_capacity(LEN);
        mark.push(VERSION);
        mark.extend_from_slice(&self.number.to_le_bytes());
        mark.extend_from_slice(&self.last.to_le_bytes());
        mark
    }

    /// Takes note of a step.
    pub(super) fn step(&mut self, step: f64) {
        if step < self.last / 2.0 {
            self.number = self.number.saturating_add(1);
        }
        self.last = step;
    }

    /// The run's number, counted from 1.
    pub(super) fn number(self) -> u32 {
        self.number
    }

    /// Whether two states are the same; no step yet is the same as no step yet.
    pub(super) fn same(self, other: Runs) -> bool {
        self.number == other.number && self.last.to_bits() == other.last.to_bits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_falls_by_more_than_half_opens_a_run() {
        let mut runs = Runs::default();
        let numbers: Vec<u32> = [100.0, 50.0, 120.0, 60.0, 29.0, 30.0, 0.0, 0.0, 1.0]
            .map(|step| {
                runs.step(step);
                runs = Runs::decode(Some(&runs.encode()));
                runs.number()
            })
            .to_vec();
        assert_eq!(numbers, [1, 1, 1, 1, 2, 2, 3, 3, 3]);
        assert!(Runs::decode(Some(b"\x02garbage")).same(Runs::default()));
    }
}
