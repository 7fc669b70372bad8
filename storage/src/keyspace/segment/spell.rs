//! Texts that are numbers or times, as numbers and back. Each reader here accepts only what its
//! writer gives back byte for byte, or leaves that to be checked.

use std::io::Write;

/// A decimal number as it is spelled: `-?digits(.digits)?`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    pub(super) negative: bool,
    /// All digits.
    pub(super) digits: u64,
    /// How many of them stand behind the point.
    pub(super) decimals: u32,
}

impl Decimal {
    /// Reads one of at most 19 characters without its sign.
    pub(super) fn read(text: &[u8]) -> Option<Decimal> {
        let (negative, rest) = match text.strip_prefix(b"-") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if rest.len() > 19 || !rest.first()?.is_ascii_digit() || !rest.last()?.is_ascii_digit() {
            return None;
        }
        let (mut digits, mut decimals, mut point) = (0_u64, 0, false);
        for byte in rest {
            match byte {
                b'0'..=b'9' => {
                    digits = digits.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
                    decimals += u32::from(point);
                }
                b'.' if !point => point = true,
                _ => return None,
            }
        }
        Some(Decimal { negative, digits, decimals })
    }

    /// The number in units of 10^-scale.
    pub(super) fn scaled(self, scale: u32) -> Option<i64> {
        let factor = 10_u64.checked_pow(scale.checked_sub(self.decimals)?)?;
        let size = i64::try_from(self.digits.checked_mul(factor)?).ok()?;
        Some(if self.negative { -size } else { size })
    }
}

/// Appends a number in units of 10^-scale with all its decimals.
pub(super) fn put_decimal(out: &mut Vec<u8>, value: i64, scale: u32) {
    if value < 0 {
        out.push(b'-');
    }
    let mut digits = [0_u8; 40];
    let mut at = digits.len();
    let (mut left, mut written) = (value.unsigned_abs(), 0);
    while left > 0 || written <= scale {
        if written == scale && scale > 0 {
            at -= 1;
            digits[at] = b'.';
        }
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        written += 1;
    }
    out.extend_from_slice(&digits[at..]);
}

/// The same without zeros at the end, but with `.0` if nothing is left and `zero` says so.
pub(super) fn put_trimmed(out: &mut Vec<u8>, mut value: i64, mut scale: u32, zero: bool) {
    while scale > 0 && value % 10 == 0 {
        value /= 10;
        scale -= 1;
    }
    put_decimal(out, value, scale);
    if scale == 0 && zero {
        out.extend_from_slice(b".0");
    }
}

/// Who spells doubles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speller {
    /// `repr` of Python: an exponent of two digits at least from 1e16 and below 1e-4.
    Python,
    /// `toString` of JavaScript: an exponent from 1e21 and below 1e-6; whole numbers have no point.
    JavaScript,
}

/// Appends a finite double in its fewest digits.
pub(super) fn put_float(out: &mut Vec<u8>, value: f64, speller: Speller) {
    if value != 0.0 && !(1e-4..1e16).contains(&value.abs()) {
        return put_far_float(out, value, speller);
    }
    // Where both write a number without an exponent, so does this, as Python does.
    let mut buffer = ryu::Buffer::new();
    let text = buffer.format_finite(value).as_bytes();
    let whole = text.strip_suffix(b".0").filter(|_| speller == Speller::JavaScript);
    out.extend_from_slice(whole.unwrap_or(text));
}

/// The same for any double, more slowly.
fn put_far_float(out: &mut Vec<u8>, value: f64, speller: Speller) {
    // The standard library gives the fewest digits that read back, as both of them do.
    let mut buffer = [0_u8; 32];
    let mut room = &mut buffer[..];
    if write!(room, "{value:e}").is_err() {
        return;
    }
    let left = room.len();
    let text = &buffer[..buffer.len() - left];
    let split = text.iter().position(|b| *b == b'e').unwrap_or(text.len());
    let (mantissa, exponent) = text.split_at(split);
    let exponent = std::str::from_utf8(exponent.get(1..).unwrap_or_default());
    let exponent: i32 = exponent.ok().and_then(|e| e.parse().ok()).unwrap_or(0);
    let mantissa = match mantissa.strip_prefix(b"-") {
        Some(rest) => {
            out.push(b'-');
            rest
        }
        None => mantissa,
    };
    let (fixed, two) = match speller {
        Speller::Python => (-4..16, true),
        Speller::JavaScript => (-6..21, false),
    };
    if !fixed.contains(&exponent) {
        out.extend_from_slice(mantissa);
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        let size = exponent.unsigned_abs();
        if two && size < 10 {
            out.push(b'0');
        }
        put_decimal(out, i64::from(size), 0);
        return;
    }
    let digits = mantissa.iter().filter(|b| **b != b'.');
    let count = digits.clone().count() as i32;
    if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', (-exponent - 1) as usize));
        out.extend(digits);
        return;
    }
    for (i, digit) in digits.enumerate() {
        if i as i32 == exponent + 1 {
            out.push(b'.');
        }
        out.push(*digit);
    }
    out.extend(std::iter::repeat_n(b'0', (exponent + 1 - count).max(0) as usize));
    if count <= exponent + 1 && speller == Speller::Python {
        out.extend_from_slice(b".0");
    }
}

/// How times are spelled that differ only in the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeForm<'a> {
    /// Digits of the fraction of a second.
    pub(super) digits: u8,
    /// What stands between date and time.
    pub(super) between: u8,
    /// What follows the seconds.
    pub(super) zone: &'a [u8],
}

/// Reads `YYYY-MM-DDThh:mm:ss` with its fraction and zone, as if it were UTC.
pub(super) fn read_time(text: &[u8]) -> Option<(i64, TimeForm<'_>)> {
    let number = |range: std::ops::Range<usize>| {
        text.get(range)?.iter().try_fold(0_i64, |n, byte| {
            byte.is_ascii_digit().then(|| n * 10 + i64::from(byte - b'0'))
        })
    };
    let (head, rest) = text.split_at_checked(19)?;
    let between = match head {
        [_, _, _, _, b'-', _, _, b'-', _, _, between, _, _, b':', _, _, b':', _, _] => *between,
        _ => return None,
    };
    let days = days_before(number(0..4)?, number(5..7)?, number(8..10)?)?;
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut time = days * 86_400 + hour * 3_600 + minute * 60 + second;
    let mut zone = rest;
    let mut digits = 0;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let count = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
        if count == 0 || count > 7 {
            return None;
        }
        digits = count as u8;
        time = time * 10_i64.pow(count as u32) + number(20..20 + count)?;
        zone = fraction.get(count..)?;
    }
    Some((time, TimeForm { digits, between, zone }))
}

/// Writes times of one form; remembers the day, which is nearly always that of the time before.
#[derive(Debug, Default)]
pub(super) struct TimeWriter {
    day: Option<(i64, [u8; 10])>,
}

impl TimeWriter {
    pub(super) fn put(&mut self, out: &mut Vec<u8>, time: i64, form: TimeForm<'_>) {
        let unit = 10_i64.pow(u32::from(form.digits.min(7)));
        let (seconds, fraction) = (time.div_euclid(unit), time.rem_euclid(unit));
        let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let date = match self.day {
            Some((known, date)) if known == day => date,
            _ => date_of(day),
        };
        self.day = Some((day, date));
        let two = |n: i64| [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        let ([h, i], [m, j], [s, k]) =
            (two(second / 3_600), two(second / 60 % 60), two(second % 60));
        let mut text = [0; 19];
        let (front, back) = text.split_at_mut(date.len());
        front.copy_from_slice(&date);
        back.copy_from_slice(&[form.between, h, i, b':', m, j, b':', s, k]);
        out.extend_from_slice(&text);
        if form.digits > 0 {
            out.push(b'.');
            put_padded(out, fraction, usize::from(form.digits));
        }
        out.extend_from_slice(form.zone);
    }
}

/// Appends a number that is not negative, with zeros in front up to `width`.
pub(super) fn put_padded(out: &mut Vec<u8>, value: i64, width: usize) {
    let start = out.len();
    put_decimal(out, value, 0);
    let missing = width.saturating_sub(out.len() - start);
    out.splice(start..start, std::iter::repeat_n(b'0', missing));
}

/// Days from 1970 to a date, which must be one of the years 1 to 9999.
fn days_before(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years are counted from March, so that the leap day is the last of its year.
    let y = if month <= 2 { year - 1 } else { year };
    let from_march = (month + 9) % 12;
    let of_year = (from_march * 153 + 2) / 5 + day - 1;
    let days = y * 365 + y / 4 - y / 100 + y / 400 + of_year - 719_468;
    // The 31st of a short month would come back as another date.
    (date_of(days)[8..] == [b'0' + (day / 10) as u8, b'0' + (day % 10) as u8]).then_some(days)
}

/// The date of a day since 1970, the reverse of the above.
fn date_of(day: i64) -> [u8; 10] {
    let days = day + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let date = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let digit = |n: i64| b'0' + n.rem_euclid(10) as u8;
    let (y, m, d) = (year, month, date);
    [
        digit(y / 1000),
        digit(y / 100),
        digit(y / 10),
        digit(y),
        b'-',
        digit(m / 10),
        digit(m),
        b'-',
        digit(d / 10),
        digit(d),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(put: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        put(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn doubles_are_spelled_as_python_and_javascript_spell_them() {
        for (value, python, javascript) in [
            (0.0, "0.0", "0"),
            (-0.0, "-0.0", "-0"),
            (1.0, "1.0", "1"),
            (100.0, "100.0", "100"),
            (-2.5, "-2.5", "-2.5"),
            (0.0001, "0.0001", "0.0001"),
            (0.00012345, "0.00012345", "0.00012345"),
            (1e-5, "1e-05", "0.00001"),
            (1.5e-7, "1.5e-07", "1.5e-7"),
            (123_456_789.125, "123456789.125", "123456789.125"),
            (1e15, "1000000000000000.0", "1000000000000000"),
            (1e16, "1e+16", "10000000000000000"),
            (1.25e21, "1.25e+21", "1.25e+21"),
            (5e-324, "5e-324", "5e-324"),
            (0.844_421_851_525_048_1, "0.8444218515250481", "0.8444218515250481"),
        ] {
            assert_eq!(text(|out| put_float(out, value, Speller::Python)), python);
            assert_eq!(text(|out| put_float(out, value, Speller::JavaScript)), javascript);
        }
    }

    #[test]
    fn decimals_come_back() {
        for (spelled, scale, trimmed) in [
            ("0", 0, "0"),
            ("-12", 0, "-12"),
            ("0.50", 2, "0.5"),
            ("10.00", 2, "10"),
            ("-0.0001", 4, "-0.0001"),
            ("123456789.123456789", 9, "123456789.123456789"),
        ] {
            let value = Decimal::read(spelled.as_bytes()).unwrap().scaled(scale).unwrap();
            assert_eq!(text(|out| put_decimal(out, value, scale)), spelled);
            assert_eq!(text(|out| put_trimmed(out, value, scale, false)), trimmed);
        }
        assert_eq!(text(|out| put_trimmed(out, 100, 2, true)), "1.0");
        for bad in ["", "-", ".5", "5.", "1e5", "1.2.3", "+1", "123456789012345678901"] {
            assert_eq!(Decimal::read(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(text(|out| put_decimal(out, i64::MIN, 0)), i64::MIN.to_string());
    }

    #[test]
    fn times_come_back_or_are_refused() {
        for (spelled, time) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-01-01T00:00:01Z", 1_767_225_601),
            ("2024-02-29 23:59:59", 1_709_251_199),
            ("1969-12-31T23:59:59.500+01:00", -500),
            ("0001-01-01T00:00:00.0000001", -621_355_967_999_999_999),
            ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
        ] {
            let (read, form) = read_time(spelled.as_bytes()).unwrap();
            assert_eq!(read, time, "{spelled}");
            assert_eq!(text(|out| TimeWriter::default().put(out, read, form)), spelled);
        }
        for bad in [
            "2026-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:60Z",
            "2026-01-01T00:00:00.",
            "2026-01-01",
            "0000-01-01T00:00:00Z",
        ] {
            assert_eq!(read_time(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_double_reads_back(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            for speller in [Speller::Python, Speller::JavaScript] {
                let spelled = text(|out| put_float(out, value, speller));
                prop_assert_eq!(spelled.parse::<f64>().unwrap().to_bits(), bits);
            }
        }

        #[test]
        fn doubles_near_one_are_spelled_the_fast_way_as_the_slow(
            digits in 1_u64..100_000_000_000_000_000, decimals in 0_i32..25, noise in any::<bool>()
        ) {
            // Of few digits, and of all there are.
            let value = digits as f64 / 10_f64.powi(decimals) * if noise { 1.1 } else { 1.0 };
            for speller in [Speller::Python, Speller::JavaScript] {
                let slow = text(|out| put_far_float(out, value, speller));
                let fast = text(|out| put_float(out, value, speller));
                // Of two that are as short and as near one takes the one and one the other.
                let last = fast.len().min(slow.len()) - 1;
                prop_assert!(
                    fast.len() == slow.len() && (fast == slow || fast[..last] == slow[..last]),
                    "{} {}", fast, slow
                );
                prop_assert_eq!(fast.parse::<f64>().unwrap().to_bits(), value.to_bits());
            }
        }

        #[test]
        fn any_day_comes_back(day in -700_000_i64..2_900_000) {
            let form = TimeForm { digits: 0, between: b'T', zone: b"" };
            let mut out = Vec::new();
            TimeWriter::default().put(&mut out, day * 86_400, form);
            if let Some((time, _)) = read_time(&out) {
                prop_assert_eq!(time, day * 86_400);
            }
        }
    }
}
