//! `[[mirror.redis]]`: Redis servers that keys are pushed to, read from a file's tables.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::ConfigError;
use super::raw::{Place, as_text, line_of, nearest};
use super::units::duration;
use crate::mirror::redis::{Keys, Options};
use crate::remote::{Files, Source};

const KEYS: [&str; 13] = [
    "name",
    "url",
    "password_file",
    "ca_file",
    "cert_file",
    "key_file",
    "db",
    "from_db",
    "prefix",
    "only",
    "not",
    "grace",
    "verify",
];
/// Keys that the standing comparison takes a second, where nothing else is said.
const VERIFY: u32 = 20;

/// Reads one mirror; `number` counts from 1.
pub(super) fn read(
    path: &Path,
    text: &str,
    number: usize,
    table: &DeTable<'_>,
    start: usize,
) -> Result<Options, ConfigError> {
    let mut options = Options {
        name: String::new(),
        target: Source::default(),
        db: 0,
        from_db: 0,
        keys: Keys::default(),
        grace: std::time::Duration::from_secs(24 * 3600),
        verify: VERIFY,
    };
    let mut files = Files::default();
    let at = |offset: usize| Place::Line(path.to_owned(), line_of(text, offset));
    for (name, value) in table {
        let key = name.get_ref().as_ref();
        let full = format!("mirror.redis[{number}].{key}");
        if !KEYS.contains(&key) {
            return Err(ConfigError::UnknownKey {
                key: full,
                place: at(name.span().start).to_string(),
                suggestion: nearest(key, KEYS.iter().map(|key| (*key).to_owned())),
            });
        }
        set(&mut options, &mut files, key, value.get_ref()).map_err(|reason| {
            ConfigError::Value {
                key: full,
                // A url may hold a password.
                text: "<redacted>".to_owned(),
                place: at(name.span().start),
                reason,
            }
        })?;
    }
    for (key, missing) in
        [("name", options.name.is_empty()), ("url", options.target.address.is_empty())]
    {
        if missing {
            return Err(ConfigError::Value {
                key: format!("mirror.redis[{number}].{key}"),
                text: String::new(),
                place: at(start),
                reason: "a mirror needs a name and a url".to_owned(),
            });
        }
    }
    for name in ["password_file", "ca_file", "cert_file", "key_file"] {
        if let (Some(to), Some(from)) = (options.target.files.named(name), files.named(name)) {
            *to = from.take().or(to.take());
        }
    }
    options.target = options.target.checked().map_err(|reason| ConfigError::Value {
        key: format!("mirror.redis[{number}].url"),
        text: "<redacted>".to_owned(),
        place: at(start),
        reason,
    })?;
    Ok(options)
}

fn set(
    options: &mut Options,
    files: &mut Files,
    key: &str,
    value: &DeValue<'_>,
) -> Result<(), String> {
    if let DeValue::Array(values) = value {
        let texts: Option<Vec<String>> =
            values.iter().map(|value| as_text(value.get_ref())).collect();
        let texts = texts.ok_or("a list of texts is expected")?;
        match key {
            "only" => options.keys.only = texts,
            "not" => options.keys.not = texts,
            _ => return Err("one value is expected, not a list".to_owned()),
        }
        return Ok(());
    }
    let text = as_text(value).ok_or("a value of this type is not understood here")?;
    let database = || match text.parse::<u8>() {
        Ok(db) if db < ringwell_storage::keyspace::DATABASES => Ok(db),
        _ => Err("databases are 0 to 15".to_owned()),
    };
    match key {
        "name" => {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if text.is_empty() || !text.chars().all(plain) {
                return Err("a name is letters, digits, `-`, `_` and `.`".to_owned());
            }
            options.name = text;
        }
        "url" => {
            options.target = Source::read(&text)?;
            options.db = options.target.db.unwrap_or(options.db);
        }
        "verify" => {
            options.verify = text.parse().map_err(|_| "keys a second, a number".to_owned())?;
        }
        name if name.ends_with("_file") => {
            if let Some(file) = files.named(name) {
                *file = Some(text.into());
            }
        }
        "db" => {
            options.db = text.parse().map_err(|_| "a database is a number up to 255".to_owned())?;
        }
        "from_db" => options.from_db = database()?,
        "prefix" => options.keys.prefix = text,
        "only" => options.keys.only = vec![text],
        "not" => options.keys.not = vec![text],
        _ => options.grace = duration(&text)?,
    }
    Ok(())
}
