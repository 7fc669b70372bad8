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

/// The smaller as Go has it: nothing is below -Inf, not even NaN; else NaN if either is.
pub(crate) fn go_min(a: f64, b: f64) -> f64 {
    if a == f64::NEG_INFINITY || b == f64::NEG_INFINITY {
        f64::NEG_INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        a.min(b)
    }
}

/// The larger, the same way.
pub(crate) fn go_max(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        a.max(b)
    }
}

/// In this order of operations, as Prometheus has it: the last bit depends on it.
pub(crate) fn rad(degrees: f64) -> f64 {
    degrees * std::f64::consts::PI / 180.0
}

pub(crate) fn deg(radians: f64) -> f64 {
    radians * 180.0 / std::f64::consts::PI
}
