//! Rules of the operator: as they are written, and what is wrong with them.

use super::rules::{Age, Field, Keep, Others, Rule};

/// A rule as it is written. Times are in milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// The key; parts in `<>` are ids and become labels of that name.
    pub key: String,
    /// What the names of its series begin with; else the key's other parts, joined.
    pub name: Option<String>,
    /// Labels that all its series carry.
    pub labels: Vec<(String, String)>,
    /// A string member of list elements that becomes a label.
    pub label: Option<String>,
    /// Members and fields with the names of their series; an empty name means nothing.
    pub fields: Vec<(String, String)>,
    /// Whether members and fields that are not listed mean nothing.
    pub only_fields: bool,
    /// How far list series are looked back for.
    pub lookback: Option<i64>,
    /// Newest elements that lists keep.
    pub max_len: Option<u64>,
    /// Age of elements that lists keep.
    pub max_age: Option<MaxAge>,
    /// Whether series go with their key.
    pub forget: bool,
}

/// How old elements may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxAge {
    /// So many milliseconds.
    Millis(i64),
    /// As many as EXPIRE gave the key.
    Expire,
}

/// What is wrong with a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct WrongRule {
    /// Which of its keys.
    pub key: &'static str,
    /// Why.
    pub reason: String,
}

/// Refuses a rule.
pub(crate) fn wrong<T>(key: &'static str, reason: impl Into<String>) -> Result<T, WrongRule> {
    Err(WrongRule { key, reason: reason.into() })
}

impl Rule {
    /// The rule that is written, if it makes sense.
    pub fn new(written: Written) -> Result<Rule, WrongRule> {
        let literals = check_key(&written)?;
        let base = match written.name {
            Some(name) => name,
            None => {
                let parts = literals.iter().skip(usize::from(literals[0] == "metrics"));
                let base = parts.cloned().collect::<Vec<_>>().join("_");
                super::rules::metric_name(&base)
            }
        };
        if !is_metric_name(&base) {
            return wrong("name", format!("{base:?} is not a metric's name"));
        }
        let labels = written.labels.iter().map(|(name, _)| ("labels", name));
        for (key, name) in labels.chain(written.label.iter().map(|name| ("label", name))) {
            if !is_label_name(name) {
                return wrong(key, format!("{name:?} is not a label's name"));
            }
        }
        if let Some(twice) =
            written.labels.iter().find(|(name, _)| written.key.contains(&format!("<{name}>")))
        {
            return wrong("labels", format!("{:?} is a label from the key already", twice.0));
        }
        let mut fields = Vec::with_capacity(written.fields.len());
        for (field, name) in written.fields {
            if !name.is_empty() && !is_metric_name(&name) {
                return wrong("fields", format!("{name:?} of {field:?} is not a metric's name"));
            }
            let meaning = if name.is_empty() { Field::Nothing } else { Field::Number(name) };
            fields.push((field, meaning));
        }
        if written.max_len == Some(0) {
            return wrong("max_len", "a list that keeps nothing is no list");
        }
        if let Some(MaxAge::Millis(..=0)) = written.max_age {
            return wrong("max_age", "must be more than 0");
        }
        if let Some(..=0) = written.lookback {
            return wrong("lookback", "must be more than 0");
        }
        let age = written.max_age.map(|age| match age {
            MaxAge::Millis(millis) => Age::Millis(millis),
            MaxAge::Expire => Age::Expire,
        });
        Ok(Rule {
            key: written.key,
            base,
            fields,
            others: if written.only_fields { Others::Ignore } else { Others::Append },
            label: written.label.map(|label| (label.clone(), label)),
            members: None,
            labels: written.labels,
            lookback: written.lookback,
            keep: Keep { elements: written.max_len, age },
            forget: written.forget,
        })
    }
}

/// The parts of a key that are no ids.
fn check_key(written: &Written) -> Result<Vec<String>, WrongRule> {
    let mut literals = Vec::new();
    let mut ids: Vec<&str> = Vec::new();
    for part in written.key.split(':') {
        if part.is_empty() {
            return wrong("key", "has an empty part; write it like metrics:shop:<branch>:takings");
        }
        match part.strip_prefix('<').and_then(|id| id.strip_suffix('>')) {
            Some(id) if !is_label_name(id) => {
                return wrong("key", format!("<{id}> is not a label's name"));
            }
            Some(id) if ids.contains(&id) => {
                return wrong("key", format!("<{id}> stands twice"));
            }
            Some(id) => ids.push(id),
            None if part.contains(['<', '>', '*', '?']) => {
                return wrong(
                    "key",
                    format!(
                        "{part:?} is neither a word nor an id; an id is a whole part, like <branch>"
                    ),
                );
            }
            None => literals.push(part.to_owned()),
        }
    }
    if written.key.starts_with('<') {
        return wrong("key", "begins with an id, and so would be looked at for every key there is");
    }
    Ok(literals)
}

fn is_metric_name(name: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    name.starts_with(first) && name.chars().all(|c| c.is_ascii_digit() || first(c))
}

fn is_label_name(name: &str) -> bool {
    is_metric_name(name) && !name.contains(':') && !name.starts_with("__")
}
