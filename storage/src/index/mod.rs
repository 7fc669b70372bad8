//! From matchers to series: postings, the sorted series numbers of each label pair.
//!
//! [`Postings`] hold them in memory for a shard of the head; a block has them on the disk. Both are
//! [`Lists`], which is all that [`select`] knows.

mod list;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::convert::Infallible;

use list::List;

use crate::model::{Labels, Matcher};

/// Takes a value of a label and its series.
pub(crate) type Visit<'a> = dyn FnMut(&str, &[u32]) + 'a;

/// Where posting lists come from.
pub(crate) trait Lists {
    /// Why a list cannot be read.
    type Error;

    /// All series, ascending.
    fn all(&self) -> Vec<u32>;

    /// The series that have this value, ascending.
    fn one(&self, name: &str, value: &str) -> Result<Cow<'_, [u32]>, Self::Error>;

    /// Shows every value of a label with its series.
    fn each(&self, name: &str, visit: &mut Visit<'_>) -> Result<(), Self::Error>;
}

/// The series that all matchers accept, ascending.
///
/// What is looked up comes first; then values are tried only where one of their series is still
/// selected, so an expression over a million values costs little behind a selective matcher.
pub(crate) fn select<L: Lists>(lists: &L, matchers: &[Matcher]) -> Result<Vec<u32>, L::Error> {
    let mut found: Vec<Cow<'_, [u32]>> = Vec::new();
    let mut rest: Vec<&Matcher> = Vec::new();
    for matcher in matchers {
        match matcher.one_of() {
            Some(few) if !matcher.matches_empty() => {
                found.push(look_up(lists, matcher.name(), &few)?);
            }
            _ => rest.push(matcher),
        }
    }
    found.sort_by_key(|list| list.len());
    let mut found = found.into_iter();
    let mut selected = found.next().map_or_else(|| lists.all(), Cow::into_owned);
    for list in found {
        selected = intersect(&selected, &list);
    }
    for matcher in rest {
        narrow(lists, &mut selected, matcher)?;
    }
    Ok(selected)
}

/// The series that have one of these values.
fn look_up<'a, L: Lists>(
    lists: &'a L,
    name: &str,
    few: &[&str],
) -> Result<Cow<'a, [u32]>, L::Error> {
    let mut all: Cow<'_, [u32]> = Cow::Borrowed(&[]);
    for value in few {
        let list = lists.one(name, value)?;
        if all.is_empty() {
            all = list;
        } else if !list.is_empty() {
            // A series has one value of a label, so there are no doubles.
            all.to_mut().extend_from_slice(&list);
        }
    }
    if !all.is_sorted() {
        all.to_mut().sort_unstable();
    }
    Ok(all)
}

/// Leaves of the selected series those that a matcher accepts.
fn narrow<L: Lists>(lists: &L, selected: &mut Vec<u32>, matcher: &Matcher) -> Result<(), L::Error> {
    // A series without the label passes if the empty value does: then those go that have a
    // value which does not.
    let stays = !matcher.matches_empty();
    let candidates = Bits::of(selected);
    let mut found = Bits::of(&[]);
    lists.each(matcher.name(), &mut |value, list| {
        if list.iter().any(|n| candidates.has(*n)) && matcher.matches(value) == stays {
            list.iter().for_each(|n| found.set(*n));
        }
    })?;
    selected.retain(|n| found.has(*n) == stays);
    Ok(())
}

/// Sorted series numbers by label name and value.
#[derive(Debug, Default)]
pub struct Postings {
    names: BTreeMap<Box<str>, BTreeMap<Box<str>, List>>,
    all: Bits,
    count: usize,
}

impl Postings {
    /// Enters a series.
    pub fn add(&mut self, number: u32, labels: &Labels) {
        self.count += usize::from(!self.all.has(number));
        self.all.set(number);
        for label in labels.iter() {
            self.list(label.name, label.value).insert(number);
        }
    }

    /// Takes series out. Each list is walked once, however many leave it.
    pub fn remove(&mut self, gone: &[(u32, Labels)]) {
        let numbers: HashSet<u32> = gone.iter().map(|(number, _)| *number).collect();
        let pairs = gone.iter().flat_map(|(_, labels)| labels.iter());
        let pairs: BTreeSet<(&str, &str)> = pairs.map(|l| (l.name, l.value)).collect();
        for number in &numbers {
            self.count -= usize::from(self.all.has(*number));
            self.all.clear(*number);
        }
        for (name, value) in pairs {
            let Some(values) = self.names.get_mut(name) else { continue };
            if let Some(list) = values.get_mut(value) {
                list.retain(|number| !numbers.contains(&number));
                if list.is_empty() {
                    values.remove(value);
                }
            }
            if values.is_empty() {
                self.names.remove(name);
            }
        }
    }

    /// The series that all matchers accept, ascending.
    pub fn select(&self, matchers: &[Matcher]) -> Vec<u32> {
        match select(self, matchers) {
            Ok(selected) => selected,
            Err(never) => match never {},
        }
    }

    /// Label names, ascending.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(|n| &**n)
    }

    /// Values of a name, ascending.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.names.get(name).into_iter().flatten().map(|(value, _)| &**value)
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn list(&mut self, name: &str, value: &str) -> &mut List {
        if !self.names.contains_key(name) {
            self.names.insert(name.into(), BTreeMap::new());
        }
        let values = self.names.get_mut(name).expect("the name was just made sure of");
        if !values.contains_key(value) {
            values.insert(value.into(), List::default());
        }
        values.get_mut(value).expect("the value was just made sure of")
    }
}

impl Lists for Postings {
    type Error = Infallible;

    fn all(&self) -> Vec<u32> {
        self.all.iter().collect()
    }

    fn one(&self, name: &str, value: &str) -> Result<Cow<'_, [u32]>, Infallible> {
        let list = self.names.get(name).and_then(|values| values.get(value));
        Ok(list.map(|list| list.iter().collect()).unwrap_or_default())
    }

    fn each(&self, name: &str, visit: &mut Visit<'_>) -> Result<(), Infallible> {
        let mut numbers = Vec::new();
        for (value, list) in self.names.get(name).into_iter().flatten() {
            numbers.clear();
            numbers.extend(list.iter());
            visit(value, &numbers);
        }
        Ok(())
    }
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

/// A set of series numbers, a bit each.
#[derive(Debug, Default)]
struct Bits(Vec<u64>);

impl Bits {
    fn of(numbers: &[u32]) -> Bits {
        let mut bits = Bits(Vec::new());
        // The largest first, so that the rest finds its room.
        numbers.iter().rev().for_each(|n| bits.set(*n));
        bits
    }

    fn set(&mut self, number: u32) {
        let word = number as usize / 64;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (number % 64);
    }

    fn clear(&mut self, number: u32) {
        if let Some(word) = self.0.get_mut(number as usize / 64) {
            *word &= !(1 << (number % 64));
        }
    }

    /// The numbers, ascending.
    fn iter(&self) -> impl Iterator<Item = u32> {
        (0..).zip(&self.0).flat_map(|(at, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros())?;
                left &= left - 1;
                Some(64 * at + bit)
            })
        })
    }

    fn has(&self, number: u32) -> bool {
        self.0.get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }
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
            &[(Regex, "absent", ".*"), (Equal, "job", "j2")],
            &[(Equal, "job", "j2"), (Regex, "zone", ".+"), (NotRegex, "job", "j[01]")],
            &[(Regex, "zone", "z1|z2|z3|"), (Regex, "job", "j1|j3|j4")],
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
