//! Places as members of a sorted set: GEOADD GEOPOS GEODIST GEOHASH. The score is the 52-bit geohash.

use super::zset::{AddOptions, add_scored};
use super::{Context, Refusal, Reply, error};
use crate::keyspace::float;

type Outcome = Result<Reply, Refusal>;

/// What Web Mercator can show, which is what Redis takes.
const LONGITUDE: (f64, f64) = (-180.0, 180.0);
const LATITUDE: (f64, f64) = (-85.051_128_78, 85.051_128_78);
/// Bits of each coordinate in a score.
const BITS: u32 = 26;
/// The radius of the earth as Redis has it, in metres.
const EARTH: f64 = 6_372_797.560_856;
const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";

/// `GEOADD key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]`
pub(super) fn geoadd(cx: &mut Context<'_>) -> Outcome {
    let mut options = AddOptions::default();
    let mut at = 2;
    loop {
        match cx.arg(at).to_ascii_lowercase().as_slice() {
            b"nx" => options.nx = true,
            b"xx" => options.xx = true,
            b"ch" => options.changed = true,
            _ => break,
        }
        at += 1;
    }
    let places = cx.rest(at).chunks_exact(3);
    if !places.remainder().is_empty() || places.len() == 0 || options.nx && options.xx {
        return Err(Refusal::Syntax);
    }
    let mut scored = Vec::with_capacity(places.len());
    for place in places {
        let [longitude, latitude, member] = place else { continue };
        let number = |text: &[u8]| {
            float::parse(text).ok_or(Refusal::Plain("ERR value is not a valid float"))
        };
        let (longitude, latitude) = (number(longitude)?, number(latitude)?);
        let within = |(low, high): (f64, f64), value: f64| (low..=high).contains(&value);
        if !within(LONGITUDE, longitude) || !within(LATITUDE, latitude) {
            return Ok(error(&format!(
                "ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}"
            )));
        }
        let bits = interleave(part(LATITUDE, latitude), part(LONGITUDE, longitude));
        scored.push((bits as f64, *member));
    }
    add_scored(cx, options, &scored)
}

/// `GEOPOS key [member ...]`
pub(super) fn geopos(cx: &mut Context<'_>) -> Outcome {
    let zset = cx.zset(cx.arg(1))?;
    let place = |member: &&[u8]| {
        let score = zset.and_then(|zset| zset.score(member));
        score.map_or(Reply::NullArray, |score| {
            let (longitude, latitude) = position(score);
            let spelled =
                |value: f64| Reply::Decimal(float::trimmed(&format!("{value:.17}")).to_owned());
            Reply::Array(vec![spelled(longitude), spelled(latitude)])
        })
    };
    Ok(Reply::Array(cx.rest(2).iter().map(place).collect()))
}

/// `GEODIST key member1 member2 [M | KM | FT | MI]`
pub(super) fn geodist(cx: &mut Context<'_>) -> Outcome {
    let unit = match cx.rest(4) {
        [] => 1.0,
        [unit] => match unit.to_ascii_lowercase().as_slice() {
            b"m" => 1.0,
            b"km" => 1000.0,
            b"ft" => 0.3048,
            b"mi" => 1609.34,
            _ => {
                return Err(Refusal::Plain(
                    "ERR unsupported unit provided. please use M, KM, FT, MI",
                ));
            }
        },
        _ => return Err(Refusal::Syntax),
    };
    let zset = cx.zset(cx.arg(1))?;
    let place = |member: &[u8]| zset.and_then(|zset| zset.score(member)).map(position);
    let (Some(from), Some(to)) = (place(cx.arg(2)), place(cx.arg(3))) else {
        return Ok(Reply::Null);
    };
    Ok(Reply::bulk(format!("{:.4}", distance(from, to) / unit).as_bytes()))
}

/// `GEOHASH key [member ...]`
pub(super) fn geohash(cx: &mut Context<'_>) -> Outcome {
    let zset = cx.zset(cx.arg(1))?;
    let hash = |member: &&[u8]| {
        let score = zset.and_then(|zset| zset.score(member));
        score.map_or(Reply::Null, |score| Reply::bulk(&standard_hash(score)))
    };
    Ok(Reply::Array(cx.rest(2).iter().map(hash).collect()))
}

/// The eleven letters by which others know a place: the whole globe is the square, not Mercator's.
fn standard_hash(score: f64) -> Vec<u8> {
    let (longitude, latitude) = position(score);
    let bits = interleave(part((-90.0, 90.0), latitude), part(LONGITUDE, longitude));
    let letter = |i: u32| {
        // The last letter has two bits left, which Redis leaves out.
        let index = if i == 10 { 0 } else { bits >> (2 * BITS - (i + 1) * 5) & 31 };
        ALPHABET[index as usize % 32]
    };
    (0..11).map(letter).collect()
}

/// Which of 2^26 parts of a range a coordinate is in; its very end is in one behind the last.
fn part((low, high): (f64, f64), value: f64) -> u64 {
    ((value - low) / (high - low) * f64::from(1_u32 << BITS)) as u64
}

/// The bits of two numbers by turns, the first one's lowest.
fn interleave(even: u64, odd: u64) -> u64 {
    (0..32).fold(0, |bits, i| bits | (even >> i & 1) << (2 * i) | (odd >> i & 1) << (2 * i + 1))
}

/// Longitude and latitude of the middle of a score's square.
fn position(score: f64) -> (f64, f64) {
    let bits = score as u64;
    let every_other = |from: u32| (0..32).fold(0, |n, i| n | (bits >> (2 * i + from) & 1) << i);
    let middle = |(low, high): (f64, f64), part: u64| {
        let edge = |part: u64| low + part as f64 / f64::from(1_u32 << BITS) * (high - low);
        ((edge(part) + edge(part + 1)) / 2.0).clamp(low, high)
    };
    (middle(LONGITUDE, every_other(1)), middle(LATITUDE, every_other(0)))
}

/// Metres between two places, over the sphere.
fn distance(from: (f64, f64), to: (f64, f64)) -> f64 {
    let (lon1, lat1) = (from.0.to_radians(), from.1.to_radians());
    let (lon2, lat2) = (to.0.to_radians(), to.1.to_radians());
    let (u, v) = (((lat2 - lat1) / 2.0).sin(), ((lon2 - lon1) / 2.0).sin());
    2.0 * EARTH * (u * u + lat1.cos() * lat2.cos() * v * v).sqrt().asin()
}
