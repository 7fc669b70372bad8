//! Tools for hashes: current values.

use super::arguments::Arguments;
use super::tool::{Done, Failed, Gives, Keys, Kind, Outcome, Run, Tool, may, must, text};
use super::value::Given;

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "hset",
        about: "Set a field of a Redis hash and optionally set an expiration time. Numeric fields of \
                metrics:* keys become time series.",
        takes: &[
            must("name", Kind::Text),
            must("key", Kind::Text),
            must("value", Kind::Value),
            may("expire_seconds", Kind::Whole, "null"),
        ],
        gives: Gives::Text,
        run: Run::Keys(set),
    },
    Tool {
        name: "hget",
        about: "Get the value of a field of a Redis hash. A field that is not there is a text that says so; \
                the structured result has found and value beside it.",
        takes: &[must("name", Kind::Text), must("key", Kind::Text)],
        gives: Gives::Found,
        run: Run::Keys(get),
    },
    Tool {
        name: "hdel",
        about: "Delete a field of a Redis hash.",
        takes: &[must("name", Kind::Text), must("key", Kind::Text)],
        gives: Gives::Text,
        run: Run::Keys(delete),
    },
    Tool {
        name: "hgetall",
        about: "Get all fields and values of a Redis hash.",
        takes: &[must("name", Kind::Text)],
        gives: Gives::Unsaid,
        run: Run::Keys(all),
    },
    Tool {
        name: "hexists",
        about: "Check if a field of a Redis hash exists.",
        takes: &[must("name", Kind::Text), must("key", Kind::Text)],
        gives: Gives::Truth,
        run: Run::Keys(exists),
    },
    Tool {
        name: "hincrby",
        about: "Add a whole number to a field of a Redis hash and return the sum; a field that is not there \
                counts as 0. Use this for counters: reading and writing back loses updates.",
        takes: &[
            must("name", Kind::Text),
            must("key", Kind::Text),
            may("amount", Kind::Whole, "1"),
        ],
        gives: Gives::Number,
        run: Run::Keys(add),
    },
];

fn set(keys: &mut Keys<'_>, args: &Arguments<'_>) -> Outcome {
    let (name, key, value) = (args.text("name"), args.text("key"), args.value("value"));
    let seconds = args.maybe_whole("expire_seconds");
    keys.call(&["HSET", name, key, &value])
        .and_then(|_| keys.expire(name, seconds))
        .map_err(|e| Failed(format!("Error setting field '{key}' in hash '{name}': {e}")))?;
    let set = format!("Field '{key}' set successfully in hash '{name}'.");
    text(match seconds {
        Some(seconds) if seconds != 0 => format!("{set} Expires in {seconds} seconds."),
        _ => set,
    })
}

fn get(keys: &mut Keys<'_>, args: &Arguments<'_>) -> Outcome {
    let (name, key) = (args.text("name"), args.text("key"));
    let value = keys
        .one(&["HGET", name, key])
        .map_err(|e| Failed(format!("Error getting field '{key}' from hash '{name}': {e}")))?;
    let none = || format!("Field '{key}' not found in hash '{name}'.");
    let shown = value.clone().filter(|value| !value.is_empty()).unwrap_or_else(none);
    let found = Given::Truth(value.is_some());
    let value = value.map_or(Given::Null, Given::Text);
    let beside = vec![("found", found), ("value", value)];
    Ok(Done { given: Given::Text(shown), beside, whole: None })
}

fn delete(keys: &mut Keys<'_>, args: &Arguments<'_>) -> Outcome {
    let (name, key) = (args.text("name"), args.text("key"));
    let deleted = keys
        .number(&["HDEL", name, key])
        .map_err(|e| Failed(format!("Error deleting field '{key}' from hash '{name}': {e}")))?;
    text(match deleted {
        0 => format!("Field '{key}' not found in hash '{name}'."),
        _ => format!("Field '{key}' deleted from hash '{name}'."),
    })
}

fn all(keys: &mut Keys<'_>, args: &Arguments<'_>) -> Outcome {
    let name = args.text("name");
    let pairs = keys
        .texts(&["HGETALL", name])
        .map_err(|e| Failed(format!("Error getting all fields from hash '{name}': {e}")))?;
    if pairs.is_empty() {
        return text(format!("Hash '{name}' is empty or does not exist."));
    }
    let pairs = pairs.chunks_exact(2).filter_map(|pair| match pair {
        [field, value] => Some((field.clone(), Given::text(value))),
        _ => None,
    });
    Ok(Given::Dict(pairs.collect()).into())
}

fn exists(keys: &mut Keys<'_>, args: &Arguments<'_>) -> Outcome {
    let (name, key) = (args.text("name"), args.text("key"));
    let exists = keys.number(&["HEXISTS", name, key]).map_err(|e| {
        Failed(format!("Error checking existence of field '{key}' in hash '{name}': {e}"))
    })?;
    Ok(Given::Truth(exists == 1).into())
}

fn add(keys: &mut Keys<'_>, args: &Arguments<'_>) -> Outcome {
    let (name, key) = (args.text("name"), args.text("key"));
    let amount = args.whole("amount", 1).to_string();
    let sum = keys
        .number(&["HINCRBY", name, key, &amount])
        .map_err(|e| Failed(format!("Error adding to field '{key}' in hash '{name}': {e}")))?;
    Ok(Given::Number(sum).into())
}
