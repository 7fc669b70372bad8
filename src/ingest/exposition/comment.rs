//! Comments that say what a metric means: `# HELP name text`, `# TYPE name counter`, `# UNIT name bytes`.

use std::collections::BTreeMap;

use ringwell_storage::metadata::{Metadata, MetricType};

use crate::ingest::beside::Beside;

/// What the comments of a text say, by metric.
#[derive(Debug, Default)]
pub(super) struct Families(BTreeMap<String, Metadata>);

impl Families {
    /// Reads a line that holds no sample.
    pub(super) fn read(&mut self, line: &str) {
        let Some((word, rest)) = line.trim_start().strip_prefix('#').and_then(word) else { return };
        if !matches!(word, "HELP" | "TYPE" | "UNIT") {
            return;
        }
        let Some((metric, text)) = metric(rest) else { return };
        let of = self.0.entry(metric).or_default();
        match word {
            "HELP" => of.help = unescape(text),
            "TYPE" => of.kind = MetricType::from_name(text.trim()),
            _ => of.unit = text.trim().to_owned(),
        }
    }

    pub(super) fn into_beside(self) -> Beside {
        let mut beside = Beside::default();
        for (metric, of) in &self.0 {
            let (help, unit) = (of.help.as_bytes(), of.unit.as_bytes());
            beside.take_metadata(of.kind as u64, metric.as_bytes(), help, unit);
        }
        beside
    }
}

/// The first word, and what follows the blank after it.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches([' ', '\t']);
    let (word, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    (!word.is_empty()).then_some((word, rest))
}

/// A metric's name, in quotes where it is no plain one.
fn metric(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start_matches([' ', '\t']);
    let Some(quoted) = text.strip_prefix('"') else {
        return word(text).map(|(name, rest)| (name.to_owned(), rest));
    };
    let mut escaped = false;
    let end = quoted.char_indices().find(|(_, c)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    })?;
    let (name, rest) = quoted.split_at(end.0);
    Some((unescape(name), rest.strip_prefix('"')?.trim_start_matches([' ', '\t'])))
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.trim_end_matches('\r').chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some(c @ ('\\' | '"')) => out.push(c),
                other => {
                    out.push('\\');
                    out.extend(other);
                }
            },
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_of_every_kind() {
        let mut families = Families::default();
        for line in [
            "# HELP a What\\n\\\\it \\is",
            "#TYPE a counter",
            "  #  UNIT\ta  seconds ",
            "# TYPE \"b.\\\"c\" untyped",
            "# HELP \"b.\\\"c\" with \"quotes\"",
            "# HELP",
            "# HELP \"open",
            "# a comment",
            "",
        ] {
            families.read(line);
        }
        let told: Vec<String> = families
            .into_beside()
            .metadata
            .iter()
            .map(|m| {
                let of = &m.metadata;
                format!("{} {} {:?} {:?}", m.metric, of.kind.name(), of.help, of.unit)
            })
            .collect();
        assert_eq!(
            told,
            [r#"a counter "What\n\\it \\is" "seconds""#, r#"b."c unknown "with \"quotes\"" """#,]
        );
    }
}
