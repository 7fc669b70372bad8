//! When a certificate ends.

use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// The last second of the year 9999, which stands for no end at all.
const NEVER: u64 = 253_402_300_799;

/// The last second in which a certificate holds, since 1970; `None` if it cannot be read, or has no end.
pub(super) fn not_after(certificate: &[u8]) -> Option<i64> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let ends = certificate.tbs_certificate().validity().not_after.to_unix_duration().as_secs();
    i64::try_from(ends).ok().filter(|_| ends < NEVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a real one says is in `tests/it/secured.rs`.
    #[test]
    fn what_is_no_certificate_has_no_end() {
        for bytes in [&b""[..], b"\x30", b"\x30\x03\x02\x01\x01", b"\x30\x84\xff\xff\xff\xff\x30"] {
            assert_eq!(not_after(bytes), None);
        }
    }
}
