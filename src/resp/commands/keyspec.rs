//! Finds the keys of a command: by where its facts say they stand, or as the command itself reads them.

use super::{arg, is};
use crate::resp::facts::{Facts, Place};

/// A key of a command, and what becomes of it in Redis's words.
pub(in crate::resp) type Key<'a> = (&'a [u8], &'static str);

/// The keys of a command that has the right number of arguments; `None` if they do not make sense.
pub(in crate::resp) fn keys_of<'a>(facts: &Facts, args: &[&'a [u8]]) -> Option<Vec<Key<'a>>> {
    let first = arg(args, 1);
    let has = |word: &[u8]| args.iter().skip(2).any(|arg| arg.eq_ignore_ascii_case(word));
    match facts.name {
        // Behind the value, which may be that word too.
        "set" if args.iter().skip(3).any(|arg| arg.eq_ignore_ascii_case(b"get")) => {
            return Some(vec![(first, "RW access update")]);
        }
        "migrate" => return Some(migrated(args)),
        "set" => return Some(vec![(first, "OW update")]),
        "sort" | "sort_ro" => return Some(sorted(args)),
        "georadius" => return Some(searched(args, 6)),
        "georadiusbymember" => return Some(searched(args, 5)),
        "bitfield" if has(b"set") || has(b"incrby") => {
            return Some(vec![(first, "RW access update")]);
        }
        "bitfield" => return Some(vec![(first, "RO access")]),
        _ => {}
    }
    let mut keys = Vec::new();
    for spec in facts.keys.iter().filter(|spec| !spec.flags.contains("not_key")) {
        if matches!(spec.place, Place::Keyword { .. }) && keyword(spec.place, args).is_none() {
            continue;
        }
        let Some((first, count, step)) = span(spec.place, args) else {
            return facts.is("no_mandatory_keys").then(Vec::new);
        };
        let places = (0..count).map(|i| first + i * step);
        keys.extend(places.filter_map(|place| Some((*args.get(place)?, spec.flags))));
    }
    Some(keys)
}

/// First place, number and step of the keys that stand at a place.
fn span(place: Place, args: &[&[u8]]) -> Option<(usize, usize, usize)> {
    let (first, last, step) = match place {
        Place::Range { first, last, step } => {
            let end = if last < 0 { args.len() } else { first };
            (first, end.checked_add_signed(last.into())?, step)
        }
        Place::Counted { at } => {
            let count = crate::resp::parse::number(args.get(at)?)?;
            let count = usize::try_from(count).ok().filter(|count| *count > 0)?;
            (at + 1, at.checked_add(count)?, 1)
        }
        Place::Keyword { last, limit, .. } => {
            let first = keyword(place, args)?;
            let each = args.len().saturating_sub(first) / limit.max(1);
            (first, if last < 0 { (first + each).checked_sub(1)? } else { first }, 1)
        }
        Place::Unknown => return None,
    };
    let fits = last >= first && last < args.len();
    fits.then(|| (first, (last - first) / step.max(1) + 1, step))
}

/// Where the keys begin that stand behind a word.
fn keyword(place: Place, args: &[&[u8]]) -> Option<usize> {
    let Place::Keyword { word, from, .. } = place else { return None };
    // The last argument cannot be the word, for something must follow.
    let is_word = |at: &usize| arg(args, *at).eq_ignore_ascii_case(word.as_bytes());
    let end = args.len().saturating_sub(1);
    let found = match usize::try_from(from) {
        Ok(from) => (from..end).find(is_word)?,
        Err(_) => (0..args.len().checked_add_signed(from + 1)?).rev().find(is_word)?,
    };
    Some(found + 1)
}

/// MIGRATE's keys: those behind KEYS, else the one that is named first. What follows AUTH is no word.
fn migrated<'a>(args: &[&'a [u8]]) -> Vec<Key<'a>> {
    let key = |key: &&'a [u8]| (*key, "RW access delete");
    let mut rest = args.get(6..).unwrap_or_default();
    while let [word, more @ ..] = rest {
        rest = match (word.to_ascii_lowercase().as_slice(), more) {
            (b"keys", keys) if arg(args, 3).is_empty() => return keys.iter().map(key).collect(),
            (b"auth", [_, more @ ..]) | (b"auth2", [_, _, more @ ..]) => more,
            _ => more,
        };
    }
    args.get(3).iter().map(|name| key(name)).collect()
}

/// The keys of a search whose options begin `from` there: every place that it may be told to write to, for the
/// last one counts.
fn searched<'a>(args: &[&'a [u8]], from: usize) -> Vec<Key<'a>> {
    let mut keys = vec![(arg(args, 1), "RO access")];
    let pairs = args.get(from..).unwrap_or_default().windows(2);
    keys.extend(pairs.filter_map(|pair| match pair {
        [word, key] if is(word, "store") || is(word, "storedist") => Some((*key, "OW update")),
        _ => None,
    }));
    keys
}

/// SORT's keys: what is sorted, and what the last STORE names.
fn sorted<'a>(args: &[&'a [u8]]) -> Vec<Key<'a>> {
    let mut keys = vec![(arg(args, 1), "RO access")];
    let mut rest = args.get(2..).unwrap_or_default();
    let mut stored = None;
    while let [option, more @ ..] = rest {
        rest = match (option.to_ascii_lowercase().as_slice(), more) {
            (b"limit", [_, _, more @ ..]) | (b"get" | b"by", [_, more @ ..]) => more,
            (b"store", [key, more @ ..]) => {
                stored = Some((*key, "OW update"));
                more
            }
            _ => more,
        };
    }
    keys.extend(stored);
    keys
}
