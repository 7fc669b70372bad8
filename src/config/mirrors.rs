//! `[[mirror.redis]]`: Redis servers that keys are pushed to, read from a file's tables.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ConfigError;
use super::raw::{Place, as_text, line_of, nearest};
use super::units::duration;
use crate::mirror::redis::{Keys, Options, Rule, Written};
use crate::remote::{Files, Source};

const KEYS: [&str; 15] = [
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
    "series",
    "series_keys",
];
const SERIES: [&str; 9] =
    ["match", "as", "key", "field", "fields", "labels", "time", "max_len", "ttl"];
/// Keys of series, where nothing else is said.
const SERIES_KEYS: usize = 10_000;
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
        series: Vec::new(),
        series_keys: SERIES_KEYS,
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
        if key == "series" {
            options.series = series(path, text, &full, value)?;
            continue;
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
        "series_keys" => {
            options.series_keys = text.parse().map_err(|_| "how many keys, a number".to_owned())?;
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

/// Reads the rules of a mirror's series.
fn series(
    path: &Path,
    text: &str,
    key: &str,
    value: &Spanned<DeValue<'_>>,
) -> Result<Vec<Rule>, ConfigError> {
    let wrong = |key: String, offset: usize, reason: String| ConfigError::Value {
        key,
        text: String::new(),
        place: Place::Line(path.to_owned(), line_of(text, offset)),
        reason,
    };
    let tables = "rules are tables, [[mirror.redis.series]]; see docs/replication.md";
    let at = value.span().start;
    let DeValue::Array(values) = value.get_ref() else {
        return Err(wrong(key.to_owned(), at, tables.to_owned()));
    };
    let mut rules = Vec::new();
    for (i, value) in values.iter().enumerate() {
        let (at, of) = (value.span().start, format!("{key}[{}]", i + 1));
        let DeValue::Table(table) = value.get_ref() else {
            return Err(wrong(of, at, tables.to_owned()));
        };
        let mut written = Written::default();
        for (name, value) in table {
            let key = name.get_ref().as_ref();
            let full = format!("{of}.{key}");
            if !SERIES.contains(&key) {
                return Err(ConfigError::UnknownKey {
                    key: full,
                    place: Place::Line(path.to_owned(), line_of(text, name.span().start))
                        .to_string(),
                    suggestion: nearest(key, SERIES.iter().map(|key| (*key).to_owned())),
                });
            }
            set_series(&mut written, key, value.get_ref())
                .map_err(|reason| wrong(full, name.span().start, reason))?;
        }
        let rule = Rule::new(written);
        rules.push(rule.map_err(|error| wrong(format!("{of}.{}", error.key), at, error.reason))?);
    }
    Ok(rules)
}

fn set_series(rule: &mut Written, key: &str, value: &DeValue<'_>) -> Result<(), String> {
    match (key, value) {
        ("fields", DeValue::Table(table)) => {
            for (name, value) in table {
                let field = as_text(value.get_ref()).ok_or("a member or field is a text")?;
                rule.fields.push((name.get_ref().to_string(), field));
            }
            return Ok(());
        }
        ("fields", _) => return Err("names of series with their members, { a = \"b\" }".to_owned()),
        ("labels", DeValue::Array(values)) => {
            let texts = values.iter().map(|value| as_text(value.get_ref()));
            rule.labels = texts.collect::<Option<_>>().ok_or("a list of texts is expected")?;
            return Ok(());
        }
        _ => {}
    }
    let text = as_text(value).ok_or("a value of this type is not understood here")?;
    match key {
        "match" => {
            rule.matchers =
                ringwell_query::parse_selector(&text).map_err(|error| error.to_string())?;
            rule.selector = text;
        }
        "as" => rule.form = text,
        "key" => rule.key = Some(text),
        "field" => rule.field = Some(text),
        "labels" => rule.labels = vec![text],
        "time" => rule.time = Some(text),
        "max_len" => {
            rule.max_len = Some(text.parse().map_err(|_| "how many elements, a number")?);
        }
        _ => {
            let ttl = duration(&text)?.as_millis();
            rule.ttl = Some(i64::try_from(ttl).map_err(|_| "too long")?);
        }
    }
    Ok(())
}
