//! A list: sealed, compressed, immutable, shared segments between two open ends.
//!
//! Invariants: `len` is the sum of the parts; no piece is empty; what a segment holds never changes,
//! only the window a piece shows of it. So a clone (a view) shares every segment, a pop moves a
//! window, and `LTRIM 0 999` after each push costs no copy. An open end is sealed while it is still
//! small, since it is not compressed; a row of small pieces at an end is joined into one.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::bulks::Bulks;
use super::packed::Packed;
use super::segment::{MAX_ELEMENTS, Segment};
use crate::wire::{FormatError, Reader, put_prefixed, put_varint};

/// An open end is sealed at so many elements, or at so many bytes.
const SEAL_ELEMENTS: usize = 64;
const SEAL_BYTES: usize = 64 * 1024;
/// So many small pieces in a row at an end become one.
const JOIN_PIECES: usize = 16;
/// A piece is small with so many elements at most, of a segment of so many bytes at most.
const SMALL_ELEMENTS: usize = 2 * SEAL_ELEMENTS;
const SMALL_BYTES: usize = 8 * 1024;
/// Removing more than one element of so many makes the whole list anew.
const FEW: usize = 32;

/// One end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The head: where LPUSH pushes.
    Left,
    /// The tail: where RPUSH pushes.
    Right,
}

/// A Redis list.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// Elements before the pieces, the outermost last.
    head: Packed,
    pieces: VecDeque<Piece>,
    /// Elements after the pieces, the outermost last.
    tail: Packed,
    len: usize,
}

/// What a list still shows of a segment.
#[derive(Clone, Debug)]
struct Piece {
    segment: Arc<Segment>,
    window: Range<usize>,
}

impl List {
    /// How many elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The element at `index`, counted from the head.
    pub fn get(&self, index: usize) -> Option<Vec<u8>> {
        let mut found = None;
        self.visit(index, 1, &mut |element| found = Some(element.to_vec()));
        found
    }

    /// Shows up to `count` elements from `start` on, in order.
    pub fn visit(&self, start: usize, count: usize, see: &mut dyn FnMut(&[u8])) {
        self.walk(start, count, &mut Seen(see));
    }

    /// Appends up to `count` elements from `start` on, in order.
    pub(super) fn spell(&self, start: usize, count: usize, out: &mut Bulks) {
        self.walk(start, count, out);
    }

    fn walk(&self, start: usize, count: usize, taker: &mut impl Taker) {
        let mut skip = start;
        let mut left = count.min(self.len.saturating_sub(start));
        // A part of `len` elements gives those of this range, and both counters move on.
        let mut part = |len: usize| {
            let from = skip.min(len);
            let take = left.min(len - from);
            skip -= from;
            left -= take;
            from..from + take
        };
        let head = part(self.head.len());
        let inner = self.head.len() - head.end..self.head.len() - head.start;
        self.head.range(inner).rev().for_each(|element| taker.open(element));
        for piece in &self.pieces {
            let range = part(piece.window.len());
            if !range.is_empty() {
                let at = piece.window.start;
                taker.sealed(&piece.segment, at + range.start..at + range.end);
            }
        }
        let tail = part(self.tail.len());
        self.tail.range(tail).for_each(|element| taker.open(element));
    }

    /// Adds one element at an end.
    pub fn push(&mut self, end: End, element: &[u8]) {
        self.reopen(end);
        let open = match end {
            End::Left => &mut self.head,
            End::Right => &mut self.tail,
        };
        open.push(element);
        self.len += 1;
        self.seal_if_full(end);
    }

    fn seal_if_full(&mut self, end: End) {
        let open = match end {
            End::Left => &self.head,
            End::Right => &self.tail,
        };
        if open.len() >= SEAL_ELEMENTS || open.byte_len() >= SEAL_BYTES {
            self.seal(end);
        }
    }

    /// Drops up to `count` elements at an end.
    pub fn drop(&mut self, end: End, count: usize) {
        let mut left = count.min(self.len);
        self.len -= left;
        let (near, far) = match end {
            End::Left => (&mut self.head, End::Right),
            End::Right => (&mut self.tail, End::Left),
        };
        let taken = left.min(near.len());
        near.truncate(near.len() - taken);
        left -= taken;
        while left > 0 {
            if self.pieces.is_empty() {
                self.seal(far);
            }
            let piece = match end {
                End::Left => self.pieces.front_mut(),
                End::Right => self.pieces.back_mut(),
            };
            let Some(piece) = piece else { break };
            let taken = left.min(piece.window.len());
            match end {
                End::Left => piece.window.start += taken,
                End::Right => piece.window.end -= taken,
            }
            left -= taken;
            if piece.window.is_empty() {
                match end {
                    End::Left => self.pieces.pop_front(),
                    End::Right => self.pieces.pop_back(),
                };
            }
        }
    }

    /// Replaces the element at `index`, if there is one.
    pub fn set(&mut self, index: usize, element: &[u8]) {
        self.edit(index, |elements, at| {
            if let Some(old) = elements.get_mut(at) {
                *old = element.to_vec();
            }
        });
    }

    /// Adds an element so that it stands at `index`, or at the end if there are fewer.
    pub fn insert(&mut self, index: usize, element: &[u8]) {
        if index >= self.len {
            return self.push(End::Right, element);
        }
        self.edit(index, |elements, at| elements.insert(at, element.to_vec()));
    }

    /// Removes the elements at these places, which ascend.
    pub fn remove(&mut self, indexes: &[usize]) {
        if indexes.len() < self.len / FEW {
            return indexes.iter().rev().for_each(|index| {
                self.edit(*index, |elements, at| {
                    elements.remove(at);
                });
            });
        }
        let mut left = List::default();
        let mut gone = indexes.iter().copied().peekable();
        let mut index = 0;
        self.visit(0, usize::MAX, &mut |element| {
            if gone.next_if_eq(&index).is_none() {
                left.push(End::Right, element);
            }
            index += 1;
        });
        *self = left;
    }

    /// Lets `change` edit the part that holds `index`, in order, told the place there. A part is as
    /// small as an open end may be, so this costs the same in a list of any length.
    fn edit(&mut self, index: usize, change: impl FnOnce(&mut Vec<Vec<u8>>, usize)) {
        if index >= self.len {
            return;
        }
        if let Some(from_tail) = index.checked_sub(self.len - self.tail.len()) {
            let mut elements: Vec<Vec<u8>> = self.tail.iter().map(<[u8]>::to_vec).collect();
            change(&mut elements, from_tail);
            self.len = self.len - self.tail.len() + elements.len();
            self.tail = elements.iter().map(Vec::as_slice).collect();
            return self.seal_if_full(End::Right);
        }
        let Some(mut inside) = index.checked_sub(self.head.len()) else {
            let mut elements: Vec<Vec<u8>> = self.head.iter().rev().map(<[u8]>::to_vec).collect();
            change(&mut elements, index);
            self.len = self.len - self.head.len() + elements.len();
            self.head = elements.iter().rev().map(Vec::as_slice).collect();
            return self.seal_if_full(End::Left);
        };
        let mut at = 0;
        while let Some(piece) = self.pieces.get(at).filter(|piece| inside >= piece.window.len()) {
            inside -= piece.window.len();
            at += 1;
        }
        self.edit_piece(at, inside, change);
    }

    /// Of a large piece only a small part is sealed anew; what is before and behind stays shared.
    fn edit_piece(
        &mut self,
        at: usize,
        inside: usize,
        change: impl FnOnce(&mut Vec<Vec<u8>>, usize),
    ) {
        let Some(piece) = self.pieces.remove(at) else { return };
        let Range { start, end } = piece.window;
        let from = start + inside - inside % SEAL_ELEMENTS;
        let to = if end - from < SMALL_ELEMENTS { end } else { from + SEAL_ELEMENTS };
        let mut elements = Vec::new();
        piece.segment.visit(from..to, &mut |element| elements.push(element.to_vec()));
        let before = elements.len();
        change(&mut elements, start + inside - from);
        self.len = self.len - before + elements.len();
        let packed = |part: &[Vec<u8>]| part.iter().map(Vec::as_slice).collect::<Packed>();
        let window = |range| Piece { segment: Arc::clone(&piece.segment), window: range };
        let (lower, upper) = match elements.len() {
            len if len > 2 * SMALL_ELEMENTS => elements.split_at(len / 2),
            len => elements.split_at(len),
        };
        let parts = [
            window(start..from),
            Piece::new(&packed(lower)),
            Piece::new(&packed(upper)),
            window(to..end),
        ];
        for part in parts.into_iter().rev().filter(|part| !part.window.is_empty()) {
            self.pieces.insert(at, part);
        }
    }

    /// Takes an outermost piece that shows less than half of its segment back into the open end, so
    /// that pushing and popping in turn cannot leave whole segments alive for single elements.
    fn reopen(&mut self, end: End) {
        let (open, piece) = match end {
            End::Left => (&mut self.head, self.pieces.front()),
            End::Right => (&mut self.tail, self.pieces.back()),
        };
        let Some(piece) = piece else { return };
        if !open.is_empty() || piece.window.len() * 2 >= piece.segment.len() {
            return;
        }
        let mut elements = Packed::default();
        piece.segment.visit(piece.window.clone(), &mut |element| elements.push(element));
        match end {
            End::Left => {
                self.pieces.pop_front();
                *open = elements.iter().rev().collect();
            }
            End::Right => {
                self.pieces.pop_back();
                *open = elements;
            }
        }
    }

    fn seal(&mut self, end: End) {
        match end {
            End::Left => {
                let next = Packed::for_more_like(&self.head);
                let head = std::mem::replace(&mut self.head, next);
                self.pieces.push_front(Piece::new(&head.reversed()));
            }
            End::Right => {
                let next = Packed::for_more_like(&self.tail);
                let tail = std::mem::replace(&mut self.tail, next);
                self.pieces.push_back(Piece::new(&tail));
            }
        }
        self.join(end);
    }

    /// Joins the small pieces at an end once there is a row of them.
    fn join(&mut self, end: End) {
        let Some(rest) = self.pieces.len().checked_sub(JOIN_PIECES) else { return };
        let range = match end {
            End::Left => 0..JOIN_PIECES,
            End::Right => rest..self.pieces.len(),
        };
        if !self.pieces.range(range.clone()).all(Piece::is_small) {
            return;
        }
        let mut elements = Packed::default();
        for piece in self.pieces.drain(range) {
            piece.segment.visit(piece.window, &mut |element| elements.push(element));
        }
        match end {
            End::Left => self.pieces.push_front(Piece::new(&elements)),
            End::Right => self.pieces.push_back(Piece::new(&elements)),
        }
    }

    /// Bytes its elements take in memory.
    pub fn memory(&self) -> usize {
        let pieces = self.pieces.iter().map(|piece| {
            let shown = piece.segment.bytes().len() * piece.window.len();
            shown / piece.segment.len().max(1) + size_of::<Piece>() + size_of::<Segment>()
        });
        self.head.memory() + self.tail.memory() + pieces.sum::<usize>()
    }

    /// Appends its pieces; open ends become pieces of their own.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let ends = [self.head.iter().rev().collect::<Packed>(), self.tail.clone()];
        let [head, tail] = ends.map(|end| (!end.is_empty()).then(|| Piece::new(&end)));
        let pieces = || head.iter().chain(&self.pieces).chain(&tail);
        put_varint(out, pieces().count() as u64);
        for piece in pieces() {
            put_varint(out, piece.window.start as u64);
            put_varint(out, piece.window.end as u64);
            put_prefixed(out, piece.segment.bytes());
        }
    }

    /// Reads what [`encode`](List::encode) wrote; checks all of it.
    pub(super) fn decode(bytes: &[u8]) -> Result<List, FormatError> {
        let reader = &mut Reader::new(bytes);
        let mut list = List::default();
        for _ in 0..reader.count(3)? {
            let (start, end) = (reader.varint()?, reader.varint()?);
            let segment = Segment::decode(reader.prefixed()?)?;
            if start >= end || end > segment.len() as u64 {
                return Err(reader.error("window past the end of a segment"));
            }
            let window = start as usize..end as usize;
            list.len += window.len();
            list.pieces.push_back(Piece { segment: Arc::new(segment), window });
        }
        if !reader.is_empty() {
            return Err(reader.error("bytes after a list"));
        }
        Ok(list)
    }
}

/// What takes elements.
trait Taker {
    /// One of an open end.
    fn open(&mut self, element: &[u8]);
    /// Some of a segment.
    fn sealed(&mut self, segment: &Arc<Segment>, range: Range<usize>);
}

/// Only sees them.
struct Seen<'a>(&'a mut dyn FnMut(&[u8]));

impl Taker for Seen<'_> {
    fn open(&mut self, element: &[u8]) {
        (self.0)(element);
    }

    fn sealed(&mut self, segment: &Arc<Segment>, range: Range<usize>) {
        segment.visit(range, self.0);
    }
}

impl Taker for Bulks {
    fn open(&mut self, element: &[u8]) {
        self.push(element);
    }

    fn sealed(&mut self, segment: &Arc<Segment>, range: Range<usize>) {
        segment.spell(range, self);
    }
}

impl Piece {
    fn new(elements: &Packed) -> Piece {
        debug_assert!(elements.len() <= MAX_ELEMENTS, "a row of small pieces is no longer");
        Piece { segment: Arc::new(Segment::new(elements)), window: 0..elements.len() }
    }

    fn is_small(&self) -> bool {
        self.window.len() <= SMALL_ELEMENTS && self.segment.bytes().len() <= SMALL_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(list: &List) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        list.visit(0, usize::MAX, &mut |e| out.push(e.to_vec()));
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// A list behaves as a deque of byte strings, and a clone never changes.
        #[test]
        fn equals_a_deque(steps in prop::collection::vec((0..4_u8, 0..300_usize), 1..40)) {
            let mut list = List::default();
            let mut model: VecDeque<Vec<u8>> = VecDeque::new();
            let mut clones = Vec::new();
            for (i, (kind, n)) in steps.into_iter().enumerate() {
                let end = if kind % 2 == 0 { End::Left } else { End::Right };
                for k in 0..n {
                    let element = format!("{i}-{k}").into_bytes();
                    match (kind, end) {
                        (2.., End::Left) => drop(model.pop_front()),
                        (2.., End::Right) => drop(model.pop_back()),
                        (_, End::Left) => model.push_front(element.clone()),
                        (_, End::Right) => model.push_back(element.clone()),
                    }
                    if kind < 2 {
                        list.push(end, &element);
                    }
                }
                if kind >= 2 {
                    list.drop(end, n);
                }
                prop_assert_eq!(list.len(), model.len());
                prop_assert_eq!(list.get(n), model.get(n).cloned());
                clones.push((list.clone(), model.clone()));
            }
            for (list, model) in clones {
                prop_assert_eq!(all(&list), Vec::from(model));
            }
        }
    }

    #[test]
    fn one_element_does_not_keep_segments_alive() {
        let mut list = List::default();
        for round in 0..100 {
            for _ in 0..SEAL_ELEMENTS {
                list.push(End::Left, b"element");
            }
            list.drop(End::Left, SEAL_ELEMENTS - 1);
            assert!(
                list.pieces.len() < JOIN_PIECES,
                "{} pieces in round {round}",
                list.pieces.len()
            );
        }
    }
}
