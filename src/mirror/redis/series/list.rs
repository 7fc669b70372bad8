//! What is known of a list that series make: its newest elements, and which of them the target has. Pure.
//!
//! The list is a function of the samples: of the times that any of its series has one at, the newest so many, the
//! newest first; series that share a time and the members of labels are one element. So it does not matter in which
//! order samples come, nor whether one comes twice.

use std::collections::VecDeque;
use std::sync::Arc;

use super::spell::{Element, Time};
use crate::mirror::redis::batch::Requests;

/// Newest elements that are known.
pub(super) const WINDOW: usize = 32;

/// A list.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct List {
    /// The newest first.
    elements: VecDeque<Known>,
    /// How many the target has.
    length: usize,
    max_len: usize,
    ttl: Option<i64>,
    time: Time,
    /// Whether all that the target has is to go first: it is gone there by then.
    anew: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Known {
    element: Element,
    /// Whether the target has it, maybe as it was before.
    there: bool,
    /// Whether the target has it not as it is.
    due: bool,
}

/// What became of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// It is in the list now.
    Yes,
    /// The list has it, or newer ones fill it.
    No,
    /// It belongs among elements that are not known here: the list has to be written whole.
    Deeper,
}

impl List {
    /// One that the target has as it is, or will: its newest elements first, at least as many as are known here or
    /// all of it.
    pub(super) fn new(
        newest: impl IntoIterator<Item = Element>,
        length: usize,
        (max_len, ttl, time): (usize, Option<i64>, Time),
    ) -> List {
        let newest = newest.into_iter().take(WINDOW);
        let elements = newest.map(|element| Known { element, there: true, due: false }).collect();
        List { elements, length, max_len, ttl, time, anew: false }
    }

    /// When it goes: so long after its newest sample.
    pub(super) fn expires(&self) -> Option<i64> {
        self.elements.front()?.element.t.checked_add(self.ttl?)
    }

    /// Takes a sample.
    pub(super) fn add(&mut self, t: i64, labels: &Arc<str>, member: &Arc<str>, v: f64) -> Added {
        if self.expires().is_some_and(|at| t > at) {
            // By then there was no list any more.
            self.elements.clear();
            self.anew |= self.length > 0;
            self.length = 0;
        }
        let order = |known: &Known| (known.element.t, &*known.element.labels) > (t, labels);
        let at = self.elements.partition_point(order);
        let same = |known: &&mut Known| known.element.t == t && known.element.labels == *labels;
        if let Some(known) = self.elements.get_mut(at).filter(same) {
            let merged = put(&mut known.element.fields, member, v);
            known.due |= merged;
            return if merged { Added::Yes } else { Added::No };
        }
        let all_known = self.unknown() == 0;
        if at == self.elements.len() && !all_known {
            return Added::Deeper;
        }
        if at >= self.max_len {
            return Added::No;
        }
        // What is older than all may join what went before, or what went before may have been over by then.
        if let (Some(ttl), Some(oldest)) = (self.ttl, self.elements.back())
            && at == self.elements.len()
        {
            let joins = oldest.element.t.saturating_sub(t) <= ttl;
            return if joins { Added::Deeper } else { Added::No };
        }
        let element =
            Element { t, labels: Arc::clone(labels), fields: vec![(Arc::clone(member), v)] };
        self.elements.insert(at, Known { element, there: false, due: true });
        Added::Yes
    }

    /// Elements of the target that are not known here.
    fn unknown(&self) -> usize {
        let there = self.elements.iter().filter(|known| known.there).count();
        self.length.saturating_sub(there)
    }

    /// Appends what the target needs to have the list as it is.
    pub(super) fn flush(&mut self, key: &[u8], there: &[u8], requests: &mut Requests) {
        let deepest = self.elements.iter().rposition(|known| known.due);
        let Some(count) = deepest.map(|at| at + 1) else { return };
        if std::mem::take(&mut self.anew) {
            requests.push(key, &[b"DEL", there]);
        }
        let old = self.elements.iter().take(count).filter(|known| known.there).count();
        if old > 0 {
            requests.push(key, &[b"LTRIM", there, old.to_string().as_bytes(), b"-1"]);
        }
        let spelled = |known: &Known| known.element.spelled(self.time).into_bytes();
        let texts: Vec<Vec<u8>> = self.elements.iter().take(count).rev().map(spelled).collect();
        let mut words: Vec<&[u8]> = vec![b"LPUSH", there];
        words.extend(texts.iter().map(Vec::as_slice));
        requests.push(key, &words);
        self.length = self.length - old + count;
        if self.length > self.max_len {
            let last = (self.max_len - 1).to_string();
            requests.push(key, &[b"LTRIM", there, b"0", last.as_bytes()]);
            self.length = self.max_len;
        }
        for known in &mut self.elements {
            (known.there, known.due) = (true, false);
        }
        self.elements.truncate(WINDOW.min(self.max_len));
        if let Some(at) = self.expires() {
            requests.push(key, &[b"PEXPIREAT", there, at.max(1).to_string().as_bytes()]);
        }
    }
}

/// Puts a member's number in; whether that changes anything. Of two series that say different things of one
/// moment the larger number stands, whichever comes first.
pub(super) fn put(fields: &mut Vec<(Arc<str>, f64)>, member: &Arc<str>, v: f64) -> bool {
    match fields.binary_search_by(|(known, _)| known.cmp(member)) {
        Ok(at) => match fields.get_mut(at).filter(|(_, known)| v.total_cmp(known).is_gt()) {
            Some((_, known)) => {
                *known = v;
                true
            }
            None => false,
        },
        Err(at) => {
            fields.insert(at, (Arc::clone(member), v));
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::replication::{MAX_STRING, next_command};

    /// A Redis's list, of the commands that are used.
    fn run(list: &mut VecDeque<String>, requests: &Requests) {
        let mut rest = requests.bytes.as_slice();
        while let Some((words, length)) = next_command(rest, MAX_STRING).unwrap() {
            let words: Vec<String> =
                words.iter().map(|word| String::from_utf8(word.to_vec()).unwrap()).collect();
            rest = &rest[length..];
            match words[0].as_str() {
                "DEL" => list.clear(),
                "LPUSH" => words[2..].iter().for_each(|text| list.push_front(text.clone())),
                "LTRIM" if words[3] == "-1" => {
                    drop(list.drain(..words[2].parse::<usize>().unwrap()))
                }
                "LTRIM" => list.truncate(words[3].parse::<usize>().unwrap() + 1),
                "PEXPIREAT" => {}
                other => panic!("{other}"),
            }
        }
    }

    fn newest(samples: &[(i64, u8, u8, i8)], max_len: usize, ttl: Option<i64>) -> Vec<String> {
        let mut all: Vec<Element> = Vec::new();
        for (t, label, member, v) in samples {
            let (labels, member) = (label_of(*label), member_of(*member));
            let at = all.iter().position(|e| e.t == *t && e.labels == labels);
            let at = at.unwrap_or_else(|| {
                all.push(Element { t: *t, labels, fields: Vec::new() });
                all.len() - 1
            });
            put(&mut all[at].fields, &member, f64::from(*v));
        }
        all.sort_by(|a, b| (b.t, &b.labels).cmp(&(a.t, &a.labels)));
        let gap = all.windows(2).position(|w| ttl.is_some_and(|ttl| w[0].t - w[1].t > ttl));
        all.truncate(gap.map_or(all.len(), |at| at + 1));
        all.iter().take(max_len).map(|element| element.spelled(Time::Millis)).collect()
    }

    fn label_of(number: u8) -> Arc<str> {
        if number == 0 { "".into() } else { format!("\"l\":\"{number}\",").into() }
    }

    fn member_of(number: u8) -> Arc<str> {
        format!("m{number}").into()
    }

    proptest! {
        /// In whatever order and batches samples come, and wherever the list is read again from the target, it ends
        /// as the newest elements of all, back to a gap that it did not outlive; where it cannot, it says so.
        #[test]
        fn the_list_is_the_newest_of_all_samples(
            samples in prop::collection::vec((0_i64..150, 0_u8..2, 0_u8..3, any::<i8>()), 1..300),
            batch in 1_usize..40,
            max_len in prop::sample::select(vec![1_usize, 3, 20, WINDOW, WINDOW + 1, 100, 1000]),
            ttl in prop::sample::select(vec![None, Some(3), Some(15)]),
            again in any::<bool>(),
        ) {
            let mut target = VecDeque::new();
            let shape = (max_len, ttl, Time::Millis);
            let mut list = List::new([], 0, shape);
            let mut taken = Vec::new();
            for batch in samples.chunks(batch) {
                let mut deeper = false;
                for (t, label, member, v) in batch {
                    taken.push((*t, *label, *member, *v));
                    let added = list.add(*t, &label_of(*label), &member_of(*member), f64::from(*v));
                    deeper |= added == Added::Deeper;
                }
                let mut requests = Requests::default();
                list.flush(b"k", b"k", &mut requests);
                run(&mut target, &requests);
                let wanted = newest(&taken, max_len, ttl);
                if deeper {
                    target = wanted.iter().cloned().collect();
                }
                prop_assert_eq!(&target.iter().cloned().collect::<Vec<_>>(), &wanted);
                if again || deeper {
                    let known = target.iter().take(WINDOW);
                    let known = known.map(|e| Element::read(e.as_bytes(), Time::Millis).unwrap());
                    list = List::new(known.collect::<Vec<_>>(), target.len(), shape);
                }
                prop_assert_eq!(list.length, target.len());
            }
        }
    }

    #[test]
    fn what_comes_in_order_is_one_push_and_a_list_that_expired_begins_anew() {
        let (none, value) = (Arc::from(""), Arc::from("value"));
        let mut list = List::new([], 0, (3, Some(1000), Time::Millis));
        let told = |list: &mut List, samples: &[(i64, f64)]| {
            for (t, v) in samples {
                list.add(*t, &none, &value, *v);
            }
            let mut requests = Requests::default();
            list.flush(b"k", b"p:k", &mut requests);
            let text = String::from_utf8(requests.bytes).unwrap();
            let words = text.split("\r\n").filter(|w| !w.is_empty() && !w.starts_with(['*', '$']));
            words.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            told(&mut list, &[(1, 5.0), (2, 6.0)]),
            r#"LPUSH p:k {"value":5,"timestamp":1} {"value":6,"timestamp":2} PEXPIREAT p:k 1002"#
        );
        assert_eq!(told(&mut list, &[(2, 6.0), (1, 4.0)]), "", "the larger stands already");
        assert_eq!(
            told(&mut list, &[(3, 7.0), (4, 8.0)]),
            r#"LPUSH p:k {"value":7,"timestamp":3} {"value":8,"timestamp":4} LTRIM p:k 0 2 PEXPIREAT p:k 1004"#
        );
        assert_eq!(
            told(&mut list, &[(1005, 9.0)]),
            r#"DEL p:k LPUSH p:k {"value":9,"timestamp":1005} PEXPIREAT p:k 2005"#
        );
    }
}
