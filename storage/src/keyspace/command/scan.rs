//! SCAN

use super::number::integer;
use super::{Context, Refusal, Reply};
use crate::keyspace::glob;
use crate::keyspace::packed::Packed;

/// How many keys a call looks at where COUNT says nothing.
const DEFAULT_COUNT: usize = 10;

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`
pub(super) fn scan(cx: &mut Context<'_>) -> Result<Reply, Refusal> {
    let cursor = cursor(cx.arg(1)).ok_or(Refusal::Cursor)?;
    let (mut pattern, mut kind, mut wanted) = (None, None, DEFAULT_COUNT);
    for option in cx.rest(2).chunks(2) {
        let [name, value] = option else { return Err(Refusal::Syntax) };
        match name.to_ascii_lowercase().as_slice() {
            b"match" => pattern = Some(*value),
            b"type" => kind = Some(*value),
            b"count" => {
                let count = usize::try_from(integer(value)?).ok().filter(|count| *count > 0);
                wanted = count.ok_or(Refusal::Syntax)?;
            }
            _ => return Err(Refusal::Syntax),
        }
    }
    let mut keys = Packed::default();
    let now = cx.now;
    let next = cx.database.keys.scan(cursor, wanted, &mut |key, entry| {
        let named = pattern.is_none_or(|pattern| glob::matches(pattern, key));
        let alike =
            kind.is_none_or(|kind| entry.value.kind().as_bytes().eq_ignore_ascii_case(kind));
        if named && alike && !entry.expired(now) {
            keys.push(key);
        }
    });
    Ok(Reply::Array(vec![Reply::Bulk(next.to_string().into_bytes()), Reply::Bulks(keys)]))
}

/// Reads a cursor as C's `strtoul` does: nothing is 0, a sign may stand in front.
fn cursor(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    match text.strip_prefix('-') {
        _ if text.is_empty() => Some(0),
        Some(digits) if !digits.starts_with('+') => {
            digits.parse::<u64>().ok().map(u64::wrapping_neg)
        }
        Some(_) => None,
        None => text.parse().ok(),
    }
}
