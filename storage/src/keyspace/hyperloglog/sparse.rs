//! The sparse form: runs of registers of one value.

use super::{HEADER, MAX_SPARSE, REGISTERS};

/// The largest register, and the longest run of registers above 0, that a sparse counter can hold.
pub(super) const MAX_VALUE: u8 = 32;
const MAX_RUN: usize = 4;
const MAX_SHORT_ZEROS: usize = 64;

/// So many registers of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Run {
    Zeros(usize),
    /// The same in the longer form.
    ManyZeros(usize),
    Values(u8, usize),
}

impl Run {
    pub(super) fn len(self) -> usize {
        match self {
            Run::Zeros(len) | Run::ManyZeros(len) | Run::Values(_, len) => len,
        }
    }

    pub(super) fn value(self) -> u8 {
        match self {
            Run::Zeros(_) | Run::ManyZeros(_) => 0,
            Run::Values(value, _) => value,
        }
    }

    fn zeros(len: usize) -> Run {
        if len > MAX_SHORT_ZEROS { Run::ManyZeros(len) } else { Run::Zeros(len) }
    }

    /// This run's value for another number of registers.
    fn cut(self, len: usize) -> Run {
        match self {
            Run::Values(value, _) => Run::Values(value, len),
            _ => Run::zeros(len),
        }
    }

    pub(super) fn put(self, out: &mut Vec<u8>) {
        match self {
            Run::Zeros(len) => out.push((len - 1) as u8),
            Run::ManyZeros(len) => {
                out.extend_from_slice(&(0x4000 | (len - 1) as u16).to_be_bytes())
            }
            Run::Values(value, len) => out.push(0x80 | (value - 1) << 2 | (len - 1) as u8),
        }
    }

    fn bytes(self) -> usize {
        if matches!(self, Run::ManyZeros(_)) { 2 } else { 1 }
    }
}

/// The runs of a sparse counter; `None` if they are not those of all registers.
pub(super) fn runs(mut bytes: &[u8]) -> Option<Vec<Run>> {
    let (mut runs, mut registers) = (Vec::new(), 0);
    while let [first, rest @ ..] = bytes {
        bytes = rest;
        let run = match first {
            0x80.. => Run::Values((first >> 2 & 0x1f) + 1, usize::from(first & 3) + 1),
            0x40.. => {
                let (low, rest) = rest.split_first()?;
                bytes = rest;
                Run::ManyZeros((usize::from(first & 0x3f) << 8 | usize::from(*low)) + 1)
            }
            short => Run::Zeros(usize::from(*short) + 1),
        };
        registers += run.len();
        // A string from outside may be far longer than all runs of a counter.
        if registers > REGISTERS {
            return None;
        }
        runs.push(run);
    }
    (registers == REGISTERS).then_some(runs)
}

/// Lets a register of runs be at least so much; `None` if they would become too long.
pub(super) fn raise(runs: &mut Vec<Run>, index: usize, value: u8) -> Option<bool> {
    let (mut at, mut first) = (0, 0);
    while let Some(run) = runs.get(at).filter(|run| index >= first + run.len()) {
        first += run.len();
        at += 1;
    }
    let run = *runs.get(at)?;
    if run.value() >= value {
        return Some(false);
    }
    let mut parts = Vec::with_capacity(3);
    let (before, behind) = (index - first, first + run.len() - 1 - index);
    parts.extend((before > 0).then(|| run.cut(before)));
    parts.push(Run::Values(value, 1));
    parts.extend((behind > 0).then(|| run.cut(behind)));
    let bytes = |runs: &[Run]| runs.iter().map(|run| run.bytes()).sum::<usize>();
    if bytes(&parts) > run.bytes()
        && HEADER + bytes(runs) - run.bytes() + bytes(&parts) > MAX_SPARSE
    {
        return None;
    }
    runs.splice(at..=at, parts);
    join(runs, at.saturating_sub(1));
    Some(true)
}

/// Joins runs of one value that stand side by side, looking at five from a place on.
fn join(runs: &mut Vec<Run>, mut at: usize) {
    const LOOKS: usize = 5;
    for _ in 0..LOOKS {
        match (runs.get(at).copied(), runs.get(at + 1).copied()) {
            (Some(Run::Values(a, left)), Some(Run::Values(b, right)))
                if a == b && left + right <= MAX_RUN =>
            {
                runs.splice(at..=at + 1, [Run::Values(a, left + right)]);
            }
            _ => at += 1,
        }
    }
}
