//! What a tool is: its name, what it takes, what it gives, and what it does.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use ringwell_storage::keyspace::Reply;
use ringwell_storage::model::WalPosition;
use rmcp::model::{JsonObject, Tool as Described};
use serde_json::{Value, json};

use super::Tools;
use super::arguments::Arguments;
use super::value::Given;
use crate::inside::{Inside, strings};

/// One tool.
pub(super) struct Tool {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) takes: &'static [Parameter],
    pub(super) gives: Gives,
    pub(super) run: Run,
}

/// What a tool gives, for its output schema.
#[derive(Clone, Copy)]
pub(super) enum Gives {
    /// A text.
    Text,
    /// A whole number.
    Number,
    /// A truth value.
    Truth,
    /// Texts, or one text that says why there are none.
    Texts,
    /// Members.
    Dict,
    /// Members, or one text that says why there are none.
    DictOrText,
    /// A text beside what it was made from.
    Found,
    /// Text alone.
    Unsaid,
}

/// What a tool does.
pub(super) enum Run {
    /// With keys, at once.
    Keys(fn(&mut Keys<'_>, &Arguments<'_>) -> Outcome),
    /// With time.
    Later(fn(Arc<Tools>, JsonObject) -> BoxFuture<'static, Outcome>),
}

/// What a call came to.
pub(super) type Outcome = Result<Done, Failed>;

/// A call that worked.
pub(super) struct Done {
    /// What it gives.
    pub(super) given: Given,
    /// Members beside `result` in the structured content.
    pub(super) beside: Vec<(&'static str, Given)>,
    /// JSON that is the whole structured content.
    pub(super) whole: Option<Value>,
}

/// A call that did not: what the agent is told.
#[derive(Debug)]
pub(super) struct Failed(pub(super) String);

impl From<Given> for Done {
    fn from(given: Given) -> Done {
        Done { given, beside: Vec::new(), whole: None }
    }
}

/// The ordinary end of a tool: a text.
pub(super) fn text(text: impl Into<String>) -> Outcome {
    Ok(Given::text(text).into())
}

/// One argument.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Its value where it is not given; `None` = it must be.
    pub(super) default: Option<&'static str>,
}

/// What an argument is.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Text, taken as it is even where it looks like JSON.
    Text,
    /// Text or a number.
    Value,
    /// A whole number.
    Whole,
    /// A number.
    Number,
    /// A truth value.
    Truth,
}

pub(super) const fn must(name: &'static str, kind: Kind) -> Parameter {
    Parameter { name, kind, default: None }
}

/// An argument that may be left out; its default is JSON.
pub(super) const fn may(name: &'static str, kind: Kind, default: &'static str) -> Parameter {
    Parameter { name, kind, default: Some(default) }
}

impl Tool {
    /// As `tools/list` shows it.
    pub(super) fn described(&self) -> Described {
        let properties: JsonObject =
            self.takes.iter().map(|p| (p.name.to_owned(), p.schema())).collect();
        let required = self.takes.iter().filter(|p| p.default.is_none()).map(|p| p.name);
        let input = object(json!({
            "type": "object",
            "properties": properties,
            "required": required.collect::<Vec<_>>(),
        }));
        let mut tool = Described::new(self.name, self.about, Arc::new(input));
        tool.output_schema = self.gives.schema().map(|schema| Arc::new(object(schema)));
        tool
    }
}

impl Parameter {
    fn schema(&self) -> Value {
        let mut schema = match self.kind {
            Kind::Text => json!({"type": "string"}),
            Kind::Value => json!({"anyOf": [{"type": "string"}, {"type": "number"}]}),
            Kind::Whole => json!({"type": "integer"}),
            Kind::Number => json!({"type": "number"}),
            Kind::Truth => json!({"type": "boolean"}),
        };
        match self.default {
            Some("null") => json!({"anyOf": [schema, {"type": "null"}], "default": null}),
            Some(default) => {
                schema["default"] = serde_json::from_str(default).unwrap_or_default();
                schema
            }
            None => schema,
        }
    }
}

impl Gives {
    fn schema(self) -> Option<Value> {
        let result = match self {
            Gives::Text | Gives::Found => json!({"type": "string"}),
            Gives::Number => json!({"type": "integer"}),
            Gives::Truth => json!({"type": "boolean"}),
            Gives::Texts => {
                json!({"anyOf": [{"type": "string"}, {"items": {"type": "string"}, "type": "array"}]})
            }
            Gives::Dict => json!({"additionalProperties": true, "type": "object"}),
            Gives::DictOrText => {
                json!({"anyOf": [{"type": "string"}, {"additionalProperties": true, "type": "object"}]})
            }
            Gives::Unsaid => return None,
        };
        let mut schema = json!({
            "type": "object", "properties": {"result": result}, "required": ["result"],
        });
        if let Gives::Found = self {
            schema["properties"]["found"] = json!({"type": "boolean"});
            schema["properties"]["value"] =
                json!({"anyOf": [{"type": "string"}, {"type": "null"}]});
        }
        Some(schema)
    }
}

fn object(value: Value) -> JsonObject {
    match value {
        Value::Object(object) => object,
        _ => JsonObject::new(),
    }
}

/// Keys, as a tool works with them.
pub(super) struct Keys<'a> {
    inside: &'a dyn Inside,
    /// Up to where what was written must be acknowledged.
    pub(super) written: Option<WalPosition>,
}

impl<'a> Keys<'a> {
    pub(super) fn new(inside: &'a dyn Inside) -> Keys<'a> {
        Keys { inside, written: None }
    }

    /// Runs a command. An error loses the word that names no kind, as Redis clients show it.
    pub(super) fn call(&mut self, words: &[&str]) -> Result<Reply, String> {
        let args: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let called = self.inside.call(&args);
        self.written = self.written.max(called.position);
        match called.reply {
            Reply::Error(error) => Err(error.strip_prefix("ERR ").unwrap_or(&error).to_owned()),
            reply => Ok(reply),
        }
    }

    /// The same for a command that gives a number.
    pub(super) fn number(&mut self, words: &[&str]) -> Result<i64, String> {
        match self.call(words)? {
            Reply::Integer(number) => Ok(number),
            other => Err(format!("not a number: {other:?}")),
        }
    }

    /// The same for one that gives texts.
    pub(super) fn texts(&mut self, words: &[&str]) -> Result<Vec<String>, String> {
        let text = |bytes: Vec<u8>| match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        };
        Ok(strings(&self.call(words)?).into_iter().map(text).collect())
    }

    /// The same for one that gives a text or nothing.
    pub(super) fn one(&mut self, words: &[&str]) -> Result<Option<String>, String> {
        Ok(self.texts(words)?.into_iter().next())
    }

    /// Lets a key expire.
    pub(super) fn expire(&mut self, key: &str, seconds: Option<i64>) -> Result<(), String> {
        match seconds {
            Some(seconds) => self.call(&["EXPIRE", key, &seconds.to_string()]).map(drop),
            None => Ok(()),
        }
    }
}
