//! From matchers to series: postings, the sorted series numbers of each label pair.
//!
//! The same structure serves a shard of the head and an opened block.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::model::{Labels, Matcher};

/// Sorted series numbers by label name and value.
#[derive(Debug, Default)]
pub struct Postings {
    names: BTreeMap<Box<str>, BTreeMap<Box<str>, Vec<u32>>>,
    all: Vec<u32>,
}

impl Postings {
    /// Enters a series.
    pub fn add(&mut self, number: u32, labels: &Labels) {
        insert(&mut self.all, number);
        for label in labels.iter() {
            insert(self.list(label.name, label.value), number);
        }
    }

    /// Takes series out. Each list is walked once, however many leave it.
    pub fn remove(&mut self, gone: &[(u32, Labels)]) {
        let numbers: HashSet<u32> = gone.iter().map(|(number, _)| *number).collect();
        let pairs = gone.iter().flat_map(|(_, labels)| labels.iter());
        let pairs: BTreeSet<(&str, &str)> = pairs.map(|l| (l.name, l.value)).collect();
        self.all.retain(|number| !numbers.contains(number));
        for (name, value) in pairs {
            let Some(values) = self.names.get_mut(name) else { continue };
            if let Some(list) = values.get_mut(value) {
                list.retain(|number| !numbers.contains(number));
                if list.is_empty() {
                    values.remove(value);
                }
            }
            if values.is_empty() {
                self.names.remove(name);
            }
        }
    }

    /// A whole list at once, as a block has it; `numbers` ascending.
    pub(crate) fn set(&mut self, name: &str, value: &str, numbers: Vec<u32>) {
        *self.list(name, value) = numbers;
    }

    /// All series at once, ascending.
    pub(crate) fn set_all(&mut self, numbers: Vec<u32>) {
        self.all = numbers;
    }

    /// The series that all matchers accept, ascending.
    pub fn select(&self, matchers: &[Matcher]) -> Vec<u32> {
        let mut lists: Vec<Vec<u32>> = Vec::new();
        for matcher in matchers.iter().filter(|m| !m.matches_empty()) {
            let list = self.having(matcher, true);
            if list.is_empty() {
                return list;
            }
            lists.push(list);
        }
        lists.sort_by_key(Vec::len);
        let mut lists = lists.into_iter();
        let mut selected = lists.next().unwrap_or_else(|| self.all.clone());
        for list in lists {
            selected = intersect(&selected, &list);
        }
        for matcher in matchers.iter().filter(|m| m.matches_empty()) {
            selected = subtract(&selected, &self.having(matcher, false));
        }
        selected
    }

    /// Label names, ascending.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(|n| &**n)
    }

    /// Values of a name, ascending, each with its series.
    pub fn values(&self, name: &str) -> impl Iterator<Item = (&str, &[u32])> {
        self.names.get(name).into_iter().flatten().map(|(v, l)| (&**v, l.as_slice()))
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Series that have the matcher's label with a value it accepts (or does not).
    fn having(&self, matcher: &Matcher, accepted: bool) -> Vec<u32> {
        let Some(values) = self.names.get(matcher.name()) else {
            return Vec::new();
        };
        if accepted && let Some(few) = matcher.one_of() {
            return union(few.iter().filter_map(|v| values.get(*v)));
        }
        union(values.iter().filter(|(v, _)| matcher.matches(v) == accepted).map(|(_, l)| l))
    }

    fn list(&mut self, name: &str, value: &str) -> &mut Vec<u32> {
        if !self.names.contains_key(name) {
            self.names.insert(name.into(), BTreeMap::new());
        }
        let values = self.names.get_mut(name).expect("the name was just made sure of");
        if !values.contains_key(value) {
            values.insert(value.into(), Vec::new());
        }
        values.get_mut(value).expect("the value was just made sure of")
    }
}

/// Numbers mostly come ascending, so this is a push.
fn insert(list: &mut Vec<u32>, number: u32) {
    match list.last() {
        Some(last) if *last >= number => {
            if let Err(at) = list.binary_search(&number) {
                list.insert(at, number);
            }
        }
        _ => list.push(number),
    }
}

fn union<'a>(lists: impl Iterator<Item = &'a Vec<u32>>) -> Vec<u32> {
    let mut all: Vec<u32> = Vec::new();
    let mut count = 0;
    for list in lists {
        all.extend_from_slice(list);
        count += 1;
    }
    if count > 1 {
        all.sort_unstable();
        all.dedup();
    }
    all
}

fn intersect(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut out = Vec::with_capacity(a.len().min(b.len()));
    let mut rest = b;
    for number in a {
        let at = rest.partition_point(|x| x < number);
        rest = &rest[at..];
        match rest.first() {
            Some(first) if first == number => out.push(*number),
            Some(_) => {}
            None => break,
        }
    }
    out
}

fn subtract(a: &[u32], b: &[u32]) -> Vec<u32> {
    a.iter().copied().filter(|n| b.binary_search(n).is_err()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MatchOp;

    #[test]
    fn selects_what_a_scan_would() {
        let mut postings = Postings::default();
        let series: Vec<Labels> = (0..60)
            .map(|i| {
                let (job, zone) = (format!("j{}", i % 5), format!("z{}", i % 7));
                let zone = if i % 3 == 0 { "" } else { zone.as_str() };
                Labels::from_pairs([("job", job.as_str()), ("zone", zone)]).unwrap()
            })
            .collect();
        for (i, labels) in series.iter().enumerate() {
            postings.add(i as u32, labels);
        }
        postings.remove(&[(7, series[7].clone())]);
        use MatchOp::{Equal, NotEqual, NotRegex, Regex};
        let cases: &[&[(MatchOp, &str, &str)]] = &[
            &[],
            &[(Equal, "job", "j1")],
            &[(Equal, "zone", "")],
            &[(NotEqual, "zone", "")],
            &[(Regex, "job", "j1|j2"), (NotEqual, "zone", "z3")],
            &[(Regex, "job", "j[0-2]"), (Regex, "zone", "z.|")],
            &[(NotRegex, "zone", "z[1-4]")],
            &[(Equal, "absent", "")],
            &[(Equal, "absent", "x")],
        ];
        for case in cases {
            let matchers: Vec<Matcher> =
                case.iter().map(|(op, n, v)| Matcher::new(*op, *n, *v).unwrap()).collect();
            let scan: Vec<u32> = (0..series.len() as u32)
                .filter(|i| *i != 7)
                .filter(|i| {
                    let labels = &series[*i as usize];
                    matchers.iter().all(|m| m.matches(labels.get(m.name()).unwrap_or("")))
                })
                .collect();
            assert_eq!(postings.select(&matchers), scan, "{case:?}");
        }
    }
}
