//! Sums as INCRBYFLOAT has them: in the 80-bit floats of x86, spelled with up to seventeen decimals.
//!
//! A number is a mantissa of 64 bits and a power of two. Reading, adding and spelling round once each,
//! to the nearest and then to the even one, as the processor and the C library do.

use std::cmp::Ordering;
use std::num::IntErrorKind;

/// Bits of a mantissa.
const PRECISION: u64 = 64;
/// Bytes of text that are read, as far as Redis's buffer goes.
const MAX_TEXT: usize = 5 * 1024;
/// The power of ten below which there is only zero; above, they end a little before.
const MAX_EXPONENT: i64 = 4_951;

/// A number as Redis reads it.
#[derive(Debug)]
pub(super) enum Number {
    Finite(Long),
    Infinite,
}

impl Number {
    /// Reads the whole text; `None` if it is no number, or one too large or too small for these floats.
    pub(super) fn read(text: &[u8]) -> Option<Number> {
        let text = std::str::from_utf8(text).ok().filter(|text| text.len() < MAX_TEXT)?;
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        if ["inf", "infinity"].iter().any(|name| unsigned.eq_ignore_ascii_case(name)) {
            return Some(Number::Infinite);
        }
        Long::read(text).map(Number::Finite)
    }

    /// The sum as text; `None` if it is not finite.
    pub(super) fn plus(&self, other: &Number) -> Option<String> {
        match (self, other) {
            (Number::Finite(a), Number::Finite(b)) => Some(a.plus(b)?.spell()),
            _ => None,
        }
    }
}

/// `±mantissa * 2^exponent`.
#[derive(Clone, Debug)]
pub(super) struct Long {
    negative: bool,
    mantissa: u64,
    exponent: i64,
}

impl Long {
    fn read(text: &str) -> Option<Long> {
        let (number, power) = match text.split_once(['e', 'E']) {
            Some((number, power)) => (number, exponent(power)?),
            None => (text, 0),
        };
        let (negative, digits) = match number.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, number.strip_prefix('+').unwrap_or(number)),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && part.is_empty() {
            return None;
        }
        let mut top = Big::default();
        for byte in whole.bytes().chain(part.bytes()) {
            let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
            top.scale(10, digit.into());
        }
        let shift = power.saturating_sub(i64::try_from(part.len()).ok()?);
        if top.is_zero() {
            return Some(Long { negative, mantissa: 0, exponent: 0 });
        }
        if shift.unsigned_abs() > MAX_EXPONENT as u64 + MAX_TEXT as u64 {
            return None;
        }
        let mut bottom = Big::from(1);
        let scaled = if shift >= 0 { &mut top } else { &mut bottom };
        (0..shift.abs()).for_each(|_| scaled.scale(10, 0));
        let long = Long::nearest(negative, &top, &bottom);
        // The largest of these floats is just under 2^16384, the smallest 2^-16445; half of that is zero.
        let zero = (long.exponent, long.mantissa) <= (-16_446 - 63, 1 << 63);
        (long.exponent + 64 <= 16_384 && !zero).then_some(long)
    }

    /// The float nearest to a fraction that is not zero.
    fn nearest(negative: bool, top: &Big, bottom: &Big) -> Long {
        // So far that the quotient has 65 or 66 bits: one at least below the mantissa.
        let mut exponent = top.bits() - bottom.bits() - PRECISION as i64 - 1;
        let (mut dividend, mut divisor) = (top.clone(), bottom.clone());
        if exponent < 0 {
            dividend.shift(exponent.unsigned_abs());
        } else {
            divisor.shift(exponent.unsigned_abs());
        }
        let (quotient, rest) = dividend.divide(&divisor);
        let mut quotient = quotient << 1 | u128::from(rest);
        exponent -= 1;
        // The last bit now says whether anything was left over.
        let excess = (128 - quotient.leading_zeros()).saturating_sub(PRECISION as u32);
        let (kept, lost) = (quotient >> excess, quotient & ((1 << excess) - 1));
        let half = 1_u128 << excess >> 1;
        let up = lost > half || lost == half && kept & 1 == 1;
        quotient = kept + u128::from(up && excess > 0);
        exponent += i64::from(excess);
        match u64::try_from(quotient) {
            Ok(mantissa) => Long { negative, mantissa, exponent },
            Err(_) => Long { negative, mantissa: 1 << 63, exponent: exponent + 1 },
        }
    }

    fn plus(&self, other: &Long) -> Option<Long> {
        let base = self.exponent.min(other.exponent);
        let aligned = |long: &Long| {
            let mut big = Big::from(long.mantissa);
            big.shift((long.exponent - base).unsigned_abs());
            big
        };
        let (a, b) = (aligned(self), aligned(other));
        let (negative, size) = match (self.negative == other.negative, a.compare(&b)) {
            (true, _) => (self.negative, a.plus(&b)),
            (false, Ordering::Less) => (other.negative, b.minus(&a)),
            (false, _) => (self.negative, a.minus(&b)),
        };
        if size.is_zero() {
            let negative = self.negative && other.negative;
            return Some(Long { negative, mantissa: 0, exponent: 0 });
        }
        let mut sum = Long::nearest(negative, &size, &Big::from(1));
        sum.exponent += base;
        (sum.exponent + 64 <= 16_384).then_some(sum)
    }

    /// Up to seventeen decimals, without zeros at their end.
    fn spell(&self) -> String {
        let mut units = Big::from(self.mantissa);
        (0..17).for_each(|_| units.scale(10, 0));
        if self.exponent >= 0 {
            units.shift(self.exponent.unsigned_abs());
        } else {
            units.round_off(self.exponent.unsigned_abs());
        }
        let digits = format!("{:0>18}", units.decimal());
        let (whole, part) = digits.split_at(digits.len() - 17);
        let text = format!("{whole}.{part}");
        let text = super::float::trimmed(&text);
        if self.negative && text != "0" { format!("-{text}") } else { text.to_owned() }
    }
}

/// Reads a power of ten; one that no integer holds is as good as the largest.
fn exponent(text: &str) -> Option<i64> {
    match text.parse::<i64>().map_err(|error| *error.kind()) {
        Ok(power) => Some(power),
        Err(IntErrorKind::PosOverflow) => Some(i64::MAX),
        Err(IntErrorKind::NegOverflow) => Some(i64::MIN),
        Err(_) => None,
    }
}

/// A natural number of any size, in digits of 32 bits, the lowest first, none of the highest zero.
#[derive(Clone, Debug, Default)]
struct Big(Vec<u32>);

impl From<u64> for Big {
    fn from(value: u64) -> Big {
        let mut big = Big(vec![value as u32, (value >> 32) as u32]);
        big.trim();
        big
    }
}

impl Big {
    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    fn bits(&self) -> i64 {
        let top = self.0.last().map_or(0, |digit| 32 - i64::from(digit.leading_zeros()));
        top + 32 * (self.0.len().saturating_sub(1)) as i64
    }

    /// Becomes `factor` times as much and `more`.
    fn scale(&mut self, factor: u32, more: u32) {
        let mut carry = u64::from(more);
        for digit in &mut self.0 {
            carry += u64::from(*digit) * u64::from(factor);
            *digit = carry as u32;
            carry >>= 32;
        }
        self.0.push(carry as u32);
        self.trim();
    }

    /// Becomes 2^`bits` times as much.
    fn shift(&mut self, bits: u64) {
        if self.is_zero() {
            return;
        }
        self.scale(1 << (bits % 32), 0);
        self.0.splice(0..0, std::iter::repeat_n(0, (bits / 32) as usize));
    }

    /// Loses its lowest bits, rounded to the nearest and then to the even.
    fn round_off(&mut self, bits: u64) {
        let bit = |at: u64| self.0.get((at / 32) as usize).is_some_and(|d| d >> (at % 32) & 1 == 1);
        let half = bits > 0 && bit(bits - 1);
        let below = (0..bits.saturating_sub(1)).any(bit);
        let odd = bit(bits);
        let (digits, rest) = ((bits / 32) as usize, bits % 32);
        let kept = self.0.get(digits..).unwrap_or_default();
        let high = |i: usize| u64::from(kept.get(i + 1).copied().unwrap_or(0)) << 32;
        let shifted = (0..kept.len()).map(|i| ((high(i) | u64::from(kept[i])) >> rest) as u32);
        let mut rounded = Big(shifted.collect());
        rounded.trim();
        if half && (below || odd) {
            rounded = rounded.plus(&Big::from(1));
        }
        *self = rounded;
    }

    fn compare(&self, other: &Big) -> Ordering {
        let length = self.0.len().cmp(&other.0.len());
        length.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }

    fn plus(&self, other: &Big) -> Big {
        let digit = |big: &Big, i: usize| u64::from(big.0.get(i).copied().unwrap_or(0));
        let mut carry = 0;
        let mut sum = Vec::new();
        for i in 0..self.0.len().max(other.0.len()) + 1 {
            carry += digit(self, i) + digit(other, i);
            sum.push(carry as u32);
            carry >>= 32;
        }
        let mut sum = Big(sum);
        sum.trim();
        sum
    }

    /// The difference to a number that is not larger.
    fn minus(&self, other: &Big) -> Big {
        let mut borrow = 0;
        let mut left = Vec::with_capacity(self.0.len());
        for (i, digit) in self.0.iter().enumerate() {
            let taken = i64::from(other.0.get(i).copied().unwrap_or(0)) + borrow;
            let value = i64::from(*digit) - taken;
            borrow = i64::from(value < 0);
            left.push(value.rem_euclid(1 << 32) as u32);
        }
        let mut left = Big(left);
        left.trim();
        left
    }

    /// A quotient of up to 70 bits, and whether there is a remainder.
    fn divide(&self, divisor: &Big) -> (u128, bool) {
        let mut rest = self.clone();
        let mut quotient = 0;
        for bit in (0..70).rev() {
            let mut part = divisor.clone();
            part.shift(bit);
            quotient <<= 1;
            if rest.compare(&part) != Ordering::Less {
                rest = rest.minus(&part);
                quotient |= 1;
            }
        }
        (quotient, !rest.is_zero())
    }

    fn decimal(mut self) -> String {
        let mut groups = Vec::new();
        while !self.is_zero() {
            let mut rest = 0_u64;
            for digit in self.0.iter_mut().rev() {
                let value = rest << 32 | u64::from(*digit);
                *digit = (value / 1_000_000_000) as u32;
                rest = value % 1_000_000_000;
            }
            self.trim();
            groups.push(rest);
        }
        let mut text = groups.pop().unwrap_or(0).to_string();
        groups.iter().rev().for_each(|group| text += &format!("{group:09}"));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(a: &str, b: &str) -> Option<String> {
        Number::read(a.as_bytes())?.plus(&Number::read(b.as_bytes())?)
    }

    /// What redis-server 7.0.15 answers on x86-64.
    #[test]
    fn sums_are_redis_s() {
        let table: &[(&str, &str, Option<&str>)] = &[
            ("0", "0", Some("0")),
            ("3.0", "1.1", Some("4.1")),
            ("1", "-1.1", Some("-0.1")),
            ("17179869184", "1.5", Some("17179869185.5")),
            ("5.0e3", "200", Some("5200")),
            ("0", "1e18", Some("1000000000000000000")),
            ("0", "12345678901234567890", Some("12345678901234567890")),
            ("0", "inf", None),
            ("1.", ".5", Some("1.5")),
            ("", "1", None),
            ("1x", "1", None),
        ];
        for (a, b, expected) in table {
            assert_eq!(sum(a, b).as_deref(), *expected, "{a} + {b}");
        }
    }

    /// The same: what is read at all.
    #[test]
    fn what_is_a_number_is_redis_s() {
        let (ten_to_400, most) = (format!("1{:0400}", 0), format!("1{:04932}", 0));
        let finite = [
            ten_to_400.as_str(),
            &most,
            "1e4932",
            "1e-4950",
            "1.9e-4951",
            "1e-400",
            "+5",
            "5.",
            "00012",
            "1E5",
            "0e99999999999999999999",
            "0e-9223372036854775808",
        ];
        for text in finite {
            assert!(matches!(Number::read(text.as_bytes()), Some(Number::Finite(_))), "{text}");
        }
        for text in ["inf", "-Infinity", "+INF"] {
            assert!(matches!(Number::read(text.as_bytes()), Some(Number::Infinite)), "{text}");
        }
        let too_much = format!("{most}0");
        let refused = [
            too_much.as_str(),
            "1e4933",
            "1e-4951",
            "1e-9223372036854775808",
            "1e9223372036854775807",
            "1e-99999999999999999999",
            "1e99999999999999999999",
            "nan",
            "1e",
            ".",
            ".e5",
            "+-5",
            "1_000",
            "1e+-5",
            " 1",
            "1 ",
            "",
            "-",
            "infinit",
        ];
        for text in refused {
            assert!(Number::read(text.as_bytes()).is_none(), "{text}");
        }
        let told = sum(&ten_to_400, "2.2250738585072014e-308").unwrap();
        assert!(
            told.starts_with("10000000000000000000281880683947586514586453433629052038625")
                && told.len() == 401
        );
    }
}
