//! Which series become which keys: an operator's rule, and what it makes of a series' labels. Pure.

use std::sync::Arc;

use ringwell_storage::model::{Labels, METRIC_NAME, Matcher};

use super::shapes;
use super::spell::{self, Time};
use crate::ingest::keymap::{WrongRule, wrong};

/// Elements that a list keeps at most, whatever is written.
const MOST_ELEMENTS: usize = 100_000;
/// Elements a list keeps where nothing is written: as many as the seed's agents keep.
const ELEMENTS: usize = 10_000;

/// A rule as it is written.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// The selector, as it is written.
    pub selector: String,
    /// What the selector says.
    pub matchers: Vec<Matcher>,
    /// `list`, `hash` or `keymap`.
    pub form: String,
    /// The key, labels in braces.
    pub key: Option<String>,
    /// The member or field of every series, labels in braces.
    pub field: Option<String>,
    /// The member or field of series by their name.
    pub fields: Vec<(String, String)>,
    /// Labels that become members of a list's elements.
    pub labels: Vec<String>,
    /// How elements tell the time: `iso`, `ms` or `s`.
    pub time: Option<String>,
    /// Elements a list keeps.
    pub max_len: Option<usize>,
    /// How long a key lives after its newest sample, in milliseconds.
    pub ttl: Option<i64>,
}

/// How series become keys: one rule.
#[derive(Clone, Debug)]
pub struct Rule {
    pub(super) matchers: Vec<Matcher>,
    form: Form,
    max_len: usize,
    ttl: Option<i64>,
    /// All that is written, to know it again.
    text: String,
}

#[derive(Clone, Debug)]
enum Form {
    /// As the keymap would read it.
    Keymap,
    List {
        key: Template,
        field: Template,
        labels: Vec<String>,
        time: Time,
    },
    Hash {
        key: Template,
        field: Template,
    },
    /// Nothing of the field is written but by name.
    Named {
        fields: Vec<(String, Template)>,
        form: Box<Form>,
    },
}

/// A text with labels in braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Label(String),
}

/// Where samples of a series go.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    /// The key, as it would be called here.
    pub(super) key: Arc<[u8]>,
    pub(super) part: Part,
    /// Elements that are kept, of a list.
    pub(super) max_len: usize,
    /// How long the key lives after its newest sample.
    pub(super) ttl: Option<i64>,
}

/// Which part of a key a series is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    /// A member of a list's elements.
    Member {
        /// The members that stand before it, spelled: `"agent":"a",`.
        labels: Arc<str>,
        /// Its name, spelled, without quotes.
        member: Arc<str>,
        time: Time,
    },
    /// A field of a hash; its value is multiplied by this.
    Field { field: Arc<[u8]>, scale: f64 },
}

impl Place {
    pub(super) fn is_list(&self) -> bool {
        matches!(self.part, Part::Member { .. })
    }
}

impl Rule {
    /// The rule that is written, if it makes sense.
    pub fn new(written: Written) -> Result<Rule, WrongRule> {
        let text = format!(
            "{:?}",
            (
                (&written.selector, &written.form, &written.key, &written.field),
                (&written.fields, &written.labels, &written.time, written.max_len, written.ttl)
            )
        );
        if written.selector.is_empty() {
            return wrong("match", "a rule needs a selector of series, like {job=\"gpus\"}");
        }
        let max_len = written.max_len.unwrap_or(ELEMENTS);
        if !(1..=MOST_ELEMENTS).contains(&max_len) {
            return wrong("max_len", format!("1 to {MOST_ELEMENTS} elements"));
        }
        if written.ttl.is_some_and(|ttl| ttl < 1000) {
            return wrong("ttl", "must be a second at least");
        }
        let form = Form::new(&written)?;
        let matchers = written.matchers;
        Ok(Rule { matchers, form, max_len, ttl: written.ttl, text })
    }

    /// All that is written of it.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Where a series goes; `None` if it is not the rule's, or lacks a label that the key has.
    pub(super) fn place(&self, series: &Labels) -> Option<Place> {
        let fits = |m: &Matcher| m.matches(series.get(m.name()).unwrap_or_default());
        if !self.matchers.iter().all(fits) {
            return None;
        }
        let (key, part) = self.form.place(series)?;
        let key = key.into_bytes().into();
        Some(Place { key, part, max_len: self.max_len, ttl: self.ttl })
    }
}

impl Form {
    fn new(written: &Written) -> Result<Form, WrongRule> {
        if written.form == "keymap" {
            let said = [
                ("key", written.key.is_some()),
                ("field", written.field.is_some()),
                ("fields", !written.fields.is_empty()),
                ("labels", !written.labels.is_empty()),
                ("time", written.time.is_some()),
            ];
            return match said.into_iter().find(|(_, said)| *said) {
                Some((key, _)) => wrong(key, "as = \"keymap\" says this itself"),
                None => Ok(Form::Keymap),
            };
        }
        let Some(key) = &written.key else {
            return wrong("key", "a rule needs a key, like metrics:gpu:{gpu}:utilization");
        };
        let key = Template::read("key", key)?;
        if key.0.is_empty() {
            return wrong("key", "an empty key is none");
        }
        let field =
            |usual: &str| Template::read("field", written.field.as_deref().unwrap_or(usual));
        let time = match written.time.as_deref() {
            None | Some("iso") => Time::Iso,
            Some("ms") => Time::Millis,
            Some("s") => Time::Seconds,
            Some(_) => return wrong("time", "\"iso\", \"ms\" or \"s\""),
        };
        let form = match written.form.as_str() {
            "list" => {
                Form::List { key, field: field("value")?, labels: written.labels.clone(), time }
            }
            "hash" if !written.labels.is_empty() => {
                return wrong("labels", "only elements of lists have members of labels");
            }
            "hash" if written.time.is_some() => {
                return wrong("time", "only elements of lists tell the time");
            }
            "hash" if written.max_len.is_some() => {
                return wrong("max_len", "only lists have a length");
            }
            "hash" => Form::Hash { key, field: field("{__name__}")? },
            _ => return wrong("as", "\"list\", \"hash\" or \"keymap\""),
        };
        if written.fields.is_empty() {
            return Ok(form);
        }
        let fields = written.fields.iter();
        let fields =
            fields.map(|(name, field)| Ok((name.clone(), Template::read("fields", field)?)));
        Ok(Form::Named { fields: fields.collect::<Result<_, _>>()?, form: Box::new(form) })
    }

    fn place(&self, series: &Labels) -> Option<(String, Part)> {
        match self {
            Form::Keymap => shapes::place(series),
            Form::List { key, field, labels, time } => {
                let member = spell::inside(&field.fill(series)?).into();
                let mut before = String::new();
                for name in labels {
                    spell::push_label(&mut before, name, series.get(name)?);
                }
                let part = Part::Member { labels: before.into(), member, time: *time };
                Some((key.fill(series)?, part))
            }
            Form::Hash { key, field } => {
                let field = field.fill(series)?.into_bytes().into();
                Some((key.fill(series)?, Part::Field { field, scale: 1.0 }))
            }
            Form::Named { fields, form } => {
                let name = series.metric_name();
                let (_, field) = fields.iter().find(|(known, _)| known == name)?;
                form.with_field(field).place(series)
            }
        }
    }

    fn with_field(&self, field: &Template) -> Form {
        let mut form = self.clone();
        if let Form::List { field: own, .. } | Form::Hash { field: own, .. } = &mut form {
            own.clone_from(field);
        }
        form
    }
}

impl Template {
    pub(super) fn read(of: &'static str, text: &str) -> Result<Template, WrongRule> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        while !rest.is_empty() {
            let (before, after) = rest.split_once('{').unwrap_or((rest, ""));
            if before.contains('}') {
                return wrong(of, format!("a brace is closed in {text:?} that is not open"));
            }
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            if before.len() == rest.len() {
                break;
            }
            let Some((label, after)) = after.split_once('}') else {
                return wrong(of, format!("a brace is open in {text:?} that is not closed"));
            };
            if label.is_empty() || label.contains('{') {
                return wrong(of, format!("a label's name is expected between braces in {text:?}"));
            }
            pieces.push(Piece::Label(label.to_owned()));
            rest = after;
        }
        Ok(Template(pieces))
    }

    /// With a series' labels in it; `None` if it lacks one.
    pub(super) fn fill(&self, series: &Labels) -> Option<String> {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Label(name) => {
                    let value = if name == METRIC_NAME {
                        series.metric_name()
                    } else {
                        series.get(name).unwrap_or_default()
                    };
                    if value.is_empty() {
                        return None;
                    }
                    out.push_str(value);
                }
            }
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(matchers: Vec<Matcher>, form: &str, more: impl FnOnce(&mut Written)) -> Rule {
        let (selector, form) = ("a".to_owned(), form.to_owned());
        let mut written = Written { selector, matchers, form, ..Written::default() };
        more(&mut written);
        Rule::new(written).unwrap()
    }

    fn place(rule: &Rule, labels: &[(&str, &str)]) -> Option<(String, String)> {
        let place = rule.place(&Labels::from_pairs(labels.iter().copied()).unwrap())?;
        let key = String::from_utf8(place.key.to_vec()).unwrap();
        let part = match place.part {
            Part::Member { labels, member, .. } => format!("{labels}{member}"),
            Part::Field { field, scale } => {
                format!("{}*{scale}", String::from_utf8_lossy(&field))
            }
        };
        Some((key, part))
    }

    #[test]
    fn series_find_their_places() {
        let list = rule(vec![Matcher::equal("job", "j")], "list", |written| {
            written.key = Some("{job}:x{gpu}y:{__name__}".to_owned());
            written.labels = vec!["host".to_owned()];
        });
        let series = [("__name__", "u"), ("job", "j"), ("gpu", "0"), ("host", "a\"b")];
        let found = ("j:x0y:u".to_owned(), "\"host\":\"a\\\"b\",value".to_owned());
        assert_eq!(place(&list, &series), Some(found));
        assert_eq!(place(&list, &series[..3]), None, "a member is missing");
        assert_eq!(place(&list, &[series[0], series[1], series[3]]), None, "no gpu");
        assert_eq!(place(&list, &[series[0], series[2], series[3]]), None, "another job");
        let hash = rule(Vec::new(), "hash", |written| {
            written.key = Some("k".to_owned());
            written.fields = vec![("u".to_owned(), "util_{gpu}".to_owned())];
        });
        assert_eq!(place(&hash, &series), Some(("k".to_owned(), "util_0*1".to_owned())));
        assert_eq!(place(&hash, &[("__name__", "v"), ("gpu", "0")]), None, "not among the fields");
    }

    #[test]
    fn the_keymaps_shapes_take_series_with_their_labels() {
        let keymap = rule(Vec::new(), "keymap", |_| {});
        let of = |labels: &[(&str, &str)]| place(&keymap, labels);
        let some = |key: &str, part: &str| Some((key.to_owned(), part.to_owned()));
        let loss = |run| [("__name__", "training_loss"), ("project", "p"), ("run", run)];
        let key = "metrics:training:p:loss";
        assert_eq!(of(&loss("3")), some(key, "value"), "numbered runs are counted again");
        assert_eq!(of(&loss("sweep")), some(key, "\"run\":\"sweep\",value"));
        let colon = [("__name__", "training_loss"), ("project", "p:q")];
        assert_eq!(of(&colon), None, "it would be read as another key");
        let gpu = [("__name__", "gpu_temperature_celsius"), ("job", "j")];
        assert_eq!(of(&gpu), some("metrics:gpu:temperature", "value"));
        assert_eq!(of(&[("__name__", "up")]), None);
        let fired = [("__name__", "alerts_last_fired_timestamp_seconds"), ("alertname", "a")];
        assert_eq!(of(&fired), some("metrics:alerts:state", "a*1000"));
    }
}
