//! A list: sealed, immutable, shared segments between two open ends.
//!
//! Invariants: `len` is the sum of the parts; no piece is empty; what a segment holds never changes,
//! only the window a piece shows of it. So a clone (a view) shares every segment, a pop moves a
//! window, and `LTRIM 0 999` after each push costs no copy.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::packed::Packed;

/// An open end is sealed at so many elements, or at so many bytes.
const SEAL_ELEMENTS: usize = 128;
const SEAL_BYTES: usize = 64 * 1024;

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

/// Elements that never change again. How they are stored is known only here.
#[derive(Debug)]
struct Segment(Packed);

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
        self.head.range(inner).rev().for_each(&mut *see);
        for piece in &self.pieces {
            let range = part(piece.window.len());
            if !range.is_empty() {
                let at = piece.window.start;
                piece.segment.visit(at + range.start..at + range.end, see);
            }
        }
        let tail = part(self.tail.len());
        self.tail.range(tail).for_each(see);
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
        let Some(piece) = self.pieces.get_mut(at) else { return };
        let mut elements = Vec::new();
        piece.segment.visit(piece.window.clone(), &mut |element| elements.push(element.to_vec()));
        let before = elements.len();
        change(&mut elements, inside);
        self.len = self.len - before + elements.len();
        let packed = |part: &[Vec<u8>]| part.iter().map(Vec::as_slice).collect::<Packed>();
        if elements.len() > 2 * SEAL_ELEMENTS {
            let (lower, upper) = elements.split_at(elements.len() / 2);
            *piece = Piece::new(packed(lower));
            self.pieces.insert(at + 1, Piece::new(packed(upper)));
        } else {
            *piece = Piece::new(packed(&elements));
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
                let piece = Piece::new(self.head.iter().rev().collect());
                self.head.truncate(0);
                self.pieces.push_front(piece);
            }
            End::Right => {
                let piece = Piece::new(std::mem::take(&mut self.tail));
                self.pieces.push_back(piece);
            }
        }
    }
}

impl Piece {
    fn new(elements: Packed) -> Piece {
        let window = 0..elements.len();
        Piece { segment: Arc::new(Segment::new(elements)), window }
    }
}

impl Segment {
    fn new(mut elements: Packed) -> Segment {
        elements.shrink();
        Segment(elements)
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn visit(&self, range: Range<usize>, see: &mut dyn FnMut(&[u8])) {
        self.0.range(range).for_each(see);
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
            assert!(list.pieces.len() <= 2, "{} pieces in round {round}", list.pieces.len());
        }
    }
}
