//! Tools for lists: where agents keep their curves.

use super::arguments::Arguments;
use super::tool::{Failed, Gives, Keys, Kind, Outcome, Run, Tool, may, must, text};
use super::value::{Given, json_dumps};

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "lpush",
        about: "Push a value onto the left of a Redis list (newest first) and optionally set an expiration \
                time. JSON is pushed as the string it is; lists of metrics:* keys become time series.",
        takes: &[
            must("name", Kind::Text),
            must("value", Kind::Value),
            may("expire", Kind::Whole, "null"),
        ],
        gives: Gives::Text,
        run: Run::Keys(|keys, args| push(keys, args, "LPUSH", "left")),
    },
    Tool {
        name: "rpush",
        about: "Push a value onto the right of a Redis list (oldest first) and optionally set an expiration \
                time. JSON is pushed as the string it is; lists of metrics:* keys become time series.",
        takes: &[
            must("name", Kind::Text),
            must("value", Kind::Value),
            may("expire", Kind::Whole, "null"),
        ],
        gives: Gives::Text,
        run: Run::Keys(|keys, args| push(keys, args, "RPUSH", "right")),
    },
    Tool {
        name: "lpop",
        about: "Remove and return the first element of a Redis list.",
        takes: &[must("name", Kind::Text)],
        gives: Gives::Text,
        run: Run::Keys(|keys, args| pop(keys, args, "LPOP")),
    },
    Tool {
        name: "rpop",
        about: "Remove and return the last element of a Redis list.",
        takes: &[must("name", Kind::Text)],
        gives: Gives::Text,
        run: Run::Keys(|keys, args| pop(keys, args, "RPOP")),
    },
    Tool {
        name: "lrange",
        about: "Get the elements of a Redis list from start to stop, both included; -1 is the last. Returns \
                the JSON of a list of strings.",
        takes: &[must("name", Kind::Text), must("start", Kind::Whole), must("stop", Kind::Whole)],
        gives: Gives::Texts,
        run: Run::Keys(range),
    },
    Tool {
        name: "llen",
        about: "Get the length of a Redis list.",
        takes: &[must("name", Kind::Text)],
        gives: Gives::Number,
        run: Run::Keys(length),
    },
    Tool {
        name: "lrem",
        about: "Remove elements from a Redis list: count of them from the head, from the tail if negative, \
                all if 0.",
        takes: &[
            must("name", Kind::Text),
            must("count", Kind::Whole),
            must("element", Kind::Value),
        ],
        gives: Gives::Text,
        run: Run::Keys(remove),
    },
    Tool {
        name: "ltrim",
        about: "Keep only the elements of a Redis list from start to stop, both included. The time series \
                of the list keeps its past.",
        takes: &[must("name", Kind::Text), must("start", Kind::Whole), must("stop", Kind::Whole)],
        gives: Gives::Text,
        run: Run::Keys(trim),
    },
];

fn push(keys: &mut Keys<'_>, args: &Arguments<'_>, command: &str, end: &str) -> Outcome {
    let (name, value) = (args.text("name"), args.value("value"));
    let seconds = args.maybe_whole("expire").filter(|seconds| *seconds != 0);
    keys.call(&[command, name, &value])
        .and_then(|_| keys.expire(name, seconds))
        .map_err(|e| Failed(format!("Error pushing value to list '{name}': {e}")))?;
    text(format!("Value '{value}' pushed to the {end} of list '{name}'."))
}

fn pop(keys: &mut Keys<'_>, args: &Arguments<'_>, command: &str) -> Outcome {
    let name = args.text("name");
    let value = keys
        .one(&[command, name])
        .map_err(|e| Failed(format!("Error popping value from list '{name}': {e}")))?;
    let none = || format!("List '{name}' is empty or does not exist.");
    text(value.filter(|value| !value.is_empty()).unwrap_or_else(none))
}

fn range(keys: &mut Keys<'_>, args: &Arguments<'_>) -> Outcome {
    let name = args.text("name");
    let (start, stop) = (args.whole("start", 0).to_string(), args.whole("stop", -1).to_string());
    let values = keys
        .texts(&["LRANGE", name, &start, &stop])
        .map_err(|e| Failed(format!("Error retrieving values from list '{name}': {e}")))?;
    if values.is_empty() {
        return text(format!("List '{name}' is empty or does not exist."));
    }
    text(json_dumps(&values))
}

fn length(keys: &mut Keys<'_>, args: &Arguments<'_>) -> Outcome {
    let name = args.text("name");
    let length = keys
        .number(&["LLEN", name])
        .map_err(|e| Failed(format!("Error retrieving length of list '{name}': {e}")))?;
    Ok(Given::Number(length).into())
}

fn remove(keys: &mut Keys<'_>, args: &Arguments<'_>) -> Outcome {
    let (name, element) = (args.text("name"), args.value("element"));
    let count = args.whole("count", 0).to_string();
    let removed = keys
        .number(&["LREM", name, &count, &element])
        .map_err(|e| Failed(format!("Error removing element from list '{name}': {e}")))?;
    text(match removed {
        0 => format!("Element '{element}' not found in list '{name}' or list does not exist."),
        n => format!("Removed {n} occurrence(s) of '{element}' from list '{name}'."),
    })
}

fn trim(keys: &mut Keys<'_>, args: &Arguments<'_>) -> Outcome {
    let name = args.text("name");
    let (start, stop) = (args.whole("start", 0).to_string(), args.whole("stop", -1).to_string());
    keys.call(&["LTRIM", name, &start, &stop])
        .map_err(|e| Failed(format!("Error trimming list '{name}': {e}")))?;
    text(format!("List '{name}' trimmed to elements {start} to {stop}."))
}
