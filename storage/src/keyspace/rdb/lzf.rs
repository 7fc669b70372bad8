//! Unpacks LZF: runs of literal bytes, and copies of what came before.

/// The most bytes that one packed byte can stand for: three are a copy of 264.
const MAX_RATIO: u64 = 88;

/// The unpacked bytes; `None` if these are not `length` bytes packed.
pub(super) fn unpack(mut packed: &[u8], length: u64) -> Option<Vec<u8>> {
    if length > (packed.len() as u64).saturating_mul(MAX_RATIO) {
        return None;
    }
    let length = usize::try_from(length).ok()?;
    let mut out = Vec::with_capacity(length);
    while let Some((control, rest)) = packed.split_first() {
        packed = rest;
        let control = usize::from(*control);
        if control < 32 {
            let (run, rest) = packed.split_at_checked(control + 1)?;
            out.extend_from_slice(run);
            packed = rest;
        } else {
            let mut count = (control >> 5) + 2;
            if count == 9 {
                let (more, rest) = packed.split_first()?;
                count += usize::from(*more);
                packed = rest;
            }
            let (low, rest) = packed.split_first()?;
            packed = rest;
            let back = ((control & 31) << 8 | usize::from(*low)) + 1;
            let start = out.len().checked_sub(back)?;
            // A copy may run into what it writes.
            for place in start..start + count {
                out.push(*out.get(place)?);
            }
        }
        if out.len() > length {
            return None;
        }
    }
    (out.len() == length).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::unpack;

    #[test]
    fn unpacks_literals_and_copies() {
        let packed = [0, b'a', 0xe0, 10, 0, 1, b'b', b'c', 0x20, 1];
        let expected = [&[b'a'; 20][..], b"bcbcb"].concat();
        assert_eq!(unpack(&packed, 25), Some(expected));
        assert_eq!(unpack(&packed, 24), None);
        assert_eq!(unpack(&[0x20, 5], 3), None);
        assert_eq!(unpack(&[5, b'a'], 6), None);
        assert_eq!(unpack(&[0, b'a'], u64::MAX), None);
    }
}
