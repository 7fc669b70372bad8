//! What one list element says: numbers, a moment, a step, a run.

use std::borrow::Cow;

use super::json::{self, Scalar};
use super::rules::Plan;
use super::time;

/// Members that say when, in the order they are believed.
const TIME_AXES: [&str; 3] = ["timestamp", "ts", "time"];

/// One element, read once.
#[derive(Debug, Default)]
pub(super) struct Element<'a> {
    /// Numeric members that become samples.
    pub(super) numbers: Vec<(Cow<'a, str>, f64)>,
    /// The training step.
    pub(super) step: Option<f64>,
    /// The run it says it belongs to.
    pub(super) run: Option<String>,
    /// When it says it happened.
    pub(super) time: Option<i64>,
    /// Whether it says when in a way that cannot be read.
    pub(super) time_unread: bool,
    /// The string member that the rule makes a label.
    pub(super) label: Option<Cow<'a, str>>,
}

impl<'a> Element<'a> {
    /// Reads an element: a JSON object, or a bare number. `None` if it is neither.
    pub(super) fn read(text: &'a [u8], plan: &Plan) -> Option<Element<'a>> {
        let mut element = Element::default();
        if let Some(number) = json::number(text.trim_ascii()) {
            element.numbers.push((Cow::Borrowed("value"), number));
            return Some(element);
        }
        let label = plan.rule.as_ref().and_then(|rule| rule.label.as_ref());
        let label = label.map(|(member, _)| member.as_str());
        let mut axis = TIME_AXES.len();
        json::members(text, &mut |name, value| {
            if let Some(at) = TIME_AXES.iter().position(|time| *time == name) {
                if at < axis {
                    axis = at;
                    element.time = time::of_member(&value);
                    element.time_unread = element.time.is_none();
                }
            } else if label == Some(name.as_ref()) {
                if let Scalar::Text(text) = value {
                    element.label = Some(text);
                }
            } else {
                element.member(name, value);
            }
        })?;
        Some(element)
    }

    fn member(&mut self, name: Cow<'a, str>, value: Scalar<'a>) {
        match (name.as_ref(), value) {
            ("step", Scalar::Number(step)) => self.step = Some(step),
            ("run", Scalar::Number(run)) => self.run = Some(run.to_string()),
            ("run", Scalar::Text(run)) => self.run = Some(run.into_owned()),
            (name_text, Scalar::Number(number)) if !is_id(name_text) => {
                self.numbers.retain(|(seen, _)| *seen != name);
                self.numbers.push((name, number));
            }
            _ => {}
        }
    }
}

/// Whether a member names one event and would make a series each.
fn is_id(name: &str) -> bool {
    name.eq_ignore_ascii_case("id") || ["Id", "ID", "_id"].iter().any(|end| name.ends_with(end))
}
