//! Which key becomes which series: the built-in table, and the general rule for all others.
//!
//! Drop `metrics:`, ids become labels, the rest joins with `_`, the field comes last.

/// One entry of the table. The parts of `key` in `<>` are ids and become labels of that name.
#[derive(Debug)]
pub(super) struct Rule {
    /// The key, with its ids named.
    pub(super) key: &'static str,
    /// What all its series' names begin with.
    pub(super) base: &'static str,
    /// Members and fields that are not simply appended to the base.
    pub(super) fields: &'static [(&'static str, Field)],
    /// What a field means that is not in `fields`.
    pub(super) others: Others,
    /// A string member of list elements that becomes a label: member and label.
    pub(super) label: Option<(&'static str, &'static str)>,
    /// The series of a set's members: name and label.
    pub(super) members: Option<(&'static str, &'static str)>,
}

/// What one field means.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field {
    /// A number; the series' whole name.
    Number(&'static str),
    /// A word: the series of this name has the value 1 and the word in this label.
    Word(&'static str, &'static str),
    /// A JSON array of objects: name, label, the member that gives the label, and the value's.
    Ranking(&'static str, &'static str, &'static str, &'static str),
}

/// What fields mean that a rule does not list.
#[derive(Clone, Copy, Debug)]
pub(super) enum Others {
    /// Numbers and truth values, appended to the base.
    Append,
    /// Nothing.
    Ignore,
    /// Each field is a value of this label of one series; its number is divided by this.
    Label(&'static str, &'static str, f64),
}

const fn rule(key: &'static str, base: &'static str) -> Rule {
    Rule { key, base, fields: &[], others: Others::Append, label: None, members: None }
}

/// The key shapes of the agents' seed that the general rule alone would not name well.
pub(super) static RULES: &[Rule] = &[
    Rule {
        fields: &[("trend", Field::Word("training_analysis_trend", "trend"))],
        ..rule("metrics:training:<project>:analysis", "training_analysis")
    },
    Rule {
        fields: &[("duration", Field::Number("tasks_completion_duration_seconds"))],
        label: Some(("agent", "agent")),
        ..rule("metrics:tasks:completion_times", "tasks_completion")
    },
    rule("metrics:gpu:utilization", "gpu_utilization_percent"),
    rule("metrics:gpu:temperature", "gpu_temperature_celsius"),
    rule("metrics:gpu:<gpu>:utilization", "gpu_utilization_percent"),
    rule("metrics:gpu:<gpu>:temperature", "gpu_temperature_celsius"),
    Rule {
        fields: &[("tasks_completed", Field::Number("agent_tasks_completed_total"))],
        ..rule("metrics:agent:<agent>:performance", "agent")
    },
    Rule {
        members: Some(("agent_active", "agent")),
        ..rule("metrics:agents:active", "agents_active")
    },
    Rule {
        fields: &[(
            "performance_ranked",
            Field::Ranking("agents_performance_score", "agent", "agentType", "score"),
        )],
        ..rule("metrics:agents:rankings", "agents_rankings")
    },
    Rule {
        fields: &[("duration", Field::Number("workflow_step_duration_seconds"))],
        ..rule("metrics:workflow:<workflow>:step:<step>:durations", "workflow_step_durations")
    },
    Rule {
        others: Others::Label("alerts_last_fired_timestamp_seconds", "alertname", 1000.0),
        ..rule("metrics:alerts:state", "alerts_state")
    },
    Rule {
        others: Others::Label("alerts_fired_total", "alertname", 1.0),
        ..rule("metrics:alerts:counters", "alerts")
    },
    Rule {
        others: Others::Label("errors_total", "kind", 1.0),
        ..rule("metrics:errors:counters", "errors")
    },
    Rule {
        fields: &[("status", Field::Word("project_status", "status"))],
        others: Others::Ignore,
        ..rule("context:project:<project>", "project")
    },
    Rule {
        fields: &[("gpu_available", Field::Number("system_capacity_gpu_available"))],
        others: Others::Ignore,
        ..rule("context:system:capacity", "system_capacity")
    },
];

/// Category words whose ids have another name than the category itself.
const ID_LABELS: &[(&str, &str)] = &[("training", "project")];

/// Last parts of keys that add nothing to a name.
const SILENT: &[&str] = &["counters", "aggregated", "performance", "workload", "state"];

/// What a key means, before any value is seen.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The table's entry, if the key has one.
    pub(super) rule: Option<&'static Rule>,
    /// What all its series' names begin with.
    pub(super) base: String,
    /// The labels its ids give.
    pub(super) labels: Vec<(String, String)>,
}

/// The plan for a key; `None` if keys like this give no series.
pub(super) fn plan(key: &[u8]) -> Option<Plan> {
    if !key.starts_with(b"metrics:") && !key.starts_with(b"context:") {
        return None;
    }
    let parts: Vec<&str> = std::str::from_utf8(key).ok()?.split(':').collect();
    for rule in RULES {
        if let Some(labels) = ids(rule, &parts) {
            return Some(Plan { rule: Some(rule), base: rule.base.to_owned(), labels });
        }
    }
    match parts.as_slice() {
        ["metrics", category, rest @ ..] => general(category, rest),
        _ => None,
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
    /// How a list series is looked back for: training runs push at their own pace.
    pub(super) fn list_lookback(&self) -> Option<i64> {
        self.is_training().then_some(3_600_000)
    }

    /// Whether its elements belong to numbered runs even if they say nothing of steps.
    pub(super) fn is_training(&self) -> bool {
        self.base.starts_with("training_")
    }

    /// What a field or member means by name, if the table says.
    pub(super) fn field(&self, name: &str) -> Option<Field> {
        let fields = self.rule.map_or(&[][..], |rule| rule.fields);
        fields.iter().find(|(field, _)| *field == name).map(|(_, meaning)| *meaning)
    }

    /// What fields mean that the table does not list.
    pub(super) fn others(&self) -> Others {
        self.rule.map_or(Others::Append, |rule| rule.others)
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
