//! The squares of the map that a search looks through.

use super::{BITS, EARTH, LATITUDE, LONGITUDE, along_meridian, distance, edges, interleave, part};

/// What a search is to be within; in metres.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Circle(f64),
    /// Width and height.
    Box(f64, f64),
}

impl Shape {
    /// How far a place is from the middle, if it is inside.
    pub(super) fn holds(self, middle: (f64, f64), place: (f64, f64)) -> Option<f64> {
        let inside = match self {
            Shape::Circle(radius) => distance(middle, place) <= radius,
            Shape::Box(width, height) => {
                along_meridian(place.1, middle.1) <= height / 2.0
                    && distance(place, (middle.0, place.1)) <= width / 2.0
            }
        };
        inside.then(|| distance(middle, place))
    }

    /// The radius of the circle around it.
    fn reach(self) -> f64 {
        match self {
            Shape::Circle(radius) => radius,
            Shape::Box(width, height) => {
                ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt()
            }
        }
    }

    /// Half of its width and height.
    fn halves(self) -> (f64, f64) {
        match self {
            Shape::Circle(radius) => (radius, radius),
            Shape::Box(width, height) => (width / 2.0, height / 2.0),
        }
    }
}

/// A square of a map of 2^bits columns and rows; the map's edges meet.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Square {
    bits: u32,
    column: u64,
    row: u64,
}

impl Square {
    fn around((longitude, latitude): (f64, f64), bits: u32) -> Square {
        let (column, row) = (part(LONGITUDE, longitude, bits), part(LATITUDE, latitude, bits));
        Square { bits, column, row }
    }

    /// So many columns east and rows north of it.
    fn beside(self, (east, north): (i64, i64)) -> Square {
        let last = (1 << self.bits) - 1;
        let moved = |at: u64, by: i64| if by == 0 { at } else { at.wrapping_add_signed(by) & last };
        Square { column: moved(self.column, east), row: moved(self.row, north), ..self }
    }

    /// West and east, south and north.
    fn edges(self) -> ((f64, f64), (f64, f64)) {
        (edges(LONGITUDE, self.column, self.bits), edges(LATITUDE, self.row, self.bits))
    }

    /// The scores of all places in it: from the first up to but without the second.
    fn scores(self) -> (f64, f64) {
        let square = interleave(self.row, self.column);
        let unused = 2 * (BITS - self.bits);
        ((square << unused) as f64, ((square + 1) << unused) as f64)
    }
}

/// The middle, and around it in the order in which Redis looks: columns east, rows north.
const AROUND: [(i64, i64); 9] =
    [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];

/// The runs of scores in which all places of a shape are, in the order in which Redis looks.
pub(super) fn scores(shape: Shape, middle: (f64, f64)) -> Vec<(f64, f64)> {
    let (west, south, east, north) = bounds(shape, middle);
    let mut bits = precision(shape.reach(), middle.1);
    let mut square = Square::around(middle, bits);
    let edges = |step: (i64, i64)| square.beside(step).edges();
    let short = edges((0, 1)).1.1 < north
        || edges((0, -1)).1.0 > south
        || edges((1, 0)).0.1 < east
        || edges((-1, 0)).0.0 > west;
    if bits > 1 && short {
        bits -= 1;
        square = Square::around(middle, bits);
    }
    let ((own_west, own_east), (own_south, own_north)) = square.edges();
    let useless = |(right, up): (i64, i64)| {
        bits >= 2
            && (up < 0 && own_south < south
                || up > 0 && own_north > north
                || right < 0 && own_west < west
                || right > 0 && own_east > east)
    };
    let mut last: Option<Square> = None;
    let mut found = Vec::new();
    for (i, step) in AROUND.into_iter().enumerate().filter(|(_, step)| !useless(*step)) {
        let beside = square.beside(step);
        // On a map of few squares neighbours can be the same one.
        if last != Some(beside) {
            found.push(beside.scores());
            last = (i > 0).then_some(beside);
        }
    }
    found
}

/// How fine a map must be so that a square and those around it hold a circle: as Redis estimates it.
fn precision(radius: f64, latitude: f64) -> u32 {
    const HALF_MERCATOR: f64 = 20_037_726.37;
    if radius == 0.0 {
        return BITS;
    }
    let (mut bits, mut reach) = (1_i32, radius);
    while reach < HALF_MERCATOR {
        reach *= 2.0;
        bits += 1;
    }
    bits -= 2;
    if latitude.abs() > 66.0 {
        bits -= 1;
    }
    if latitude.abs() > 80.0 {
        bits -= 1;
    }
    bits.clamp(1, BITS.cast_signed()).cast_unsigned()
}

/// West, south, east and north of what is around a shape.
fn bounds(shape: Shape, (longitude, latitude): (f64, f64)) -> (f64, f64, f64, f64) {
    const DEGREE: f64 = std::f64::consts::PI / 180.0;
    let (width, height) = shape.halves();
    let up = height / EARTH / DEGREE;
    let across = |latitude: f64| width / EARTH / (latitude * DEGREE).cos() / DEGREE;
    let aside = if latitude < 0.0 { across(latitude - up) } else { across(latitude + up) };
    (longitude - aside, latitude - up, longitude + aside, latitude + up)
}
