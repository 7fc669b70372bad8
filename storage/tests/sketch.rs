//! Sketches over values of six shapes: every quantile lies within its stated bound, and merging in any
//! order gives the same sketch. `RINGWELL_SKETCH_VALUES=10000000` is the long form.

use ringwell_storage::model::Sketch;

const QUANTILES: [f64; 13] =
    [0.0, 0.0001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.0];
const SHAPES: [&str; 6] = ["uniform", "normal", "lognormal", "exponential", "two peaks", "pareto"];
const PARTS: usize = 7;

struct Draw(u64);

impl Draw {
    /// In (0, 1].
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    fn value(&mut self, shape: &str) -> f64 {
        match shape {
            "uniform" => self.unit() * 1000.0,
            "normal" => self.normal() * 30.0,
            "lognormal" => (self.normal() * 1.5).exp(),
            "exponential" => -self.unit().ln() * 0.02,
            "two peaks" if self.unit() < 0.3 => -5.0 + self.normal() * 0.01,
            "two peaks" if self.unit() < 0.1 => 0.0,
            "two peaks" => 2e6 + self.normal() * 1e5,
            _ => self.unit().powf(-2.0) * 1e-9,
        }
    }
}

fn merged(parts: impl Iterator<Item = Sketch>, bits: u8) -> Sketch {
    parts.fold(Sketch::new(bits), |mut all, part| {
        all.merge(&part);
        all
    })
}

fn check(shape: &str, values: &mut [f64], bits: u8) {
    let mut whole = Sketch::new(bits);
    let mut parts = vec![Sketch::new(bits); PARTS];
    for (i, value) in values.iter().enumerate() {
        whole.record(*value);
        parts[i % PARTS].record(*value);
    }
    assert_eq!(merged(parts.iter().cloned(), bits), whole);
    assert_eq!(merged(parts.iter().rev().cloned(), bits), whole);
    let pairs = parts.chunks(2).map(|pair| merged(pair.iter().cloned(), bits));
    assert_eq!(merged(pairs, bits), whole);
    // A fine sketch merged into a coarse one is what the coarse one would have counted.
    let mut fine = Sketch::new(Sketch::FINE);
    values.iter().for_each(|value| fine.record(*value));
    assert_eq!(merged([fine].into_iter(), bits), whole);

    values.sort_by(f64::total_cmp);
    let n = values.len();
    for q in QUANTILES {
        let found = whole.quantile(q).expect("there are observations");
        let nearest = values[((q * n as f64).ceil() as usize).clamp(1, n) - 1];
        let between = q * (n - 1) as f64;
        let (low, high) = (values[between.floor() as usize], values[between.ceil() as usize]);
        for truth in [nearest, low, high] {
            let inside = found.lower <= truth && truth <= found.upper;
            assert!(inside, "{shape}, {bits} bits, {q}: {truth} is not in {found:?}");
        }
        assert!(found.lower <= found.value && found.value <= found.upper);
        let off = (found.value - nearest).abs();
        let allowed = nearest.abs() * 0.5_f64.powi(i32::from(bits)) * 0.500_001;
        assert!(off <= allowed, "{shape}, {bits} bits, {q}: {} is not {nearest}", found.value);
        assert_eq!(found.count, n as f64);
    }
}

#[test]
fn every_quantile_lies_within_its_bound_and_order_does_not_matter() {
    let total = std::env::var("RINGWELL_SKETCH_VALUES").ok().and_then(|v| v.parse().ok());
    let each = total.unwrap_or(60_000_usize) / SHAPES.len();
    let mut draw = Draw(0x5eed);
    for shape in SHAPES {
        let mut values: Vec<f64> = (0..each).map(|_| draw.value(shape)).collect();
        check(shape, &mut values, Sketch::FINE);
        check(shape, &mut values, Sketch::COARSE);
        check(shape, &mut values, 3);
    }
}

#[test]
fn what_is_no_ordinary_number_has_its_place() {
    let mut sketch = Sketch::new(Sketch::FINE);
    assert_eq!(sketch.quantile(0.5), None);
    for value in [f64::NAN, f64::INFINITY, -0.0, 0.0, f64::NEG_INFINITY, 5e-324, f64::MAX] {
        sketch.record(value);
    }
    assert_eq!((sketch.count(), sketch.nans()), (6, 1));
    let at = |q: f64| sketch.quantile(q).map(|found| (found.lower, found.upper));
    assert_eq!(at(0.0), Some((f64::NEG_INFINITY, f64::NEG_INFINITY)));
    assert_eq!(at(1.0), Some((f64::INFINITY, f64::INFINITY)));
    assert_eq!(at(0.2), Some((0.0, 0.0)));
    assert_eq!(at(1.5), None);
    let histogram = sketch.to_histogram();
    assert_eq!(histogram.count(), 6.0);
    assert_eq!(histogram.schema.number(), 1010);
}
