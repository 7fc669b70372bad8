//! Tools for sets and sorted sets.

use ringwell_storage::keyspace::Reply;

use super::arguments::Arguments;
use super::tool::{Failed, Gives, Keys, Kind, Outcome, Run, Tool, may, must, text};
use super::value::{Given, float, repr};

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "sadd",
        about: "Add a value to a Redis set and optionally set an expiration time.",
        takes: &[
            must("name", Kind::Text),
            must("value", Kind::Text),
            may("expire_seconds", Kind::Whole, "null"),
        ],
        gives: Gives::Text,
        run: Run::Keys(sadd),
    },
    Tool {
        name: "srem",
        about: "Remove a value from a Redis set.",
        takes: &[must("name", Kind::Text), must("value", Kind::Text)],
        gives: Gives::Text,
        run: Run::Keys(srem),
    },
    Tool {
        name: "smembers",
        about: "Get all members of a Redis set.",
        takes: &[must("name", Kind::Text)],
        gives: Gives::Texts,
        run: Run::Keys(smembers),
    },
    Tool {
        name: "zadd",
        about: "Add a member to a Redis sorted set with a score, such as a timestamp, and optionally set an \
                expiration time.",
        takes: &[
            must("key", Kind::Text),
            must("score", Kind::Number),
            must("member", Kind::Text),
            may("expiration", Kind::Whole, "null"),
        ],
        gives: Gives::Text,
        run: Run::Keys(zadd),
    },
    Tool {
        name: "zrange",
        about: "Get the members of a Redis sorted set from index start to end, both included; for a range of \
                scores, such as timestamps, use zrangebyscore.",
        takes: &[
            must("key", Kind::Text),
            must("start", Kind::Whole),
            must("end", Kind::Whole),
            may("with_scores", Kind::Truth, "false"),
        ],
        gives: Gives::Text,
        run: Run::Keys(zrange),
    },
    Tool {
        name: "zrangebyscore",
        about: "Get the members of a Redis sorted set whose scores are from min to max, as of a time range; \
                -inf and +inf are open ends, ( before a number leaves it out.",
        takes: &[
            must("key", Kind::Text),
            must("min", Kind::Value),
            must("max", Kind::Value),
            may("with_scores", Kind::Truth, "false"),
        ],
        gives: Gives::Text,
        run: Run::Keys(zrangebyscore),
    },
    Tool {
        name: "zrem",
        about: "Remove a member from a Redis sorted set.",
        takes: &[must("key", Kind::Text), must("member", Kind::Text)],
        gives: Gives::Text,
        run: Run::Keys(zrem),
    },
];

fn sadd(keys: &mut Keys<'_>, args: &Arguments<'_>) -> Outcome {
    let (name, value) = (args.text("name"), args.text("value"));
    let seconds = args.maybe_whole("expire_seconds");
    keys.call(&["SADD", name, value])
        .and_then(|_| keys.expire(name, seconds))
        .map_err(|e| Failed(format!("Error adding value '{value}' to set '{name}': {e}")))?;
    let added = format!("Value '{value}' added successfully to set '{name}'.");
    text(match seconds {
        Some(seconds) if seconds != 0 => format!("{added} Expires in {seconds} seconds."),
        _ => added,
    })
}

fn srem(keys: &mut Keys<'_>, args: &Arguments<'_>) -> Outcome {
    let (name, value) = (args.text("name"), args.text("value"));
    let removed = keys
        .number(&["SREM", name, value])
        .map_err(|e| Failed(format!("Error removing value '{value}' from set '{name}': {e}")))?;
    text(match removed {
        0 => format!("Value '{value}' not found in set '{name}'."),
        _ => format!("Value '{value}' removed from set '{name}'."),
    })
}

fn smembers(keys: &mut Keys<'_>, args: &Arguments<'_>) -> Outcome {
    let name = args.text("name");
    let members = keys
        .texts(&["SMEMBERS", name])
        .map_err(|e| Failed(format!("Error retrieving members of set '{name}': {e}")))?;
    if members.is_empty() {
        return text(format!("Set '{name}' is empty or does not exist."));
    }
    Ok(Given::texts(members).into())
}

fn zadd(keys: &mut Keys<'_>, args: &Arguments<'_>) -> Outcome {
    let (key, member, score) = (args.text("key"), args.text("member"), args.number("score"));
    let score = float(score);
    let seconds = args.maybe_whole("expiration").filter(|seconds| *seconds != 0);
    keys.call(&["ZADD", key, &score, member])
        .and_then(|_| keys.expire(key, seconds))
        .map_err(|e| Failed(format!("Error adding to sorted set {key}: {e}")))?;
    let added = format!("Successfully added {member} to {key} with score {score}");
    text(match seconds {
        Some(seconds) => format!("{added} and expiration {seconds} seconds"),
        None => added,
    })
}

fn zrange(keys: &mut Keys<'_>, args: &Arguments<'_>) -> Outcome {
    let (start, end) = (args.whole("start", 0).to_string(), args.whole("end", -1).to_string());
    members(keys, args, &["ZRANGE", args.text("key"), &start, &end])
}

fn zrangebyscore(keys: &mut Keys<'_>, args: &Arguments<'_>) -> Outcome {
    let (min, max) = (args.value("min"), args.value("max"));
    members(keys, args, &["ZRANGEBYSCORE", args.text("key"), &min, &max])
}

/// Members as Python shows its lists; with scores, tuples.
fn members(keys: &mut Keys<'_>, args: &Arguments<'_>, words: &[&str]) -> Outcome {
    let (key, scores) = (args.text("key"), args.truth("with_scores"));
    let words = if scores { [words, &["WITHSCORES"]].concat() } else { words.to_vec() };
    let reply =
        keys.call(&words).map_err(|e| Failed(format!("Error retrieving sorted set {key}: {e}")))?;
    let shown = shown(&reply);
    if shown.is_empty() {
        return text(format!("Sorted set {key} is empty or does not exist"));
    }
    text(format!("[{}]", shown.join(", ")))
}

fn shown(reply: &Reply) -> Vec<String> {
    let one = |reply: &Reply| match reply {
        Reply::Double(score) => float(*score),
        reply => crate::inside::strings(reply).iter().map(|s| text_of(s)).collect(),
    };
    match reply {
        Reply::Pairs(pairs) | Reply::Map(pairs) => pairs
            .iter()
            .map(|(member, score)| format!("({}, {})", one(member), one(score)))
            .collect(),
        reply => crate::inside::strings(reply).iter().map(|s| text_of(s)).collect(),
    }
}

fn text_of(bytes: &[u8]) -> String {
    repr(&String::from_utf8_lossy(bytes))
}

fn zrem(keys: &mut Keys<'_>, args: &Arguments<'_>) -> Outcome {
    let (key, member) = (args.text("key"), args.text("member"));
    let removed = keys
        .number(&["ZREM", key, member])
        .map_err(|e| Failed(format!("Error removing from sorted set {key}: {e}")))?;
    text(match removed {
        0 => format!("Member {member} not found in {key}"),
        _ => format!("Successfully removed {member} from {key}"),
    })
}
