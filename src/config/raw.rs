//! Settings as they are written: texts by key, each with the place it comes from.
//!
//! Flags win over the environment, that over the file, that over the defaults. A key nobody knows
//! is an error that names the place and the nearest key there is.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::ConfigError;
use super::keymap_rules;
use super::knobs::{self, KNOBS, Kind, Knob};
use super::mirrors;
use crate::ingest::keymap::Rule;

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A flag of the command line.
    Flag(String),
    /// An environment variable.
    Variable(String),
    /// A line of a file.
    Line(PathBuf, usize),
    /// Nobody set it.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Flag(flag) => write!(f, "flag {flag}"),
            Place::Variable(name) => write!(f, "environment variable {name}"),
            Place::Line(path, line) => write!(f, "{}:{line}", path.display()),
            Place::Default => f.write_str("default"),
        }
    }
}

/// A text and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// As written.
    pub text: String,
    /// Where.
    pub place: Place,
}

/// All that was set, by key of [`KNOBS`], and the keymap's rules.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    knobs: HashMap<&'static str, Setting>,
    keymap_rules: Vec<Rule>,
    mirrors: Vec<crate::mirror::redis::Options>,
}

impl Settings {
    /// The setting of a key, its default if nobody set it.
    pub fn get(&self, knob: &'static Knob) -> Setting {
        self.knobs
            .get(knob.key)
            .cloned()
            .unwrap_or_else(|| Setting { text: knob.default.to_owned(), place: Place::Default })
    }

    /// The operator's rules of the keymap, in order.
    pub fn keymap_rules(&self) -> &[Rule] {
        &self.keymap_rules
    }

    /// The Redis servers that keys are pushed to.
    pub fn mirrors(&self) -> &[crate::mirror::redis::Options] {
        &self.mirrors
    }

    /// Takes a setting; one that is already there stays if it has more weight, which callers
    /// ensure by their order: file, environment, flags.
    pub fn set(&mut self, key: &str, text: String, place: Place) -> Result<(), ConfigError> {
        let knob = knobs::find(key).ok_or_else(|| unknown(key, &place))?;
        self.knobs.insert(knob.key, Setting { text, place });
        Ok(())
    }

    /// Takes every `RINGWELL_*` variable.
    pub fn read_environment(
        &mut self,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        for (name, text) in variables {
            if !name.starts_with("RINGWELL_")
                || name == "RINGWELL_CONFIG"
                || from_orchestrator(&name)
            {
                continue;
            }
            let knob = KNOBS.iter().find(|knob| knob.variable() == name).ok_or_else(|| {
                ConfigError::UnknownKey {
                    key: name.clone(),
                    place: "the environment".to_owned(),
                    suggestion: nearest(&name, KNOBS.iter().map(Knob::variable)),
                }
            })?;
            self.set(knob.key, text, Place::Variable(name))?;
        }
        Ok(())
    }

    /// Takes a TOML file.
    pub fn read_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Read {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        self.read_toml(path, &text)
    }

    /// Takes the text of a TOML file; `path` is for messages.
    pub fn read_toml(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
            place: Place::Line(
                path.to_owned(),
                line_of(text, error.span().map_or(0, |span| span.start)),
            ),
            reason: error.message().to_owned(),
        })?;
        self.read_table(path, text, "", table.get_ref())
    }

    fn read_table(
        &mut self,
        path: &Path,
        text: &str,
        prefix: &str,
        table: &DeTable<'_>,
    ) -> Result<(), ConfigError> {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            let place = Place::Line(path.to_owned(), line_of(text, name.span().start));
            if key == "keymap.rules" {
                self.read_rules(path, text, value.get_ref(), place)?;
                continue;
            }
            if key == "mirror.redis" {
                self.read_mirrors(path, text, value.get_ref(), place)?;
                continue;
            }
            if let DeValue::Table(inner) = value.get_ref() {
                let prefix = format!("{key}.");
                if key != "keymap"
                    && key != "mirror"
                    && !KNOBS.iter().any(|knob| knob.key.starts_with(&prefix))
                {
                    return Err(unknown(&key, &place));
                }
                self.read_table(path, text, &prefix, inner)?;
                continue;
            }
            let written = as_text(value.get_ref()).ok_or_else(|| ConfigError::Value {
                key: key.clone(),
                text: String::new(),
                place: place.clone(),
                reason: "a value of this type is not understood here".to_owned(),
            })?;
            self.set(&key, written, place)?;
        }
        Ok(())
    }
}

impl Settings {
    fn read_mirrors(
        &mut self,
        path: &Path,
        text: &str,
        value: &DeValue<'_>,
        place: Place,
    ) -> Result<(), ConfigError> {
        let wrong = |place: Place, reason: &str| ConfigError::Value {
            key: "mirror.redis".to_owned(),
            text: String::new(),
            place,
            reason: reason.to_owned(),
        };
        let tables = "mirrors are tables, [[mirror.redis]]; see docs/replication.md";
        let DeValue::Array(values) = value else { return Err(wrong(place, tables)) };
        for (i, value) in values.iter().enumerate() {
            let start = value.span().start;
            let DeValue::Table(table) = value.get_ref() else { return Err(wrong(place, tables)) };
            let mirror = mirrors::read(path, text, i + 1, table, start)?;
            if self.mirrors.iter().any(|known| known.name == mirror.name) {
                return Err(wrong(place, "two mirrors have the same name"));
            }
            self.mirrors.push(mirror);
        }
        Ok(())
    }

    fn read_rules(
        &mut self,
        path: &Path,
        text: &str,
        value: &DeValue<'_>,
        place: Place,
    ) -> Result<(), ConfigError> {
        let tables = |place: Place| ConfigError::Value {
            key: "keymap.rules".to_owned(),
            text: String::new(),
            place,
            reason: "rules are tables, [[keymap.rules]]; see docs/keymap.md".to_owned(),
        };
        let DeValue::Array(values) = value else { return Err(tables(place)) };
        for (i, value) in values.iter().enumerate() {
            let start = value.span().start;
            let DeValue::Table(table) = value.get_ref() else { return Err(tables(place)) };
            self.keymap_rules.push(keymap_rules::read(path, text, i + 1, table, start)?);
        }
        Ok(())
    }
}

/// Kubernetes gives every pod such variables for a service that is called `ringwell`.
fn from_orchestrator(name: &str) -> bool {
    name == "RINGWELL_PORT"
        || name.starts_with("RINGWELL_PORT_")
        || name.starts_with("RINGWELL_SERVICE_")
}

pub(super) fn as_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.clone().into_owned()),
        DeValue::Integer(number) => Some(number.as_str().to_owned()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(switch) => Some(switch.to_string()),
        DeValue::Array(values) => {
            let texts: Option<Vec<String>> =
                values.iter().map(|value| as_text(value.get_ref())).collect();
            Some(texts?.join(","))
        }
        DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

pub(super) fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|b| *b == b'\n').count()
}

fn unknown(key: &str, place: &Place) -> ConfigError {
    let tables = KNOBS.iter().filter_map(|knob| knob.key.split_once('.')).map(|(table, _)| table);
    let keys = KNOBS.iter().map(|knob| knob.key).chain(tables).map(str::to_owned);
    ConfigError::UnknownKey {
        key: key.to_owned(),
        place: place.to_string(),
        suggestion: nearest(key, keys),
    }
}

/// The candidate with the fewest edits, if it is near enough to be meant: a third of the word.
pub(super) fn nearest(word: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    candidates
        .map(|candidate| (edits(word, &candidate), candidate))
        .min()
        .filter(|(distance, _)| *distance <= word.len().div_ceil(3))
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, row by row.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(i + 1);
        for (pair, to) in row.windows(2).zip(&b) {
            let [diagonal, above] = pair else { continue };
            let left = next.last().copied().unwrap_or(0);
            next.push((left + 1).min(above + 1).min(diagonal + usize::from(from != *to)));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

/// Whether a knob's text may be printed.
pub fn printable(knob: &Knob) -> bool {
    knob.kind != Kind::Secret
}
