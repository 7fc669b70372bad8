//! SORT SORT_RO

use std::cmp::Ordering;

use super::number::integer;
use super::{Context, Refusal, Reply, count};
use crate::keyspace::float;
use crate::keyspace::list::End;
use crate::keyspace::value::Value;

type Outcome = Result<Reply, Refusal>;

/// What SORT was asked.
#[derive(Default)]
struct Asked<'a> {
    by: Option<&'a [u8]>,
    get: Vec<&'a [u8]>,
    limit: Option<(i64, i64)>,
    descending: bool,
    alpha: bool,
    store: Option<&'a [u8]>,
}

/// `SORT key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC | DESC] [ALPHA] [STORE key]`
pub(super) fn sort(cx: &mut Context<'_>) -> Outcome {
    run(cx, true)
}

/// `SORT_RO key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC | DESC] [ALPHA]`
pub(super) fn sort_ro(cx: &mut Context<'_>) -> Outcome {
    run(cx, false)
}

fn asked<'a>(args: &'a [&'a [u8]], may_store: bool) -> Result<Asked<'a>, Refusal> {
    let mut asked = Asked::default();
    let mut rest = args;
    while let Some((option, more)) = rest.split_first() {
        let option = option.to_ascii_lowercase();
        rest = match (option.as_slice(), more) {
            (b"asc", more) => {
                asked.descending = false;
                more
            }
            (b"desc", more) => {
                asked.descending = true;
                more
            }
            (b"alpha", more) => {
                asked.alpha = true;
                more
            }
            (b"limit", [offset, wanted, more @ ..]) => {
                asked.limit = Some((integer(offset)?, integer(wanted)?));
                more
            }
            (b"store", [key, more @ ..]) if may_store => {
                asked.store = Some(key);
                more
            }
            (b"by", [pattern, more @ ..]) => {
                asked.by = Some(pattern);
                more
            }
            (b"get", [pattern, more @ ..]) => {
                asked.get.push(pattern);
                more
            }
            _ => return Err(Refusal::Syntax),
        };
    }
    Ok(asked)
}

fn run(cx: &mut Context<'_>, may_store: bool) -> Outcome {
    let asked = asked(cx.rest(2), may_store)?;
    let mut ranked = false;
    let mut elements: Vec<Vec<u8>> = match cx.entry(cx.arg(1)).map(|entry| &entry.value) {
        None => Vec::new(),
        Some(Value::List(list)) => {
            let mut all = Vec::with_capacity(list.len());
            list.visit(0, usize::MAX, &mut |element| all.push(element.to_vec()));
            all
        }
        Some(Value::Set(set)) => set.iter().map(|(member, ())| member.to_vec()).collect(),
        Some(Value::ZSet(zset)) => {
            ranked = true;
            zset.iter().map(|(_, member)| member.to_vec()).collect()
        }
        Some(_) => return Err(Refusal::WrongType),
    };
    // A pattern without a star names no key, so the order stays; a set has none, so that a stored
    // one must get some.
    let unsorted = asked.by.is_some_and(|by| !by.contains(&b'*'));
    let is_set = matches!(cx.unread(cx.arg(1)).map(|e| &e.value), Some(Value::Set(_)));
    if unsorted && !(is_set && asked.store.is_some()) {
        if ranked && asked.descending {
            elements.reverse();
        }
    } else {
        elements = order(cx, &asked, elements, unsorted)?;
    }
    if let Some((offset, wanted)) = asked.limit {
        let offset = usize::try_from(offset.max(0)).unwrap_or(usize::MAX).min(elements.len());
        elements.drain(..offset);
        elements.truncate(usize::try_from(wanted).unwrap_or(usize::MAX));
    }
    let found = outputs(cx, &asked, elements);
    let Some(key) = asked.store else {
        return Ok(Reply::Array(
            found.into_iter().map(|f| f.map_or(Reply::Null, Reply::Bulk)).collect(),
        ));
    };
    if cx.unread(key).is_some() {
        cx.effects.delete(cx.db, key);
    }
    let elements: Vec<&[u8]> = found.iter().map(|f| f.as_deref().unwrap_or_default()).collect();
    if !elements.is_empty() {
        cx.effects.list_push(cx.db, key, End::Right, &elements);
    }
    Ok(count(elements.len()))
}

/// What is answered for each element: itself, or what the GET patterns find.
fn outputs(
    cx: &mut Context<'_>,
    asked: &Asked<'_>,
    elements: Vec<Vec<u8>>,
) -> Vec<Option<Vec<u8>>> {
    if asked.get.is_empty() {
        return elements.into_iter().map(Some).collect();
    }
    let mut found = Vec::with_capacity(elements.len() * asked.get.len());
    for element in &elements {
        for pattern in &asked.get {
            found.push(lookup(cx, pattern, element));
        }
    }
    found
}

/// Sorts by weight or text; equal ones by their bytes.
fn order(
    cx: &mut Context<'_>,
    asked: &Asked<'_>,
    elements: Vec<Vec<u8>>,
    plain: bool,
) -> Result<Vec<Vec<u8>>, Refusal> {
    /// What an element is sorted by.
    enum Weight {
        Number(f64),
        Text(Option<Vec<u8>>),
    }
    let not_double = Refusal::Plain("ERR One or more scores can't be converted into double");
    let mut weighed = Vec::with_capacity(elements.len());
    for element in elements {
        let by = match asked.by {
            Some(pattern) if !plain => lookup(cx, pattern, &element),
            _ => Some(element.clone()),
        };
        let weight = if asked.alpha || plain {
            Weight::Text(by)
        } else {
            let number = match by {
                Some(text) if !text.is_empty() => float::parse(&text),
                // What `strtod` makes of nothing.
                _ => Some(0.0),
            };
            Weight::Number(number.ok_or(not_double)?)
        };
        weighed.push((weight, element));
    }
    weighed.sort_by(|(a, x), (b, y)| {
        let ordering = match (a, b) {
            (Weight::Number(a), Weight::Number(b)) => {
                a.partial_cmp(b).unwrap_or(Ordering::Equal).then_with(|| x.cmp(y))
            }
            (Weight::Text(a), Weight::Text(b)) if asked.by.is_some() && !plain => a.cmp(b),
            _ => x.cmp(y),
        };
        if asked.descending { ordering.reverse() } else { ordering }
    });
    Ok(weighed.into_iter().map(|(_, element)| element).collect())
}

/// What a pattern finds for an element: `#` itself, `a*` a string, `a*->f` a field.
fn lookup(cx: &mut Context<'_>, pattern: &[u8], element: &[u8]) -> Option<Vec<u8>> {
    if pattern == b"#" {
        return Some(element.to_vec());
    }
    let star = pattern.iter().position(|byte| *byte == b'*')?;
    let (before, after) = pattern.split_at(star);
    let after = after.get(1..).unwrap_or_default();
    let arrow = after.windows(2).position(|pair| pair == b"->");
    let arrow = arrow.filter(|at| at + 2 < after.len());
    let (suffix, field) = match arrow {
        Some(at) => (after.get(..at)?, after.get(at + 2..)),
        None => (after, None),
    };
    let key = [before, element, suffix].concat();
    match (cx.entry(&key).map(|entry| &entry.value)?, field) {
        (Value::String(string), None) => Some(string.to_vec()),
        (Value::Hash(hash), Some(field)) => hash.get(field).map(|value| value.to_vec()),
        _ => None,
    }
}
