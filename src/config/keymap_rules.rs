//! `[[keymap.rules]]`: the operator's rules of the keymap, read from a file's tables.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::ConfigError;
use super::raw::{Place, as_text, line_of, nearest};
use super::units::{count, duration};
use crate::ingest::keymap::{MaxAge, Rule, Written};

const KEYS: [&str; 10] = [
    "key",
    "name",
    "labels",
    "label",
    "fields",
    "others",
    "lookback",
    "max_len",
    "max_age",
    "on_delete",
];

/// Reads one rule; `number` counts from 1.
pub(super) fn read(
    path: &Path,
    text: &str,
    number: usize,
    table: &DeTable<'_>,
    start: usize,
) -> Result<Rule, ConfigError> {
    let mut written = Written::default();
    let at = |offset: usize| Place::Line(path.to_owned(), line_of(text, offset));
    for (name, value) in table {
        let key = name.get_ref().as_ref();
        let place = at(name.span().start);
        let full = format!("keymap.rules[{number}].{key}");
        let wrong = |shown: &str, reason: String| ConfigError::Value {
            key: full.clone(),
            text: shown.to_owned(),
            place: place.clone(),
            reason,
        };
        match (key, value.get_ref()) {
            ("labels", DeValue::Table(table)) => {
                written.labels = texts(table).map_err(|reason| wrong("", reason))?;
            }
            ("fields", DeValue::Table(table)) => {
                written.fields = texts(table).map_err(|reason| wrong("", reason))?;
            }
            (key, _) if !KEYS.contains(&key) => {
                return Err(ConfigError::UnknownKey {
                    key: full.clone(),
                    place: place.to_string(),
                    suggestion: nearest(key, KEYS.iter().map(|key| (*key).to_owned())),
                });
            }
            (_, value) => {
                let text = match value {
                    DeValue::Table(_) | DeValue::Array(_) => None,
                    value => as_text(value),
                };
                let shown = text.as_deref().unwrap_or_default();
                let set = match text.as_deref() {
                    Some(text) => set(&mut written, key, text),
                    None => Err("a value of this type is not understood here".to_owned()),
                };
                set.map_err(|reason| wrong(shown, reason))?;
            }
        }
    }
    let place = |key: &str| {
        let name = table.keys().find(|name| name.get_ref().as_ref() == key);
        at(name.map_or(start, |name| name.span().start))
    };
    let key = written.key.clone();
    if key.is_empty() {
        return Err(ConfigError::Value {
            key: format!("keymap.rules[{number}].key"),
            text: String::new(),
            place: place("key"),
            reason: "a rule needs a key, like metrics:shop:<branch>:takings".to_owned(),
        });
    }
    Rule::new(written).map_err(|error| ConfigError::Value {
        key: format!("keymap.rules[{number}].{}", error.key),
        text: key,
        place: place(error.key),
        reason: error.reason,
    })
}

fn set(written: &mut Written, key: &str, text: &str) -> Result<(), String> {
    let millis = |text: &str| {
        let millis = duration(text)?.as_millis();
        i64::try_from(millis).map_err(|_| "too long a time".to_owned())
    };
    match key {
        "key" => written.key = text.to_owned(),
        "name" => written.name = Some(text.to_owned()),
        "label" => written.label = Some(text.to_owned()),
        "others" => {
            written.only_fields = match text {
                "append" => false,
                "ignore" => true,
                _ => return Err("neither append nor ignore".to_owned()),
            }
        }
        "lookback" => written.lookback = Some(millis(text)?),
        "max_len" => written.max_len = Some(count(text)?),
        "max_age" => {
            written.max_age = Some(match text {
                "expire" => MaxAge::Expire,
                text => MaxAge::Millis(millis(text)?),
            });
        }
        "on_delete" => {
            written.forget = match text {
                "keep" => false,
                "forget" => true,
                _ => return Err("neither keep nor forget".to_owned()),
            }
        }
        _ => return Err("must be a table of texts, like { agent = \"coder\" }".to_owned()),
    }
    Ok(())
}

fn texts(table: &DeTable<'_>) -> Result<Vec<(String, String)>, String> {
    let mut texts = Vec::new();
    for (name, value) in table {
        let DeValue::String(text) = value.get_ref() else {
            return Err(format!("{:?} must be a text", name.get_ref()));
        };
        texts.push((name.get_ref().clone().into_owned(), text.clone().into_owned()));
    }
    Ok(texts)
}
