//! A sealed part of a list, compressed (`docs/format/segments.md`): what the elements share once,
//! what differs in columns. Byte for byte, whatever the elements are.

mod column;
mod shape;
mod spell;

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use super::bulks::Bulks;
use super::packed::Packed;
use crate::chunk::{Effort, column as ints};
use crate::wire::{FormatError, Reader, put_prefixed, put_varint};
use column::Column;
use shape::Shape;
use spell::{SLACK, Text};

const RAW: u8 = 0;
const SHAPED: u8 = 1;

/// Shapes one segment may have; elements of further ones are kept whole.
const MAX_SHAPES: usize = 8;
/// Most elements of a segment, so that a damaged count cannot make a reader allocate much.
pub(super) const MAX_ELEMENTS: usize = 1 << 14;

/// Elements that never change again.
#[derive(Debug)]
pub(super) struct Segment {
    len: usize,
    bytes: Box<[u8]>,
}

impl Segment {
    /// Seals elements.
    pub(super) fn new(elements: &Packed) -> Segment {
        let mut bytes = shaped(elements);
        // Shapes that save little are not worth putting elements together again.
        if bytes.len() > elements.byte_len() / 8 * 7 {
            bytes = raw(elements);
        }
        Segment { len: elements.len(), bytes: bytes.into_boxed_slice() }
    }

    /// Takes the bytes of one, if they are whole.
    pub(super) fn decode(bytes: &[u8]) -> Result<Segment, FormatError> {
        let len = Open::of(bytes)?.len;
        Ok(Segment { len, bytes: bytes.into() })
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many elements.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Shows some of the elements, in order.
    pub(super) fn visit(self: &Arc<Segment>, range: Range<usize>, see: &mut dyn FnMut(&[u8])) {
        self.opened(|open| open.visit(&self.bytes, range, see));
    }

    /// Appends some of the elements, in order.
    pub(super) fn spell(self: &Arc<Segment>, range: Range<usize>, out: &mut Bulks) {
        self.opened(|open| open.spell(&self.bytes, range, out));
    }

    /// Reads the columns for `look`. The last segment a thread looked into stays open, so that one
    /// element after another costs no more than all at once.
    fn opened(self: &Arc<Segment>, look: impl FnOnce(&mut Open)) {
        // Who looks may look into other lists, so the open one is taken out meanwhile.
        let last = LAST.with(|last| last.borrow_mut().take());
        let mut open = match last {
            Some((segment, open)) if Arc::ptr_eq(&segment, self) => open,
            // These bytes are ours, or were checked when they came in.
            _ => Open::of(&self.bytes).unwrap_or_default(),
        };
        look(&mut open);
        LAST.with(|last| *last.borrow_mut() = Some((Arc::clone(self), open)));
    }
}

thread_local! {
    static LAST: RefCell<Option<(Arc<Segment>, Open)>> = const { RefCell::new(None) };
}

fn raw(elements: &Packed) -> Vec<u8> {
    let mut out = Vec::with_capacity(elements.byte_len() + elements.len() + 8);
    out.push(RAW);
    put_varint(&mut out, elements.len() as u64);
    let lengths: Vec<i64> = elements.iter().map(|element| element.len() as i64).collect();
    ints::encode(&lengths, Effort::Quick, &mut out);
    elements.iter().for_each(|element| out.extend_from_slice(element));
    out
}

/// Elements sorted by their shapes.
#[derive(Default)]
struct Sorted<'a> {
    shapes: Vec<Shape>,
    /// For each shape, for each of its fields, the texts.
    fields: Vec<Vec<Vec<&'a [u8]>>>,
    order: Vec<i64>,
    /// The shape of what has no other; no element is found to be of it.
    whole: Option<usize>,
}

impl<'a> Sorted<'a> {
    fn of(elements: &'a Packed) -> Sorted<'a> {
        let mut sorted = Sorted { order: Vec::with_capacity(elements.len()), ..Sorted::default() };
        let mut ranges = Vec::new();
        let mut last = 0;
        for element in elements.iter() {
            last = sorted.shape_of(element, last, &mut ranges);
            sorted.order.push(last as i64);
            if let Some(fields) = sorted.fields.get_mut(last) {
                for (texts, range) in fields.iter_mut().zip(&ranges) {
                    texts.push(element.get(range.clone()).unwrap_or_default());
                }
            }
        }
        sorted
    }

    /// The number of an element's shape, and where its fields are; `last` is tried first.
    fn shape_of(&mut self, element: &[u8], last: usize, ranges: &mut Vec<Range<usize>>) -> usize {
        let others = (0..self.shapes.len()).filter(|n| *n != last);
        let mut tried = std::iter::once(last).chain(others).filter(|n| Some(*n) != self.whole);
        let known = |n: &usize| self.shapes.get(*n).is_some_and(|s| s.fields(element, ranges));
        if let Some(known) = tried.find(known) {
            return known;
        }
        if self.shapes.len() < MAX_SHAPES
            && shape::may_have_fields(element)
            && let Some(shape) = Shape::of(element)
            && shape.fields(element, ranges)
        {
            return self.add(shape);
        }
        ranges.clear();
        ranges.push(0..element.len());
        match self.whole {
            Some(whole) => whole,
            None => {
                let whole = self.add(Shape::whole());
                *self.whole.insert(whole)
            }
        }
    }

    fn add(&mut self, shape: Shape) -> usize {
        // Mostly all are of the first.
        let most = if self.shapes.is_empty() { self.order.capacity() } else { 0 };
        self.fields.push(shape.kinds.iter().map(|_| Vec::with_capacity(most)).collect());
        self.shapes.push(shape);
        self.shapes.len() - 1
    }
}

fn shaped(elements: &Packed) -> Vec<u8> {
    let sorted = Sorted::of(elements);
    let mut out = vec![SHAPED];
    put_varint(&mut out, elements.len() as u64);
    put_varint(&mut out, sorted.shapes.len() as u64);
    for shape in &sorted.shapes {
        put_varint(&mut out, shape.kinds.len() as u64);
        shape.literals.iter().for_each(|literal| put_prefixed(&mut out, literal));
    }
    if sorted.shapes.len() > 1 {
        ints::encode(&sorted.order, Effort::Quick, &mut out);
    }
    sorted.fields.iter().flatten().for_each(|texts| column::encode(texts, &mut out));
    out
}

/// A segment whose columns are read.
#[derive(Debug, Default)]
struct Open {
    len: usize,
    /// Set if it is raw.
    elements: Vec<Range<usize>>,
    shapes: Vec<OpenShape>,
    /// For each element its shape and its place among those of this shape; empty if all are of one.
    order: Vec<(u32, u32)>,
}

/// What elements of a shape are put together of, in order.
#[derive(Debug)]
struct OpenShape {
    parts: Vec<Part>,
    /// Most bytes that putting one together takes.
    most: usize,
}

#[derive(Debug)]
enum Part {
    /// What all of them have here.
    Fixed(Text),
    Column(Column),
}

impl Open {
    fn of(bytes: &[u8]) -> Result<Open, FormatError> {
        let reader = &mut Reader::new(bytes);
        let form = reader.u8()?;
        let len = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
        if len > MAX_ELEMENTS {
            return Err(reader.error("too many elements in a segment"));
        }
        let mut open = Open { len, ..Open::default() };
        match form {
            RAW => {
                let mut lengths = Vec::with_capacity(len);
                ints::decode(reader, len, &mut lengths)?;
                open.elements = column::strings(reader, &lengths)?;
            }
            SHAPED => open.read_shapes(reader)?,
            _ => return Err(reader.error("unknown form of a segment")),
        }
        if reader.is_empty() { Ok(open) } else { Err(reader.error("bytes after a segment")) }
    }

    fn read_shapes(&mut self, reader: &mut Reader<'_>) -> Result<(), FormatError> {
        let count = reader.count(2)?;
        if count > MAX_SHAPES + 1 || (count == 0 && self.len > 0) {
            return Err(reader.error("wrong number of shapes"));
        }
        let mut literals = Vec::with_capacity(count);
        for _ in 0..count {
            let fields = reader.count(1)?;
            let read = (0..=fields).map(|_| reader.prefixed());
            literals.push(read.collect::<Result<Vec<_>, FormatError>>()?);
        }
        let mut counts = vec![0_u32; count];
        if count > 1 {
            let mut order = Vec::with_capacity(self.len);
            ints::decode(reader, self.len, &mut order)?;
            for shape in order {
                let seen = usize::try_from(shape).ok().and_then(|shape| counts.get_mut(shape));
                let Some(seen) = seen else { return Err(reader.error("unknown shape")) };
                self.order.push((shape as u32, *seen));
                *seen += 1;
            }
        } else if let Some(all) = counts.first_mut() {
            *all = self.len as u32;
        }
        for (literals, n) in literals.into_iter().zip(counts) {
            let fields = 1..literals.len();
            let columns = fields.map(|_| Column::decode(reader, n as usize));
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            self.shapes.push(OpenShape::new(&literals, columns));
        }
        Ok(())
    }

    fn visit(&mut self, bytes: &[u8], range: Range<usize>, see: &mut dyn FnMut(&[u8])) {
        let mut room = Vec::new();
        for i in range.start..range.end.min(self.len) {
            if let Some(place) = self.elements.get(i) {
                see(bytes.get(place.clone()).unwrap_or_default());
            } else if let Some((shape, place)) = self.shape_of(i) {
                if room.len() < shape.most {
                    room.resize(shape.most, 0);
                }
                let end = shape.put(bytes, place, &mut room, 0);
                see(room.get(..end).unwrap_or_default());
            }
        }
    }

    fn spell(&mut self, bytes: &[u8], range: Range<usize>, out: &mut Bulks) {
        for i in range.start..range.end.min(self.len) {
            if let Some(place) = self.elements.get(i) {
                out.push(bytes.get(place.clone()).unwrap_or_default());
            } else if let Some((shape, place)) = self.shape_of(i) {
                out.put(shape.most, |room, at| shape.put(bytes, place, room, at));
            }
        }
    }

    /// The shape of the element at `i`, and its place among those of this shape.
    fn shape_of(&mut self, i: usize) -> Option<(&mut OpenShape, usize)> {
        match self.order.get(i) {
            Some((shape, place)) => Some((self.shapes.get_mut(*shape as usize)?, *place as usize)),
            None => Some((self.shapes.first_mut()?, i)),
        }
    }
}

impl OpenShape {
    /// Literals and what stands between them; neighbours that never change become one.
    fn new(literals: &[&[u8]], columns: Vec<Column>) -> OpenShape {
        let mut parts = Vec::with_capacity(literals.len() + columns.len());
        let mut most = SLACK;
        let mut fixed = Vec::new();
        let mut columns = columns.into_iter();
        for literal in literals {
            fixed.extend_from_slice(literal);
            let column = columns.next();
            if let Some(same) = column.as_ref().and_then(Column::constant) {
                fixed.extend_from_slice(same.bytes());
                continue;
            }
            if !fixed.is_empty() {
                parts.push(Part::Fixed(Text::new(&fixed)));
            }
            most += fixed.len() + column.as_ref().map_or(0, Column::most);
            fixed.clear();
            parts.extend(column.map(Part::Column));
        }
        OpenShape { parts, most }
    }

    /// Writes the element at place `i` and says where it ends.
    #[inline]
    fn put(&mut self, bytes: &[u8], i: usize, room: &mut [u8], at: usize) -> usize {
        self.parts.iter_mut().fold(at, |at, part| match part {
            Part::Fixed(text) => text.put(room, at),
            Part::Column(column) => column.put(bytes, i, room, at),
        })
    }
}

#[cfg(test)]
mod tests;
