//! Tools for strings, and for keys of any kind.

use ringwell_storage::keyspace::Reply;

use super::arguments::Arguments;
use super::tool::{Failed, Gives, Keys, Kind, Outcome, Run, Tool, may, must, text};
use super::value::Given;

/// Keys that `scan_all_keys` collects at most: an answer is held in memory whole.
const MOST_KEYS: usize = 100_000;

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "set",
        about: "Set a Redis string and optionally set an expiration time in seconds.",
        takes: &[
            must("key", Kind::Text),
            must("value", Kind::Value),
            may("expiration", Kind::Whole, "null"),
        ],
        gives: Gives::Text,
        run: Run::Keys(set),
    },
    Tool {
        name: "get",
        about: "Get a Redis string.",
        takes: &[must("key", Kind::Text)],
        gives: Gives::Text,
        run: Run::Keys(get),
    },
    Tool {
        name: "delete",
        about: "Delete a Redis key. The time series it fed keeps its past.",
        takes: &[must("key", Kind::Text)],
        gives: Gives::Text,
        run: Run::Keys(delete),
    },
    Tool {
        name: "type",
        about: "Get the type of the value at a key (none if there is no such key), and its time to live in \
                seconds (-1: for ever).",
        takes: &[must("key", Kind::Text)],
        gives: Gives::Dict,
        run: Run::Keys(kind),
    },
    Tool {
        name: "expire",
        about: "Set the time in seconds after which a Redis key expires.",
        takes: &[must("name", Kind::Text), must("expire_seconds", Kind::Whole)],
        gives: Gives::Text,
        run: Run::Keys(expire),
    },
    Tool {
        name: "rename",
        about: "Rename a Redis key.",
        takes: &[must("old_key", Kind::Text), must("new_key", Kind::Text)],
        gives: Gives::Dict,
        run: Run::Keys(rename),
    },
    Tool {
        name: "scan_keys",
        about: "One step through the keys that match a pattern: call it again with the cursor it returns \
                until that is 0, or use scan_all_keys.",
        takes: &[
            may("pattern", Kind::Text, "\"*\""),
            may("count", Kind::Whole, "100"),
            may("cursor", Kind::Value, "0"),
        ],
        gives: Gives::DictOrText,
        run: Run::Keys(scan),
    },
    Tool {
        name: "scan_all_keys",
        about: "All keys that match a pattern, such as metrics:*.",
        takes: &[may("pattern", Kind::Text, "\"*\""), may("batch_size", Kind::Whole, "100")],
        gives: Gives::Texts,
        run: Run::Keys(scan_all),
    },
    Tool {
        name: "dbsize",
        about: "Get the number of keys.",
        takes: &[],
        gives: Gives::Number,
        run: Run::Keys(dbsize),
    },
];

fn set(keys: &mut Keys<'_>, args: &Arguments<'_>) -> Outcome {
    let (key, value) = (args.text("key"), args.value("value"));
    let seconds = args.maybe_whole("expiration").filter(|seconds| *seconds != 0);
    let done = match seconds {
        Some(seconds) => keys.call(&["SETEX", key, &seconds.to_string(), &value]),
        None => keys.call(&["SET", key, &value]),
    };
    done.map_err(|e| Failed(format!("Error setting key {key}: {e}")))?;
    let set = format!("Successfully set {key}");
    text(match seconds {
        Some(seconds) => format!("{set} with expiration {seconds} seconds"),
        None => set,
    })
}

fn get(keys: &mut Keys<'_>, args: &Arguments<'_>) -> Outcome {
    let key = args.text("key");
    let value =
        keys.one(&["GET", key]).map_err(|e| Failed(format!("Error retrieving key {key}: {e}")))?;
    text(value.unwrap_or_else(|| format!("Key {key} does not exist")))
}

fn delete(keys: &mut Keys<'_>, args: &Arguments<'_>) -> Outcome {
    let key = args.text("key");
    let deleted =
        keys.number(&["DEL", key]).map_err(|e| Failed(format!("Error deleting key {key}: {e}")))?;
    text(match deleted {
        0 => format!("Key {key} not found"),
        _ => format!("Successfully deleted {key}"),
    })
}

fn kind(keys: &mut Keys<'_>, args: &Arguments<'_>) -> Outcome {
    let key = args.text("key");
    let told = |e| Failed(format!("Error looking at key {key}: {e}"));
    let kind = keys.one(&["TYPE", key]).map_err(told)?.unwrap_or_default();
    let ttl = keys.number(&["TTL", key]).map_err(told)?;
    let members =
        [("key", Given::text(key)), ("type", Given::Text(kind)), ("ttl", Given::Number(ttl))];
    Ok(Given::dict(members).into())
}

fn expire(keys: &mut Keys<'_>, args: &Arguments<'_>) -> Outcome {
    let (name, seconds) = (args.text("name"), args.whole("expire_seconds", 0));
    let set = keys
        .number(&["EXPIRE", name, &seconds.to_string()])
        .map_err(|e| Failed(format!("Error setting expiration for key '{name}': {e}")))?;
    text(match set {
        0 => format!("Key '{name}' does not exist."),
        _ => format!("Expiration set to {seconds} seconds for '{name}'."),
    })
}

fn rename(keys: &mut Keys<'_>, args: &Arguments<'_>) -> Outcome {
    let (old, new) = (args.text("old_key"), args.text("new_key"));
    let told = |error: String| Given::dict([("error", Given::Text(error))]);
    Ok(match keys.call(&["RENAME", old, new]) {
        Ok(_) => Given::dict([
            ("status", Given::text("success")),
            ("message", Given::text(format!("Renamed key '{old}' to '{new}'"))),
        ]),
        Err(error) if error == "no such key" => told(format!("Key '{old}' does not exist.")),
        Err(error) => told(error),
    }
    .into())
}

/// One step of SCAN: the next cursor and the keys.
fn step(
    keys: &mut Keys<'_>,
    cursor: &str,
    pattern: &str,
    count: i64,
) -> Result<(String, Vec<String>), Failed> {
    let count = count.to_string();
    let told = |e| Failed(format!("Error scanning keys with pattern '{pattern}': {e}"));
    let reply = keys.call(&["SCAN", cursor, "MATCH", pattern, "COUNT", &count]).map_err(told)?;
    let mut parts = match reply {
        Reply::Array(parts) => parts.into_iter(),
        other => return Err(told(format!("not an answer to SCAN: {other:?}"))),
    };
    let texts = |reply: Option<Reply>| -> Vec<String> {
        let strings = reply.map(|reply| crate::inside::strings(&reply)).unwrap_or_default();
        strings.iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect()
    };
    let cursor = texts(parts.next()).pop().unwrap_or_else(|| "0".to_owned());
    Ok((cursor, texts(parts.next())))
}

fn scan(keys: &mut Keys<'_>, args: &Arguments<'_>) -> Outcome {
    let cursor = Some(args.value("cursor")).filter(|cursor| !cursor.is_empty());
    let (next, found) = step(
        keys,
        cursor.as_deref().unwrap_or("0"),
        args.text_or("pattern", "*"),
        args.whole("count", 100),
    )?;
    let complete = next == "0";
    let next = next.parse().map_or_else(|_| Given::Text(next), Given::Number);
    let total = i64::try_from(found.len()).unwrap_or(i64::MAX);
    Ok(Given::dict([
        ("cursor", next),
        ("keys", Given::texts(found)),
        ("total_scanned", Given::Number(total)),
        ("scan_complete", Given::Truth(complete)),
    ])
    .into())
}

fn scan_all(keys: &mut Keys<'_>, args: &Arguments<'_>) -> Outcome {
    let pattern = args.text_or("pattern", "*");
    let (mut cursor, mut all) = ("0".to_owned(), Vec::new());
    loop {
        let (next, found) = step(keys, &cursor, pattern, args.whole("batch_size", 100))?;
        all.extend(found);
        if all.len() > MOST_KEYS {
            return Err(Failed(format!(
                "more than {MOST_KEYS} keys match '{pattern}'; use a narrower pattern or scan_keys"
            )));
        }
        if next == "0" {
            return Ok(Given::texts(all).into());
        }
        cursor = next;
    }
}

fn dbsize(keys: &mut Keys<'_>, _: &Arguments<'_>) -> Outcome {
    let size = keys
        .number(&["DBSIZE"])
        .map_err(|e| Failed(format!("Error getting database size: {e}")))?;
    Ok(Given::Number(size).into())
}
