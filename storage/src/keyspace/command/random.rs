//! Random members: HRANDFIELD SRANDMEMBER ZRANDMEMBER SPOP

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use super::number::{integer, positive};
use super::{Context, Refusal, Reply};
use crate::keyspace::map::{Map, Weight};
use crate::keyspace::table::Bytes;

type Outcome = Result<Reply, Refusal>;

/// Random numbers nobody outside can foretell. What they choose is logged, not they.
fn numbers() -> impl FnMut() -> u64 {
    let state = RandomState::new();
    let mut drawn = 0_u64;
    move || {
        drawn += 1;
        state.hash_one(drawn)
    }
}

/// Entries that may be drawn for one reply with repetitions.
const MAX_DRAWN: u64 = 64 << 20;

/// Draws as the sign of `wanted` says: so many different entries, or so many with repetitions.
fn draw<V: Weight>(map: &Map<V>, wanted: i64) -> Result<Vec<(&Bytes, &V)>, Refusal> {
    let mut numbers = numbers();
    let size = wanted.unsigned_abs();
    let many = usize::try_from(size).unwrap_or(usize::MAX);
    if wanted < 0 {
        if size > MAX_DRAWN {
            return Err(Refusal::Plain("ERR value is out of range"));
        }
        return Ok((0..many).map_while(|_| map.pick(&mut numbers)).collect());
    }
    if many >= map.len() {
        return Ok(map.iter().collect());
    }
    if many > map.len() / 3 {
        // Drawing would meet the same ones again and again: what is too much leaves instead.
        let mut left: Vec<_> = map.iter().collect();
        while left.len() > many {
            let at = numbers() as usize % left.len();
            left.swap_remove(at);
        }
        return Ok(left);
    }
    let (mut seen, mut drawn) = (HashSet::new(), Vec::new());
    while drawn.len() < many {
        let Some(entry) = map.pick(&mut numbers) else { break };
        if seen.insert(entry.0) {
            drawn.push(entry);
        }
    }
    Ok(drawn)
}

/// The count of a command that gives random entries.
fn wanted(text: &[u8], doubled: bool) -> Result<i64, Refusal> {
    let count = integer(text)?;
    if count == i64::MIN {
        return Err(Refusal::Plain(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ));
    }
    if doubled && !(i64::MIN / 2..=i64::MAX / 2).contains(&count) {
        return Err(Refusal::Plain("ERR value is out of range"));
    }
    Ok(count)
}

/// What HRANDFIELD, ZRANDMEMBER or SRANDMEMBER is asked: how many, and whether with values, for which
/// the first two have a word. Without a count it is one, answered alone.
fn asked(cx: &Context<'_>, word: Option<&str>) -> Result<Option<(i64, bool)>, Refusal> {
    let is = |option: &[u8]| word.is_some_and(|word| option.eq_ignore_ascii_case(word.as_bytes()));
    match cx.rest(2) {
        [] => Ok(None),
        [count] => Ok(Some((wanted(count, false)?, false))),
        [count, option] if is(option) => Ok(Some((wanted(count, true)?, true))),
        [count, ..] => {
            wanted(count, false)?;
            Err(Refusal::Syntax)
        }
    }
}

fn answer<V: Weight>(
    asked: Option<(i64, bool)>,
    map: Option<&Map<V>>,
    show: impl Fn(&V) -> Reply,
) -> Outcome {
    let Some((count, pairs)) = asked else {
        let one = map.map_or(Ok(Vec::new()), |map| draw(map, -1))?;
        return Ok(one.first().map_or(Reply::Null, |(name, _)| Reply::bulk(name)));
    };
    let drawn = map.map_or(Ok(Vec::new()), |map| draw(map, count))?;
    Ok(if pairs {
        let pair = |(name, value): (&Bytes, &V)| (Reply::bulk(name), show(value));
        Reply::Pairs(drawn.into_iter().map(pair).collect())
    } else {
        Reply::Bulks(drawn.into_iter().map(|(name, _)| &**name).collect())
    })
}

/// `HRANDFIELD key [count [WITHVALUES]]`
pub(super) fn hrandfield(cx: &mut Context<'_>) -> Outcome {
    let asked = asked(cx, Some("withvalues"))?;
    let hash = cx.hash(cx.arg(1))?;
    answer(asked, hash.map(|hash| &**hash), |value| Reply::bulk(value))
}

/// `ZRANDMEMBER key [count [WITHSCORES]]`
pub(super) fn zrandmember(cx: &mut Context<'_>) -> Outcome {
    let asked = asked(cx, Some("withscores"))?;
    let zset = cx.zset(cx.arg(1))?;
    answer(asked, zset.map(|zset| zset.scores()), |score| Reply::Double(*score))
}

/// `SRANDMEMBER key [count]`
pub(super) fn srandmember(cx: &mut Context<'_>) -> Outcome {
    if cx.args.len() > 3 {
        return Err(Refusal::Syntax);
    }
    let asked = asked(cx, None)?;
    let set = cx.set(cx.arg(1))?;
    answer(asked, set.map(|set| &**set), |()| Reply::Null)
}

/// `SPOP key [count]`
pub(super) fn spop(cx: &mut Context<'_>) -> Outcome {
    let key = cx.arg(1);
    let (wanted, many) = match cx.rest(2) {
        [] => (1, false),
        [count] => (positive(count)?, true),
        _ => return Err(Refusal::Syntax),
    };
    let Some(set) = cx.set(key)? else {
        return Ok(if many { Reply::Set(Vec::new()) } else { Reply::Null });
    };
    let drawn = draw(set, i64::try_from(wanted).unwrap_or(i64::MAX))?;
    let names: Vec<&[u8]> = drawn.into_iter().map(|(member, ())| &**member).collect();
    if !names.is_empty() {
        cx.effects.set_remove(cx.db, key, &names);
    }
    let mut replies = names.into_iter().map(Reply::bulk);
    Ok(if many { Reply::Set(replies.collect()) } else { replies.next().unwrap_or(Reply::Null) })
}
