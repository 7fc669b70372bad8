//! `/api/v1/query_panel`: a range for a chart. There is no wall of 11,000 points: the range is
//! evaluated at the step that is asked for, and each series is reduced to the extremes of every
//! pixel, so that no spike is lost however wide the range is.

use std::sync::Arc;

use axum::response::Response;
use ringwell_query::{AnswerValue, Detail, When};

use super::error::ApiError;
use super::params::Params;
use super::query::{Asked, run};
use super::{State, json};

/// A chart is this wide where the request says nothing, and never wider than the second.
const WIDTH: i64 = 1000;
const MAX_WIDTH: i64 = 20_000;

pub(super) async fn panel(state: State, params: Params) -> Result<Response, ApiError> {
    let start = params.time("start")?;
    let end = params.time("end")?;
    if end < start {
        return Err(ApiError::parameter("end", "end timestamp must not be before start time"));
    }
    let width = width(params.get("width"))?;
    let step = match params.optional_duration("step")? {
        Some(step) if step > 0 => step,
        Some(_) => return Err(ApiError::parameter("step", "must be greater than 0")),
        // Two points a pixel.
        None => ((end - start) / (2 * width)).max(1),
    };
    let asked = Asked {
        text: params.get("query").to_owned(),
        when: When::Range { start, end, step },
        lookback: params.optional_duration("lookback_delta")?.filter(|ms| *ms > 0),
        timeout: params.timeout(state.config.limits.query_time)?,
        detail: Detail::default(),
    };
    let mut answer = run(&state, asked).await?;
    if let AnswerValue::Matrix(series) = &mut answer.value {
        for series in series {
            series.floats = reduced(&series.floats, start, end, width, |point| point.1);
            let size = |point: &(i64, Arc<_>)| count(&point.1);
            series.histograms = reduced(&series.histograms, start, end, width, size);
        }
    }
    Ok(json::answered(&answer, None))
}

fn count(histogram: &ringwell_storage::model::Histogram) -> f64 {
    histogram.count()
}

fn width(text: &str) -> Result<i64, ApiError> {
    if text.is_empty() {
        return Ok(WIDTH);
    }
    match text.parse::<i64>() {
        Ok(width) if (1..=MAX_WIDTH).contains(&width) => Ok(width),
        _ => Err(ApiError::parameter("width", format!("must be from 1 to {MAX_WIDTH} pixels"))),
    }
}

/// Of each pixel the smallest and the largest point, in order of time. NaN yields to numbers.
fn reduced<P: Clone>(
    points: &[(i64, P)],
    start: i64,
    end: i64,
    width: i64,
    size: impl Fn(&(i64, P)) -> f64,
) -> Vec<(i64, P)> {
    let span = end.saturating_sub(start).max(1);
    if points.len() as i64 <= 2 * width {
        return points.to_vec();
    }
    let pixel = |t: i64| (i128::from(t - start) * i128::from(width) / i128::from(span)) as i64;
    let mut out = Vec::new();
    for pixel in points.chunk_by(|a, b| pixel(a.0) == pixel(b.0)) {
        let by_size = |a: &&(i64, P), b: &&(i64, P)| {
            size(a).is_nan().cmp(&size(b).is_nan()).then(size(a).total_cmp(&size(b)))
        };
        let numbers = pixel.iter().filter(|point| !size(point).is_nan());
        let smallest = pixel.iter().min_by(by_size);
        let largest = numbers.max_by(by_size).or(smallest);
        let (Some(a), Some(b)) = (smallest, largest) else { continue };
        let (first, second) = if a.0 <= b.0 { (a, b) } else { (b, a) };
        out.push(first.clone());
        if first.0 != second.0 {
            out.push(second.clone());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_of_every_pixel_stay() {
        let points: Vec<(i64, f64)> = (0..100_000)
            .map(|t| {
                (
                    t,
                    if t == 77_777 {
                        1e9
                    } else if t == 5 {
                        f64::NAN
                    } else {
                        (t % 7) as f64
                    },
                )
            })
            .collect();
        let out = reduced(&points, 0, 100_000, 100, |p| p.1);
        assert!(out.len() <= 202, "{}", out.len());
        assert!(out.is_sorted_by_key(|p| p.0));
        assert!(out.contains(&(77_777, 1e9)));
        assert!(out.iter().all(|p| !p.1.is_nan()));
        let few = [(0, f64::NAN), (1, 2.0)];
        assert_eq!(reduced(&few, 0, 10, 1, |p| p.1).len(), 2);
        let lost: Vec<_> = (0..10).map(|t| (t, f64::NAN)).collect();
        assert_eq!(reduced(&lost, 0, 10, 1, |p: &(i64, f64)| p.1).len(), 1);
    }
}
