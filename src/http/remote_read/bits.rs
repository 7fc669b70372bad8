//! Bits as Prometheus's chunks have them: written from the highest down, numbers in a few widths
//! of their own.

/// A growing run of bits.
#[derive(Debug, Default)]
pub(super) struct Bits {
    bytes: Vec<u8>,
    /// Bits still free in the last byte.
    free: u32,
}

/// What the difference of one float to the next was written with; kept by column.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct XorWindow(Option<(u32, u32)>);

/// Widths of whole numbers in histogram chunks, each led by one more 1 than the one before.
const WIDTHS: [u32; 7] = [3, 6, 9, 12, 18, 25, 56];
/// Widths of a timestamp's delta of deltas.
const TIME_WIDTHS: [u32; 3] = [14, 17, 20];

impl Bits {
    /// Bits after these bytes.
    pub(super) fn after(bytes: Vec<u8>) -> Bits {
        Bits { bytes, free: 0 }
    }

    /// The bytes, the last one filled up with zeros.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The lowest `count` bits of a value, the highest of them first.
    pub(super) fn push(&mut self, value: u64, count: u32) {
        let mut left = count;
        while left > 0 {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let take = left.min(self.free);
            let piece = (value >> (left - take)) & ((1 << take) - 1);
            if let Some(last) = self.bytes.last_mut() {
                *last |= (piece << (self.free - take)) as u8;
            }
            self.free -= take;
            left -= take;
        }
    }

    /// A float, all of it.
    pub(super) fn push_float(&mut self, value: f64) {
        self.push(value.to_bits(), 64);
    }

    /// LEB128, byte by byte.
    pub(super) fn push_uvarint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.push(value & 0x7f | 0x80, 8);
            value >>= 7;
        }
        self.push(value, 8);
    }

    /// The same of a zigzag number.
    pub(super) fn push_varint(&mut self, value: i64) {
        self.push_uvarint(((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    /// A signed number in the narrowest of the widths.
    pub(super) fn push_int(&mut self, value: i64) {
        self.push_signed(value, &WIDTHS);
    }

    /// An unsigned number in the narrowest of the widths.
    pub(super) fn push_uint(&mut self, value: u64) {
        self.push_in(value, &WIDTHS, value == 0, |width| value < 1 << width);
    }

    /// A timestamp's delta of deltas.
    pub(super) fn push_time(&mut self, value: i64) {
        self.push_signed(value, &TIME_WIDTHS);
    }

    fn push_signed(&mut self, value: i64, widths: &[u32]) {
        // One more fits on the positive side: -3 to 4 in three bits.
        let fits = |width: u32| {
            let half = 1_i64 << (width - 1);
            value > -half && value <= half
        };
        self.push_in(value.cast_unsigned(), widths, value == 0, fits);
    }

    fn push_in(&mut self, value: u64, widths: &[u32], zero: bool, fits: impl Fn(u32) -> bool) {
        if zero {
            return self.push(0, 1);
        }
        for (width, ones) in widths.iter().zip(1_u32..) {
            if fits(*width) {
                self.push((1 << (ones + 1)) - 2, ones + 1);
                return self.push(value, *width);
            }
        }
        let ones = widths.len() as u32 + 1;
        self.push((1 << ones) - 1, ones);
        self.push(value, 64);
    }

    /// A float by its difference to the one before.
    pub(super) fn push_xor(&mut self, value: f64, before: f64, window: &mut XorWindow) {
        let delta = value.to_bits() ^ before.to_bits();
        if delta == 0 {
            return self.push(0, 1);
        }
        // Five bits tell the zeros in front.
        let (front, back) = (delta.leading_zeros().min(31), delta.trailing_zeros());
        if let XorWindow(Some((wide_front, wide_back))) = *window
            && front >= wide_front
            && back >= wide_back
        {
            self.push(0b10, 2);
            return self.push(delta >> wide_back, 64 - wide_front - wide_back);
        }
        *window = XorWindow(Some((front, back)));
        let length = 64 - front - back;
        self.push(0b11, 2);
        self.push(u64::from(front), 5);
        // 64 does not fit into six bits, and 0 is not needed.
        self.push(u64::from(length % 64), 6);
        self.push(delta >> back, length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(write: impl FnOnce(&mut Bits)) -> String {
        let mut bits = Bits::default();
        write(&mut bits);
        let free = bits.free as usize;
        let text: String = bits.into_bytes().iter().map(|b| format!("{b:08b}")).collect();
        text[..text.len() - free].to_owned()
    }

    #[test]
    fn numbers_take_the_narrowest_width() {
        for (value, want) in [
            (0, "0".to_owned()),
            (4, "10100".to_owned()),
            (-3, "10101".to_owned()),
            (5, "110000101".to_owned()),
            (-4, "110111100".to_owned()),
            (32, "110100000".to_owned()),
            (33, "1110000100001".to_owned()),
            (1 << 55, format!("11111110{:056b}", 1_u64 << 55)),
            ((1 << 55) + 1, format!("11111111{:064b}", (1_u64 << 55) + 1)),
            (i64::MIN, format!("111111111{}", "0".repeat(63))),
        ] {
            assert_eq!(bits(|bits| bits.push_int(value)), want, "{value}");
        }
        assert_eq!(bits(|bits| bits.push_uint(7)), "10111");
        assert_eq!(bits(|bits| bits.push_uint(8)), "110001000");
        assert_eq!(bits(|bits| bits.push_time(8192)), "1010000000000000");
        assert_eq!(bits(|bits| bits.push_time(8193)), "11000010000000000001");
        assert_eq!(bits(|bits| bits.push_varint(-65)), "1000000100000001");
    }

    #[test]
    fn floats_share_a_window() {
        let mut window = XorWindow::default();
        let mut text = |value: f64, before: f64| bits(|b| b.push_xor(value, before, &mut window));
        assert_eq!(text(1.5, 1.5), "0");
        // 1.5 and 1.0 differ in the highest bit of the mantissa only: 12 zeros before it.
        assert_eq!(text(1.5, 1.0), "11011000000011");
        assert_eq!(text(1.0, 1.5), "101");
    }
}
