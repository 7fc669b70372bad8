//! Where windows lie among a series' samples. Series that were sampled together have the same times,
//! so what was found out for one holds for the next.

use super::range_call::Windows;
use crate::func::rate::{Kind, Layout};
use crate::value::Steps;

/// A window with samples in it.
pub(super) struct Place {
    pub(super) step: usize,
    pub(super) lo: usize,
    pub(super) hi: usize,
    /// How a change within it is stretched; none for less than two samples.
    pub(super) layout: Option<Layout>,
}

/// The windows over the times seen last.
#[derive(Default)]
pub(super) struct Laid {
    times: Vec<i64>,
    places: Vec<Place>,
}

impl Laid {
    /// The windows over these times. One query asks with the same windows and kind every time.
    pub(super) fn over(
        &mut self,
        times: &[i64],
        windows: &Windows,
        kind: Kind,
        steps: Steps,
    ) -> &[Place] {
        if self.times != times {
            self.times.clear();
            self.times.extend_from_slice(times);
            self.places.clear();
            let filled = windows.over(times, steps).filter(|bounds| bounds.lo < bounds.hi);
            self.places.extend(filled.map(|bounds| Place {
                step: bounds.step,
                lo: bounds.lo,
                hi: bounds.hi,
                layout: Layout::of(&bounds, times, kind),
            }));
        }
        &self.places
    }
}
