//! Answers people: what a key becomes, and where a series comes from.

use std::sync::Arc;

use ringwell_storage::model::Labels;

use super::Keymap;
use super::rules::{Field, Others, Plan, Rule, Rules};
use super::series::{labels, selector};

/// One way from a key to a series.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
pub struct Explanation {
    /// The key; ids that are not known stand in `<>`.
    pub key: String,
    /// Which part of its value.
    pub from: String,
    /// The series, as a selector; what a value adds stands in `<>`.
    pub series: String,
}

impl Rules {
    /// Says what a key becomes, or, for the name or selector of a series, which keys feed it. Empty:
    /// nothing does.
    pub fn explain(&self, question: &str) -> Vec<Explanation> {
        if self.may_map(question.as_bytes()) {
            let plan = self.plan(question.as_bytes());
            return plan.map(|p| of_key(question, &p)).unwrap_or_default();
        }
        let name = question.split('{').next().unwrap_or(question);
        let mut found = Vec::new();
        for rule in self.iter() {
            let plan = pattern_plan(rule);
            let fits = |e: &Explanation| e.series.split('{').next() == Some(name);
            let more = of_key(&rule.key, &plan).into_iter().filter(fits);
            found.extend(more);
        }
        found
    }
}

impl Keymap {
    /// What [`Rules::explain`] says, and before it which keys feed a series now.
    pub fn explain(&self, question: &str) -> Vec<Explanation> {
        let mut found = Vec::new();
        if !self.options.rules.may_map(question.as_bytes()) {
            found = self.of_live_series(question);
        }
        found.extend(self.options.rules.explain(question));
        found.dedup();
        found
    }

    /// Whether it is known of all keys that hold something which series they feed: from the first second on.
    pub fn knows_all(&self) -> bool {
        self.memory().states.are_built()
    }

    /// Whether a key feeds a series now.
    pub fn feeds(&self, series: &Labels) -> bool {
        self.memory().owners.has(series)
    }

    fn of_live_series(&self, question: &str) -> Vec<Explanation> {
        let memory = self.memory();
        let asked = |labels: &Labels| {
            if question.contains('{') {
                selector(labels) == question
            } else {
                labels.metric_name() == question
            }
        };
        let live = memory.owners.iter().filter(|(labels, _)| asked(labels));
        let mut found: Vec<Explanation> = live
            .map(|(labels, key)| Explanation {
                key: String::from_utf8_lossy(key).into_owned(),
                from: "now".to_owned(),
                series: selector(labels),
            })
            .collect();
        found.sort_by(|a, b| a.series.cmp(&b.series));
        found
    }
}

/// The plan of a rule for keys of any ids.
fn pattern_plan(rule: &Arc<Rule>) -> Plan {
    let ids = rule.key.split(':').filter(|part| part.starts_with('<'));
    let ids = ids.map(|id| (id.trim_matches(['<', '>']).to_owned(), id.to_owned()));
    let labels = ids.chain(rule.labels.iter().cloned()).collect();
    Plan { rule: Some(Arc::clone(rule)), base: rule.base.clone(), labels }
}

/// Every way from a key, of whatever type it is.
fn of_key(key: &str, plan: &Plan) -> Vec<Explanation> {
    let mut found = Vec::new();
    let mut add = |from: String, name: &str, more: &[(&str, &str)]| {
        if let Some(labels) = labels(plan, name, more) {
            found.push(Explanation { key: key.to_owned(), from, series: selector(&labels) });
        }
    };
    for (field, meaning) in plan.rule.as_ref().map_or(&[][..], |rule| &rule.fields) {
        let from = format!("field {field}");
        match meaning {
            Field::Nothing => {}
            Field::Number(name) => match plan.rule.as_ref().and_then(|r| r.label.as_ref()) {
                Some((member, label)) => add(from, name, &[(label, &format!("<{member}>"))]),
                None => add(from, name, &[]),
            },
            Field::Word(name, label) => add(from, name, &[(label, &format!("<{field}>"))]),
            Field::Ranking(name, label, by, _) => add(from, name, &[(label, &format!("<{by}>"))]),
        }
    }
    if let Some((name, label)) = plan.rule.as_ref().and_then(|rule| rule.members.as_ref()) {
        add("each member of a set".to_owned(), name, &[(label, "<member>")]);
        add("size of a set".to_owned(), &plan.base, &[]);
    }
    match plan.others() {
        Others::Ignore => {}
        Others::Label(name, label, _) => add("each field".to_owned(), name, &[(label, "<field>")]),
        Others::Append => {
            let run: &[_] = if plan.is_training() { &[("run", "<run>")] } else { &[] };
            add("value of a list element".to_owned(), &plan.base, run);
            add("field <field>".to_owned(), &format!("{}_<field>", plan.base), &[]);
        }
    }
    found
}
