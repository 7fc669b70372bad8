//! SCAN HSCAN SSCAN ZSCAN

use super::number::integer;
use super::{Context, Refusal, Reply};
use crate::keyspace::bulks::Bulks;
use crate::keyspace::map::{Map, Weight};
use crate::keyspace::{float, glob};

type Outcome = Result<Reply, Refusal>;

/// How many keys a call looks at where COUNT says nothing.
const DEFAULT_COUNT: usize = 10;

/// What a scan was asked for.
struct Asked<'a> {
    pattern: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
    wanted: usize,
}

impl<'a> Asked<'a> {
    fn read(options: &'a [&'a [u8]], keys: bool) -> Result<Asked<'a>, Refusal> {
        let mut asked = Asked { pattern: None, kind: None, wanted: DEFAULT_COUNT };
        for option in options.chunks(2) {
            let [name, value] = option else { return Err(Refusal::Syntax) };
            match name.to_ascii_lowercase().as_slice() {
                b"match" => asked.pattern = Some(*value),
                b"type" if keys => asked.kind = Some(*value),
                b"count" => {
                    let count = usize::try_from(integer(value)?).ok().filter(|count| *count > 0);
                    asked.wanted = count.ok_or(Refusal::Syntax)?;
                }
                _ => return Err(Refusal::Syntax),
            }
        }
        Ok(asked)
    }

    fn names(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, name))
    }
}

fn page(next: u64, found: Bulks) -> Reply {
    Reply::Array(vec![Reply::Bulk(next.to_string().into_bytes()), Reply::Bulks(found)])
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`
pub(super) fn scan(cx: &mut Context<'_>) -> Outcome {
    let cursor = cursor(cx.arg(1)).ok_or(Refusal::Cursor)?;
    let asked = Asked::read(cx.rest(2), true)?;
    let mut keys = Bulks::default();
    let now = cx.now;
    let next = cx.database.keys.scan(cursor, asked.wanted, &mut |key, entry| {
        let alike = |kind: &[u8]| entry.value.kind().as_bytes().eq_ignore_ascii_case(kind);
        if asked.names(key) && asked.kind.is_none_or(alike) && !entry.expired(now) {
            keys.push(key);
        }
    });
    Ok(page(next, keys))
}

/// `HSCAN key cursor [MATCH pattern] [COUNT count]`
pub(super) fn hscan(cx: &mut Context<'_>) -> Outcome {
    let cursor = cursor(cx.arg(2)).ok_or(Refusal::Cursor)?;
    let hash = cx.hash(cx.arg(1))?;
    inside(cx, cursor, hash.map(|hash| &**hash), |value, found| found.push(value))
}

/// `SSCAN key cursor [MATCH pattern] [COUNT count]`
pub(super) fn sscan(cx: &mut Context<'_>) -> Outcome {
    let cursor = cursor(cx.arg(2)).ok_or(Refusal::Cursor)?;
    let set = cx.set(cx.arg(1))?;
    inside(cx, cursor, set.map(|set| &**set), |(), _| ())
}

/// `ZSCAN key cursor [MATCH pattern] [COUNT count]`
pub(super) fn zscan(cx: &mut Context<'_>) -> Outcome {
    let cursor = cursor(cx.arg(2)).ok_or(Refusal::Cursor)?;
    let zset = cx.zset(cx.arg(1))?;
    let scores = zset.map(|zset| zset.scores());
    let packed = scores.is_some_and(|scores| scores.fits_listpack());
    inside(cx, cursor, scores, |score, found| match long(*score) {
        Some(long) if packed => found.push(long.to_string().as_bytes()),
        _ => found.push(float::spell(*score).as_bytes()),
    })
}

/// A score that Redis keeps as an integer while a set is small, where ZSCAN shows it so and floats do not.
fn long(score: f64) -> Option<i64> {
    const MOST: f64 = (i64::MAX / 2) as f64;
    ((1e17..=MOST).contains(&score.abs()) && score.fract() == 0.0).then_some(score as i64)
}

fn inside<V: Weight>(
    cx: &Context<'_>,
    cursor: u64,
    map: Option<&Map<V>>,
    also: impl Fn(&V, &mut Bulks),
) -> Outcome {
    let mut found = Bulks::default();
    let Some(map) = map else { return Ok(page(0, found)) };
    let asked = Asked::read(cx.rest(3), false)?;
    let next = map.scan(cursor, asked.wanted, &mut |name, value| {
        if asked.names(name) {
            found.push(name);
            also(value, &mut found);
        }
    });
    Ok(page(next, found))
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
