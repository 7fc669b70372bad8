//! Mathematics the standard library spells otherwise.

/// -1, 0 or 1; NaN stays.
pub(crate) fn sgn(x: f64) -> f64 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        x
    }
}

pub(crate) fn asinh(x: f64) -> f64 {
    if x == 0.0 { x } else { x.asinh() }
}

pub(crate) fn acosh(x: f64) -> f64 {
    if x < 1.0 { f64::NAN } else { x.acosh() }
}

/// To the nearest multiple; halves go up.
pub(crate) fn round(x: f64, to: f64) -> f64 {
    // Inverting keeps results like 0.3 exact where multiplying would not.
    let inverse = 1.0 / to;
    (x * inverse + 0.5).floor() / inverse
}

/// Between bounds; a NaN bound makes all NaN.
pub(crate) fn clamp(x: f64, min: f64, max: f64) -> f64 {
    go_max(min, go_min(max, x))
}

/// The smaller; NaN if either is.
pub(crate) fn go_min(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

/// The larger; NaN if either is.
pub(crate) fn go_max(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}
