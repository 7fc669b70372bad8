//! Which key becomes which series: the operator's rules, the built-in ones, and the general rule for
//! all others.
//!
//! Drop `metrics:`, ids become labels, the rest joins with `_`, the field comes last.

use std::sync::Arc;

/// What keys of one shape mean. The parts of `key` in `<>` are ids and become labels of that name.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The key, with its ids named.
    pub(super) key: String,
    /// What all its series' names begin with.
    pub(super) base: String,
    /// Members and fields that are not simply appended to the base.
    pub(super) fields: Vec<(String, Field)>,
    /// What a field means that is not in `fields`.
    pub(super) others: Others,
    /// A string member of list elements that becomes a label: member and label.
    pub(super) label: Option<(String, String)>,
    /// The series of a set's members: name and label.
    pub(super) members: Option<(String, String)>,
    /// Labels that all its series carry.
    pub(super) labels: Vec<(String, String)>,
    /// How far its list series are looked back for, in milliseconds; `None` = as others.
    pub(super) lookback: Option<i64>,
    /// What is kept of its lists beyond what clients say.
    pub(super) keep: Keep,
    /// Whether its series go with the key.
    pub(super) forget: bool,
}

/// What is kept of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Keep {
    /// So many of the newest elements.
    pub(super) elements: Option<u64>,
    /// Elements that say they are younger than this.
    pub(super) age: Option<Age>,
}

/// How old an element may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// So many milliseconds.
    Millis(i64),
    /// As many as the key was last given to live by EXPIRE.
    Expire,
}

/// What one field means.
#[derive(Clone, Debug)]
pub(super) enum Field {
    /// A number; the series' whole name.
    Number(String),
    /// A word: the series of this name has the value 1 and the word in this label.
    Word(String, String),
    /// A JSON array of objects: name, label, the member that gives the label, and the value's.
    Ranking(String, String, String, String),
    /// Nothing.
    Nothing,
}

/// What fields mean that a rule does not list.
#[derive(Clone, Debug)]
pub(super) enum Others {
    /// Numbers and truth values, appended to the base.
    Append,
    /// Nothing.
    Ignore,
    /// Each field is a value of this label of one series; its number is divided by this.
    Label(String, String, f64),
}

fn rule(key: &str, base: &str) -> Rule {
    Rule {
        key: key.to_owned(),
        base: base.to_owned(),
        fields: Vec::new(),
        others: Others::Append,
        label: None,
        members: None,
        labels: Vec::new(),
        lookback: None,
        keep: Keep::default(),
        forget: false,
    }
}

fn number(field: &str, name: &str) -> (String, Field) {
    (field.to_owned(), Field::Number(name.to_owned()))
}

fn word(field: &str, name: &str, label: &str) -> (String, Field) {
    (field.to_owned(), Field::Word(name.to_owned(), label.to_owned()))
}

fn pair(a: &str, b: &str) -> Option<(String, String)> {
    Some((a.to_owned(), b.to_owned()))
}

fn by_label(name: &str, label: &str, divisor: f64) -> Others {
    Others::Label(name.to_owned(), label.to_owned(), divisor)
}

/// The key shapes of the agents' seed that the general rule alone would not name well.
fn built_in() -> Vec<Rule> {
    vec![
        Rule {
            fields: vec![word("trend", "training_analysis_trend", "trend")],
            ..rule("metrics:training:<project>:analysis", "training_analysis")
        },
        Rule {
            fields: vec![number("duration", "tasks_completion_duration_seconds")],
            label: pair("agent", "agent"),
            ..rule("metrics:tasks:completion_times", "tasks_completion")
        },
        rule("metrics:gpu:utilization", "gpu_utilization_percent"),
        rule("metrics:gpu:temperature", "gpu_temperature_celsius"),
        rule("metrics:gpu:<gpu>:utilization", "gpu_utilization_percent"),
        rule("metrics:gpu:<gpu>:temperature", "gpu_temperature_celsius"),
        Rule {
            fields: vec![number("tasks_completed", "agent_tasks_completed_total")],
            ..rule("metrics:agent:<agent>:performance", "agent")
        },
        Rule {
            members: pair("agent_active", "agent"),
            ..rule("metrics:agents:active", "agents_active")
        },
        Rule {
            fields: vec![(
                "performance_ranked".to_owned(),
                Field::Ranking(
                    "agents_performance_score".to_owned(),
                    "agent".to_owned(),
                    "agentType".to_owned(),
                    "score".to_owned(),
                ),
            )],
            ..rule("metrics:agents:rankings", "agents_rankings")
        },
        Rule {
            fields: vec![number("duration", "workflow_step_duration_seconds")],
            ..rule("metrics:workflow:<workflow>:step:<step>:durations", "workflow_step_durations")
        },
        Rule {
            others: by_label("alerts_last_fired_timestamp_seconds", "alertname", 1000.0),
            ..rule("metrics:alerts:state", "alerts_state")
        },
        Rule {
            others: by_label("alerts_fired_total", "alertname", 1.0),
            ..rule("metrics:alerts:counters", "alerts")
        },
        Rule {
            others: by_label("errors_total", "kind", 1.0),
            ..rule("metrics:errors:counters", "errors")
        },
        Rule {
            fields: vec![word("status", "project_status", "status")],
            others: Others::Ignore,
            ..rule("context:project:<project>", "project")
        },
        Rule {
            fields: vec![number("gpu_available", "system_capacity_gpu_available")],
            others: Others::Ignore,
            ..rule("context:system:capacity", "system_capacity")
        },
    ]
}

/// Category words whose ids have another name than the category itself.
const ID_LABELS: &[(&str, &str)] = &[("training", "project")];

/// Last parts of keys that add nothing to a name.
const SILENT: &[&str] = &["counters", "aggregated", "performance", "workload", "state"];

/// What a key means, before any value is seen.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The rule for keys like this, if there is one.
    pub(super) rule: Option<Arc<Rule>>,
    /// What all its series' names begin with.
    pub(super) base: String,
    /// The labels its ids give.
    pub(super) labels: Vec<(String, String)>,
}

/// All rules: those of the operator first, then the built-in ones.
#[derive(Clone, Debug)]
pub struct Rules {
    rules: Vec<Arc<Rule>>,
    /// With what keys begin that a rule of the operator's may be for.
    beginnings: Vec<String>,
    /// Whether some lists are kept shorter than clients say, or some series go with their keys.
    pub(super) acts: bool,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules::new(Vec::new())
    }
}

impl Rules {
    /// The operator's rules and the built-in ones.
    pub fn new(own: Vec<Rule>) -> Rules {
        let beginnings = own.iter().map(|rule| {
            rule.key.split_once('<').map_or(rule.key.as_str(), |(literal, _)| literal).to_owned()
        });
        let beginnings = beginnings.collect();
        let acts = own.iter().any(|rule| rule.forget || rule.keep != Keep::default());
        let rules = own.into_iter().chain(built_in()).map(Arc::new).collect();
        Rules { rules, beginnings, acts }
    }

    /// Whether keys of this beginning are looked at.
    pub(super) fn may_map(&self, key: &[u8]) -> bool {
        key.starts_with(b"metrics:")
            || key.starts_with(b"context:")
            || self.beginnings.iter().any(|beginning| key.starts_with(beginning.as_bytes()))
    }

    /// All of them, the first that fits a key being the one that holds.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.rules.iter()
    }

    /// Whether series go with a key like this.
    pub(super) fn forgets(&self, key: &[u8]) -> bool {
        let rule = self.plan(key).and_then(|plan| plan.rule);
        rule.is_some_and(|rule| rule.forget)
    }

    /// The plan for a key; `None` if keys like this give no series.
    pub(super) fn plan(&self, key: &[u8]) -> Option<Plan> {
        if !self.may_map(key) {
            return None;
        }
        let parts: Vec<&str> = std::str::from_utf8(key).ok()?.split(':').collect();
        for rule in &self.rules {
            if let Some(mut labels) = ids(rule, &parts) {
                labels.extend(rule.labels.iter().cloned());
                return Some(Plan {
                    base: rule.base.clone(),
                    rule: Some(Arc::clone(rule)),
                    labels,
                });
            }
        }
        match parts.as_slice() {
            ["metrics", category, rest @ ..] => general(category, rest),
            _ => None,
        }
    }
}

/// The ids of a key that a rule is for.
fn ids(rule: &Rule, parts: &[&str]) -> Option<Vec<(String, String)>> {
    let mut labels = Vec::new();
    let mut pattern = rule.key.split(':');
    for part in parts {
        let wanted = pattern.next()?;
        match wanted.strip_prefix('<').and_then(|id| id.strip_suffix('>')) {
            Some(_) if part.is_empty() => return None,
            Some(id) => labels.push((id.to_owned(), (*part).to_owned())),
            None if wanted == *part => {}
            None => return None,
        }
    }
    pattern.next().is_none().then_some(labels)
}

/// The general rule. After the category come an id and its word in turn while enough parts are
/// left; what remains joins.
fn general(category: &str, rest: &[&str]) -> Option<Plan> {
    if category.is_empty() || rest.iter().any(|part| part.is_empty()) {
        return None;
    }
    let mut words = vec![category];
    let mut labels: Vec<(String, String)> = Vec::new();
    let mut rest = rest;
    let mut owner = category;
    while let [id, after @ ..] = rest
        && !after.is_empty()
    {
        let given = ID_LABELS.iter().find(|(word, _)| *word == owner);
        let mut label = label_name(given.map_or(owner, |(_, label)| label));
        while labels.iter().any(|(taken, _)| *taken == label) {
            label.push('_');
        }
        labels.push((label, (*id).to_owned()));
        match after {
            [word, next @ ..] if next.len() >= 2 => {
                words.push(word);
                owner = word;
                rest = next;
            }
            after => {
                rest = after;
                break;
            }
        }
    }
    words.extend(rest);
    if words.len() > 1 && words.last().is_some_and(|last| SILENT.contains(last)) {
        words.pop();
    }
    Some(Plan { rule: None, base: metric_name(&words.join("_")), labels })
}

/// A metric's name: letters, digits, `_` and `:`; other characters become `_`.
pub(super) fn metric_name(text: &str) -> String {
    plain(text)
}

/// A label's name: letters, digits and `_`.
pub(super) fn label_name(text: &str) -> String {
    plain(text)
}

fn plain(text: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let mut name: String = text.chars().map(keep).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

impl Plan {
    /// How a list series is looked back for: training runs push at their own pace, others are only marked as fed by
    /// a list.
    pub(super) fn list_lookback(&self) -> i64 {
        let own = self.rule.as_ref().and_then(|rule| rule.lookback);
        own.unwrap_or(if self.is_training() { 3_600_000 } else { 0 })
    }

    /// Whether its elements belong to numbered runs even if they say nothing of steps.
    pub(super) fn is_training(&self) -> bool {
        self.base.starts_with("training_")
    }

    /// What a field or member means by name, if the rule says.
    pub(super) fn field(&self, name: &str) -> Option<&Field> {
        let fields = self.rule.as_ref().map_or(&[][..], |rule| &rule.fields);
        fields.iter().find(|(field, _)| *field == name).map(|(_, meaning)| meaning)
    }

    /// What fields mean that the rule does not list.
    pub(super) fn others(&self) -> &Others {
        self.rule.as_ref().map_or(&Others::Append, |rule| &rule.others)
    }

    /// What is kept of the list beyond what clients say.
    pub(super) fn keep(&self) -> Keep {
        self.rule.as_ref().map_or_else(Keep::default, |rule| rule.keep)
    }

    /// The name of the series of a field or member that is appended.
    pub(super) fn appended(&self, name: &str) -> String {
        if name == "value" {
            self.base.clone()
        } else {
            metric_name(&format!("{}_{name}", self.base))
        }
    }
}
