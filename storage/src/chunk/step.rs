//! One float after another, in a few bytes: nothing where they are equal, the step where whole numbers,
//! hundredths or thousandths give back the same bits, else the value's own high bytes. Pure; the log's rows
//! and the open samples of the head are made of it.

/// As the value before. Forms up to 8 are this many high bytes of the value, the rest 0.
pub(crate) const SAME: u8 = 0;
const ABSOLUTE: u8 = 8;
/// No form: which one fits is to be found out.
pub(crate) const NO_FORM: u8 = 16;
/// Steps: form, factor that makes whole numbers, bytes of the step.
const WHOLE_8: u8 = 9;
const WHOLE_16: u8 = 10;
const WHOLE_32: u8 = 11;
const HUNDREDTHS_8: u8 = 12;
const HUNDREDTHS_16: u8 = 13;
const HUNDREDTHS_32: u8 = 14;
const THOUSANDTHS_32: u8 = 15;

/// How a value is written after another: its form, and the lowest bytes of a word, so many.
#[inline]
pub(crate) fn form_of(value: f64, before: f64) -> (u8, u64, usize) {
    let bits = value.to_bits();
    if bits == before.to_bits() {
        return (SAME, 0, 0);
    }
    let zeros = (bits.trailing_zeros() / 8).min(7);
    let width = 8 - zeros as usize;
    let step = step(value, before, 1.0, [WHOLE_8, WHOLE_16, WHOLE_32])
        .or_else(|| step(value, before, 100.0, [HUNDREDTHS_8, HUNDREDTHS_16, HUNDREDTHS_32]))
        .or_else(|| step(value, before, 1000.0, [THOUSANDTHS_32; 3]));
    match step {
        Some((form, word)) if step_of(form).1 <= width => (form, word, step_of(form).1),
        _ => (width as u8, bits >> (8 * zeros), width),
    }
}

/// The same where it is likely that one form fits, as it did elsewhere: one trial instead of three.
#[inline]
pub(crate) fn form_like(value: f64, before: f64, likely: u8) -> (u8, u64, usize) {
    let bits = value.to_bits();
    match likely {
        SAME if bits == before.to_bits() => (SAME, 0, 0),
        1..=ABSOLUTE if bits != before.to_bits() => {
            let unused = 64 - 8 * u32::from(likely);
            match bits.trailing_zeros() >= unused {
                true => (likely, bits >> unused, usize::from(likely)),
                false => form_of(value, before),
            }
        }
        WHOLE_8..NO_FORM => {
            let (factor, width) = step_of(likely);
            let step = scaled(value, factor).wrapping_sub(scaled(before, factor));
            let unused = 64 - 8 * width as u32;
            let fits = (step << unused) >> unused == step && step != 0;
            match fits && stepped(before, step, factor).to_bits() == bits {
                true => (likely, step.cast_unsigned(), width),
                false => form_of(value, before),
            }
        }
        _ => form_of(value, before),
    }
}

/// How many bytes a form has.
#[inline]
pub(crate) fn width_of(form: u8) -> usize {
    if form <= ABSOLUTE { usize::from(form) } else { step_of(form).1 }
}

/// The value that a form and its bytes stand for, which are the lowest of `word`.
#[inline]
pub(crate) fn value_after(before: f64, form: u8, word: u64) -> f64 {
    Walk::from(before).next(form, word)
}

/// Reads values one after the other; a row of steps by one factor needs no arithmetic from float to float.
pub(crate) struct Walk {
    value: f64,
    /// The last value times this is `scaled`; 0 where that is not known.
    factor: f64,
    scaled: i64,
}

impl Walk {
    /// Where the next value is one after `value`.
    #[inline]
    pub(crate) fn from(value: f64) -> Walk {
        Walk { value, factor: 0.0, scaled: 0 }
    }

    /// As [`value_after`] the value before.
    #[inline]
    pub(crate) fn next(&mut self, form: u8, word: u64) -> f64 {
        /// Up to here a quotient times its divisor is the whole number it was made of.
        const SURE: u64 = 1 << 50;
        match form {
            SAME => {}
            1..=ABSOLUTE => {
                self.value = f64::from_bits(word << (64 - 8 * u32::from(form)));
                self.factor = 0.0;
            }
            _ => {
                let (factor, width) = step_of(form);
                let unused = 64 - 8 * width as u32;
                let step = (word << unused).cast_signed() >> unused;
                let known = factor.to_bits() == self.factor.to_bits();
                let before = if known { self.scaled } else { scaled(self.value, factor) };
                self.scaled = before.wrapping_add(step);
                self.value = self.scaled as f64 / factor;
                self.factor = if self.scaled.unsigned_abs() < SURE { factor } else { 0.0 };
            }
        }
        self.value
    }
}

/// Factor and width of a form of steps.
#[inline]
fn step_of(form: u8) -> (f64, usize) {
    match form {
        WHOLE_8 => (1.0, 1),
        WHOLE_16 => (1.0, 2),
        WHOLE_32 => (1.0, 4),
        HUNDREDTHS_8 => (100.0, 1),
        HUNDREDTHS_16 => (100.0, 2),
        HUNDREDTHS_32 => (100.0, 4),
        _ => (1000.0, 4),
    }
}

/// The step between two values that a factor makes whole numbers, if it is short and gives back the bits;
/// in the form for one, two or four bytes.
#[inline]
fn step(value: f64, before: f64, factor: f64, forms: [u8; 3]) -> Option<(u8, u64)> {
    let step = scaled(value, factor).wrapping_sub(scaled(before, factor));
    if stepped(before, step, factor).to_bits() != value.to_bits() {
        return None;
    }
    let form = match step {
        -0x80..0x80 => forms[0],
        -0x8000..0x8000 => forms[1],
        -0x8000_0000..0x8000_0000 => forms[2],
        _ => return None,
    };
    Some((form, step.cast_unsigned()))
}

/// The value a step after another.
#[inline]
fn stepped(before: f64, step: i64, factor: f64) -> f64 {
    scaled(before, factor).wrapping_add(step) as f64 / factor
}

/// The nearest whole number, up to 2^51; past that and for what is no number it is some number, the same one
/// for writer and reader.
#[inline]
fn scaled(value: f64, factor: f64) -> i64 {
    // Adding this leaves no room for places after the point.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    (value * factor + ROUND - ROUND) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_form_is_likely_the_value_comes_back() {
        let nan = f64::from_bits(0x7ff8_0000_dead_beef);
        let whole = [0.0, -0.0, 1.0, 127.0, 128.0, -129.0, 40_000.0, 3e9, 9.007e15, 1e300];
        let parts =
            [0.01, 1.27, 1.28, -327.69, 0.001, 12.345, 1.0 / 3.0, 5e-324, nan, f64::INFINITY];
        let values: Vec<f64> = whole.into_iter().chain(parts).collect();
        for before in &values {
            for value in &values {
                for likely in 0..=NO_FORM {
                    let (form, word, width) = form_like(*value, *before, likely);
                    let back = value_after(*before, form, word);
                    let told = format!("{value} after {before}, likely {likely}: form {form}");
                    assert_eq!(back.to_bits(), value.to_bits(), "{told}");
                    assert_eq!(width, width_of(form), "{told}");
                }
                let found = form_of(*value, *before);
                assert_eq!(form_like(*value, *before, found.0), found, "{value} after {before}");
            }
        }
    }
}
