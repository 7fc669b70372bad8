//! Which series a key, or all keys of a pattern, have fed: a selector of PromQL for them.
//!
//! Names are taken from the key's plan, so that the past of keys that are long gone is found too.
//! Series that another key feeds now are left out, and those with the labels `job` or `instance`,
//! which no key gives: they came by another way.

use ringwell_storage::keyspace::glob_matches;

use super::Keymap;
use super::rules::{Field, Others, Plan, metric_name};
use super::series::labels;

/// Stand for `*` and `?` while a pattern is read like a key.
const MANY: &str = "zqzManyzqz";
const ONE: &str = "zqzOnezqz";

impl Keymap {
    /// The selector of a key's series, or of all that a pattern with `*` and `?` names; `None` if
    /// such keys give none.
    pub fn selector(&self, pattern: &str) -> Option<String> {
        let marked = pattern.replace('*', MANY).replace('?', ONE);
        let plan = self.options.rules.plan(marked.as_bytes())?;
        let names: Vec<String> = names(&plan).iter().map(|name| regex(name)).collect();
        let mut selector = format!("{{__name__=~{}", quoted(&names.join("|")));
        for (name, value) in &plan.labels {
            selector += &match value.contains(MANY) || value.contains(ONE) {
                true => format!(",{name}=~{}", quoted(&regex(value))),
                false => format!(",{name}={}", quoted(value)),
            };
        }
        for foreign in ["job", "instance"] {
            if plan.labels.iter().all(|(name, _)| name != foreign) {
                selector += &format!(",{foreign}=\"\"");
            }
        }
        let others = self.others(pattern, &plan);
        if !others.is_empty() {
            selector += &format!(",__name__!~{}", quoted(&others.join("|")));
        }
        Some(selector + "}")
    }

    /// Names of series with the same ids that keys beside the pattern feed now.
    fn others(&self, pattern: &str, plan: &Plan) -> Vec<String> {
        let memory = self.memory();
        let meant = |key: &[u8]| glob_matches(pattern.as_bytes(), key);
        let beside = memory.owners.iter().filter(|(_, key)| !meant(key)).filter(|(labels, _)| {
            plan.labels.iter().all(|(name, value)| {
                let glob = value.replace(MANY, "*").replace(ONE, "?");
                labels.get(name).is_some_and(|v| glob_matches(glob.as_bytes(), v.as_bytes()))
            })
        });
        let mut names: Vec<String> =
            beside.map(|(labels, _)| labels.metric_name().to_owned()).collect();
        // A pattern of many ids may not leave out a name that some of them feed themselves.
        let fed = memory.owners.iter().filter(|(_, key)| meant(key));
        let fed: Vec<&str> = fed.map(|(labels, _)| labels.metric_name()).collect();
        names.retain(|name| !fed.contains(&name.as_str()) && is_near(name, plan));
        names.sort();
        names.dedup();
        names
    }
}

/// Whether a name could be meant by the plan at all.
fn is_near(name: &str, plan: &Plan) -> bool {
    let literal = plan.base.split("zqz").next().unwrap_or_default();
    name.starts_with(literal)
}

/// All names that the plan can give; what is appended is an expression.
fn names(plan: &Plan) -> Vec<String> {
    let mut names = Vec::new();
    for (_, meaning) in plan.rule.as_ref().map_or(&[][..], |rule| &rule.fields) {
        match meaning {
            Field::Number(name) | Field::Word(name, _) | Field::Ranking(name, ..) => {
                names.push(name.clone());
            }
            Field::Nothing => {}
        }
    }
    if let Some((name, _)) = plan.rule.as_ref().and_then(|rule| rule.members.as_ref()) {
        names.push(name.clone());
    }
    match plan.others() {
        Others::Ignore => {}
        Others::Label(name, ..) => names.push(name.clone()),
        Others::Append => {
            names.push(plan.base.clone());
            names.push(format!("{}_{MANY}", plan.base));
        }
    }
    names.retain(|name| metric_name(name) == *name && labels(plan, name, &[]).is_some());
    // The step is a companion of every list series.
    let steps: Vec<String> = names.iter().map(|name| format!("{name}_step")).collect();
    names.extend(steps);
    names
}

/// A text whose marks are expressions.
fn regex(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out.replace(MANY, ".*").replace(ONE, ".")
}

/// A text as PromQL quotes it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
