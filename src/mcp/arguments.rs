//! The arguments of a call, each as its tool asks for it.

use rmcp::model::JsonObject;
use serde_json::Value;

use super::tool::{Failed, Kind, Tool};
use super::value::float;

/// Arguments that fit their tool.
pub(super) struct Arguments<'a>(&'a JsonObject);

impl<'a> Arguments<'a> {
    /// Checks arguments against what a tool takes.
    pub(super) fn check(tool: &Tool, given: &'a JsonObject) -> Result<Arguments<'a>, Failed> {
        for parameter in tool.takes {
            let fits = match given.get(parameter.name) {
                None if parameter.default.is_none() => {
                    return Err(Failed(format!("the argument '{}' is missing", parameter.name)));
                }
                None => true,
                Some(Value::Null) => parameter.default == Some("null"),
                Some(value) => match parameter.kind {
                    Kind::Text => value.is_string(),
                    Kind::Value => spelled(value).is_some(),
                    Kind::Whole => whole(value).is_some(),
                    Kind::Number => number(value).is_some(),
                    Kind::Truth => value.is_boolean(),
                },
            };
            if !fits {
                let wanted = match parameter.kind {
                    Kind::Text => "a string",
                    Kind::Value => "a string or a number; give objects as JSON.stringify(value)",
                    Kind::Whole => "a whole number",
                    Kind::Number => "a number",
                    Kind::Truth => "true or false",
                };
                return Err(Failed(format!("the argument '{}' must be {wanted}", parameter.name)));
            }
        }
        Ok(Arguments(given))
    }

    /// Arguments that were checked before.
    pub(super) fn unchecked(given: &'a JsonObject) -> Arguments<'a> {
        Arguments(given)
    }

    /// A text; empty if it was left out.
    pub(super) fn text(&self, name: &str) -> &'a str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// A text, or this where it was left out.
    pub(super) fn text_or(&self, name: &str, default: &'a str) -> &'a str {
        self.0.get(name).and_then(Value::as_str).unwrap_or(default)
    }

    /// A text or a number, spelled.
    pub(super) fn value(&self, name: &str) -> String {
        self.0.get(name).and_then(spelled).unwrap_or_default()
    }

    /// A whole number, if given.
    pub(super) fn maybe_whole(&self, name: &str) -> Option<i64> {
        self.0.get(name).and_then(whole)
    }

    /// A whole number, or this where it was left out.
    pub(super) fn whole(&self, name: &str, default: i64) -> i64 {
        self.maybe_whole(name).unwrap_or(default)
    }

    /// A number.
    pub(super) fn number(&self, name: &str) -> f64 {
        self.0.get(name).and_then(number).unwrap_or_default()
    }

    /// A truth value; false if it was left out.
    pub(super) fn truth(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or_default()
    }
}

/// What redis-py would send for a value: text as it is, numbers as Python spells them.
fn spelled(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(n) if n.is_f64() => n.as_f64().map(float),
        Value::Number(n) => Some(n.to_string()),
        _ => None,
    }
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        // Up to 2^53 a whole float is the number it shows.
        Value::Number(n) if n.is_f64() => n
            .as_f64()
            .filter(|n| n.fract() == 0.0 && n.abs() <= 9_007_199_254_740_992.0)
            .map(|n| n as i64),
        value => value.as_i64(),
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.trim().parse().ok().filter(|n: &f64| !n.is_nan()),
        value => value.as_f64(),
    }
}
