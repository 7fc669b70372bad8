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
    /// Reads one of at most [`MAX_NUMBER`] characters whose digits fit into 64 bits.
    pub(super) fn read(text: &[u8]) -> Option<Decimal> {
        let (negative, rest) = match text.strip_prefix(b"-") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if text.len() > MAX_NUMBER
            || !rest.first()?.is_ascii_digit()
            || !rest.last()?.is_ascii_digit()
        {
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

/// Two digits each.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut n = 0;
    while n < 100 {
        pairs[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    pairs
};

/// Most decimals of a column that has one scale for all.
pub(super) const MAX_SCALE: u32 = 18;
/// Most decimals that [`put_decimal`] writes.
pub(super) const MAX_OWN_SCALE: u32 = 28;

const POWERS: [u64; MAX_SCALE as usize + 1] = {
    let mut powers = [1; MAX_SCALE as usize + 1];
    let mut n = 1;
    while n < powers.len() {
        powers[n] = powers[n - 1] * 10;
        n += 1;
    }
    powers
};

/// How far behind its end a text may write, so that it can be copied in pieces of fixed size: each is an
/// instruction or two, where a copy of another size is a call.
pub(super) const SLACK: usize = 32;
/// Most bytes of any number.
pub(super) const MAX_NUMBER: usize = 32;

/// Writes all of `text` at a place, of which the first `len` bytes count; says where those end.
#[inline]
fn put_fixed<const N: usize>(room: &mut [u8], at: usize, text: &[u8; N], len: usize) -> usize {
    if let Some(place) = room.get_mut(at..at + N) {
        place.copy_from_slice(text);
    }
    at + len
}

/// Writes a text of any length at a place; says where it ends.
#[inline]
pub(super) fn put_bytes(room: &mut [u8], at: usize, text: &[u8]) -> usize {
    let end = at + text.len();
    let Some(place) = room.get_mut(at..end) else { return end };
    // Short ones as two pieces of fixed size, which may overlap.
    if text.len() <= 32
        && let (Some(first), Some(last)) = (text.first_chunk::<16>(), text.last_chunk::<16>())
        && let Some(front) = place.first_chunk_mut::<16>()
    {
        *front = *first;
        if let Some(back) = place.last_chunk_mut::<16>() {
            *back = *last;
        }
        return end;
    }
    place.copy_from_slice(text);
    end
}

/// Writes a number in units of 10^-scale with all its decimals, which are [`MAX_OWN_SCALE`] at most.
#[inline]
pub(super) fn put_decimal(room: &mut [u8], at: usize, value: i64, scale: u32) -> usize {
    let scale = scale.min(MAX_OWN_SCALE) as usize;
    let size = value.unsigned_abs();
    let mut at = at;
    if value < 0 {
        at = put_fixed(room, at, b"-", 1);
    }
    if scale == 0 {
        return put_digits(room, at, size);
    }
    // More decimals than a number has digits leave nothing before the point.
    let (whole, rest) = match POWERS.get(scale) {
        Some(unit) if size >= *unit => (size / unit, size % unit),
        _ => (0, size),
    };
    at = match whole {
        0 => put_fixed(room, at, b"0.", 2),
        whole => {
            let at = put_digits(room, at, whole);
            put_fixed(room, at, b".", 1)
        }
    };
    put_zeros_and(room, at, rest, scale)
}

/// Writes the digits of a number.
#[inline]
fn put_digits(room: &mut [u8], at: usize, number: u64) -> usize {
    put_zeros_and(room, at, number, number.checked_ilog10().map_or(1, |log| log as usize + 1))
}

/// Digits that are found at once.
const EIGHT: usize = 8;
const TEN_TO_8: u64 = 100_000_000;
/// As many zeros as may stand before all the digits of a number.
const ZEROS: &[u8; 16] = b"0000000000000000";

/// Writes a number of so many digits at most in `width` digits, zeros in front.
#[inline]
fn put_zeros_and(room: &mut [u8], at: usize, number: u64, width: usize) -> usize {
    if width <= EIGHT {
        return put_last(room, at, number, width);
    }
    let (high, low) = (number / TEN_TO_8, number % TEN_TO_8);
    let at = if width <= 2 * EIGHT {
        put_last(room, at, high, width - EIGHT)
    } else {
        let zeros = width.saturating_sub(3 * EIGHT);
        let at = if zeros > 0 { put_fixed(room, at, ZEROS, zeros.min(ZEROS.len())) } else { at };
        let at = put_last(room, at, high / TEN_TO_8, (width - 2 * EIGHT).min(EIGHT));
        put_fixed(room, at, &eight_digits(high % TEN_TO_8), EIGHT)
    };
    put_fixed(room, at, &eight_digits(low), EIGHT)
}

/// Writes the last `width` of eight digits.
#[inline]
fn put_last(room: &mut [u8], at: usize, number: u64, width: usize) -> usize {
    let digits = u64::from_le_bytes(eight_digits(number));
    let dropped = 8 * (EIGHT - width.clamp(1, EIGHT)) as u32;
    put_fixed(room, at, &(digits >> dropped).to_le_bytes(), width)
}

/// The digits of a number below 10^8: halves, quarters and eighths of it stand beside one another in a word and are
/// divided together. To divide by 100 and by 10 is to multiply and shift, exact for what is below 10^4 and 10^2.
#[inline]
fn eight_digits(number: u64) -> [u8; EIGHT] {
    let halves = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((halves * 10_486) >> 20) & 0x7f_0000_007f;
    let quarters = hundreds | ((halves - hundreds * 100) << 16);
    let tens = ((quarters * 103) >> 10) & 0x0f_000f_000f_000f;
    let digits = tens | ((quarters - tens * 10) << 8);
    (digits | 0x3030_3030_3030_3030).to_le_bytes()
}

/// Writes a number in `width` digits, zeros in front, and nothing behind them.
fn put_zeros_and_no_more(room: &mut [u8], at: usize, number: u64, width: usize) {
    let Some(place) = room.get_mut(at..at + width) else { return };
    let mut number = number;
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// The same without zeros at the end, but with `.0` if nothing is left and `zero` says so.
#[inline]
pub(super) fn put_trimmed(
    room: &mut [u8],
    at: usize,
    mut value: i64,
    mut scale: u32,
    zero: bool,
) -> usize {
    while scale > 0 && value % 10 == 0 {
        value /= 10;
        scale -= 1;
    }
    let end = put_decimal(room, at, value, scale);
    if scale == 0 && zero { put_fixed(room, end, b".0", 2) } else { end }
}

/// Writes a number that is not negative, with zeros in front up to `width`.
pub(super) fn put_padded(room: &mut [u8], at: usize, value: i64, width: usize) -> usize {
    let digits = value.checked_ilog10().map_or(1, |log| log as usize + 1);
    let end = at + width.saturating_sub(digits);
    if let Some(zeros) = room.get_mut(at..end) {
        zeros.fill(b'0');
    }
    put_decimal(room, end, value, 0)
}

/// Who spells doubles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speller {
    /// `repr` of Python: an exponent of two digits at least from 1e16 and below 1e-4.
    Python,
    /// `toString` of JavaScript: an exponent from 1e21 and below 1e-6; whole numbers have no point.
    JavaScript,
}

/// Writes a finite double in its fewest digits.
#[inline]
pub(super) fn put_float(room: &mut [u8], at: usize, value: f64, speller: Speller) -> usize {
    if value != 0.0 && !(1e-4..1e16).contains(&value.abs()) {
        let mut text = Vec::with_capacity(MAX_NUMBER);
        put_far_float(&mut text, value, speller);
        return put_bytes(room, at, &text);
    }
    // Where both write a number without an exponent, so does this, as Python does.
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value).as_bytes();
    let whole = text.strip_suffix(b".0").filter(|_| speller == Speller::JavaScript);
    put_bytes(room, at, whole.unwrap_or(text))
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
        out.extend_from_slice(size.to_string().as_bytes());
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

/// Most digits of a second.
const MAX_FRACTION: usize = 7;
/// What a [`TimeWriter`] keeps of a time; a longer zone is written apart.
pub(super) const KEPT: usize = 32;
/// Where the seconds stand in a time, and what follows them.
const SECONDS: usize = 17;
const POINT: usize = 19;

/// Writes times of one form; remembers the minute, which is mostly that of the time before.
#[derive(Debug, Default)]
pub(super) struct TimeWriter {
    minute: Option<i64>,
    /// A time of this minute with its zone, if there is room for that.
    text: [u8; KEPT],
    len: usize,
    /// Whether the zone is in it.
    whole: bool,
}

impl TimeWriter {
    /// Writes a time; `form` is always the same.
    #[inline]
    pub(super) fn put(
        &mut self,
        room: &mut [u8],
        at: usize,
        time: i64,
        form: TimeForm<'_>,
    ) -> usize {
        let digits = usize::from(form.digits).min(MAX_FRACTION);
        let (seconds, fraction) = match digits {
            0 => (time, 0),
            digits => {
                (time.div_euclid(POWERS[digits] as i64), time.rem_euclid(POWERS[digits] as i64))
            }
        };
        let (minute, second) = (seconds.div_euclid(60), seconds.rem_euclid(60));
        if self.minute != Some(minute) {
            self.begin(minute, digits, form);
        }
        let end = put_fixed(room, at, &self.text, self.len);
        put_fixed(room, at + SECONDS, &PAIRS[second as usize], 2);
        if digits > 0 {
            put_zeros_and_no_more(room, at + POINT + 1, fraction.unsigned_abs(), digits);
        }
        if self.whole { end } else { put_bytes(room, end, form.zone) }
    }

    /// Writes all but seconds and their fraction, which are zeros.
    fn begin(&mut self, minute: i64, digits: usize, form: TimeForm<'_>) {
        let (day, of_day) = (minute.div_euclid(1_440), minute.rem_euclid(1_440));
        let ([h, i], [m, j]) = (PAIRS[(of_day / 60) as usize], PAIRS[(of_day % 60) as usize]);
        let mut text = [b'0'; KEPT];
        text[..10].copy_from_slice(&date_of(day));
        text[10..POINT].copy_from_slice(&[form.between, h, i, b':', m, j, b':', b'0', b'0']);
        self.len = POINT;
        if digits > 0 {
            text[POINT] = b'.';
            self.len += 1 + digits;
        }
        let room = text.get_mut(self.len..self.len + form.zone.len());
        self.whole = room.is_some();
        if let Some(room) = room {
            room.copy_from_slice(form.zone);
            self.len += form.zone.len();
        }
        (self.minute, self.text) = (Some(minute), text);
    }
}

/// A text that is written again and again.
#[derive(Debug)]
pub(super) struct Text {
    /// Its front; all of it if it is short.
    front: [u8; 32],
    len: usize,
    /// All of it if it is long.
    long: Box<[u8]>,
}

impl Text {
    pub(super) fn new(text: &[u8]) -> Text {
        let mut front = [0; 32];
        let long = match front.get_mut(..text.len()) {
            Some(room) => {
                room.copy_from_slice(text);
                Box::default()
            }
            None => Box::from(text),
        };
        Text { front, len: text.len(), long }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.front.get(..self.len).unwrap_or(&self.long)
    }

    #[inline]
    pub(super) fn put(&self, room: &mut [u8], at: usize) -> usize {
        match self.len {
            0 => at,
            1..=16 => match self.front.first_chunk::<16>() {
                Some(front) => put_fixed(room, at, front, self.len),
                None => at,
            },
            17..=32 => put_fixed(room, at, &self.front, self.len),
            _ => put_bytes(room, at, &self.long),
        }
    }
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

    /// What is written between other bytes, which stay.
    fn text(put: impl FnOnce(&mut [u8], usize) -> usize) -> String {
        let mut room = [b'#'; 256];
        let end = put(&mut room, 3);
        assert!(room.starts_with(b"###") && room[end + SLACK..].iter().all(|byte| *byte == b'#'));
        String::from_utf8(room[3..end].to_vec()).unwrap()
    }

    #[test]
    fn doubles_are_spelled_as_python_and_javascript_spell_them() {
        let two_to_50 = (1_u64 << 50) as f64;
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
            // As near to the digit below as to the one above: the even one. Segments on the disk rely on it.
            (two_to_50 + 0.25, "1125899906842624.2", "1125899906842624.2"),
            (two_to_50 + 0.75, "1125899906842624.8", "1125899906842624.8"),
        ] {
            assert_eq!(text(|room, at| put_float(room, at, value, Speller::Python)), python);
            assert_eq!(
                text(|room, at| put_float(room, at, value, Speller::JavaScript)),
                javascript
            );
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
            assert_eq!(text(|room, at| put_decimal(room, at, value, scale)), spelled);
            assert_eq!(text(|room, at| put_trimmed(room, at, value, scale, false)), trimmed);
        }
        assert_eq!(text(|room, at| put_trimmed(room, at, 100, 2, true)), "1.0");
        for (number, scale, spelled) in [
            (17, 20, "0.00000000000000000017"),
            (i64::MAX, 19, "0.9223372036854775807"),
            (i64::MIN, 18, "-9.223372036854775808"),
            (i64::MIN, MAX_OWN_SCALE, "-0.0000000009223372036854775808"),
            (1_234_567_890_123_456, 16, "0.1234567890123456"),
            (-5, MAX_OWN_SCALE, "-0.0000000000000000000000000005"),
        ] {
            assert_eq!(text(|room, at| put_decimal(room, at, number, scale)), spelled);
            let Some(read) = Decimal::read(spelled.as_bytes()) else { panic!("{spelled}") };
            assert_eq!((read.digits, read.decimals), (number.unsigned_abs(), scale));
        }
        for bad in ["", "-", ".5", "5.", "1e5", "1.2.3", "+1", "123456789012345678901"] {
            assert_eq!(Decimal::read(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(text(|room, at| put_decimal(room, at, i64::MIN, 0)), i64::MIN.to_string());
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
            let put = |room: &mut [u8], at| TimeWriter::default().put(room, at, read, form);
            assert_eq!(text(put), spelled);
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
                let spelled = text(|room, at| put_float(room, at, value, speller));
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
                let mut slow = Vec::new();
                put_far_float(&mut slow, value, speller);
                let slow = String::from_utf8(slow).unwrap();
                let fast = text(|room, at| put_float(room, at, value, speller));
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
        fn any_decimal_is_spelled_as_its_digits_with_a_point(value: i64, shift in 0..64_u32, scale in 0..=MAX_OWN_SCALE) {
            let value = value >> shift;
            let width = scale as usize;
            let digits = format!("{:0>1$}", value.unsigned_abs(), width + 1);
            let (whole, rest) = digits.split_at(digits.len() - width);
            let sign = if value < 0 { "-" } else { "" };
            let point = if width > 0 { "." } else { "" };
            let spelled = text(|room, at| put_decimal(room, at, value, scale));
            prop_assert_eq!(spelled, format!("{sign}{whole}{point}{rest}"));
        }

        #[test]
        fn any_day_comes_back(day in -700_000_i64..2_900_000) {
            let form = TimeForm { digits: 0, between: b'T', zone: b"" };
            let put = |room: &mut [u8], at| TimeWriter::default().put(room, at, day * 86_400, form);
            if let Some((time, _)) = read_time(text(put).as_bytes()) {
                prop_assert_eq!(time, day * 86_400);
            }
        }
    }
}
