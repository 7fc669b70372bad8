//! Places as members of a sorted set: GEOADD GEOPOS GEODIST GEOHASH, and the searches. The score is the
//! 52-bit geohash.

mod area;
mod search;

pub(super) use search::{
    georadius, georadius_ro, georadiusbymember, georadiusbymember_ro, geosearch, geosearchstore,
};

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
        let (longitude, latitude) = match coordinates(longitude, latitude)? {
            Ok(place) => place,
            Err(outside) => return Ok(outside),
        };
        let bits = interleave(part(LATITUDE, latitude, BITS), part(LONGITUDE, longitude, BITS));
        scored.push((bits as f64, *member));
    }
    add_scored(cx, options, &scored)
}

/// Two arguments as a place, or the error for one that is on no map.
fn coordinates(longitude: &[u8], latitude: &[u8]) -> Result<Result<(f64, f64), Reply>, Refusal> {
    let longitude = float::parse(longitude).ok_or(Refusal::NotFloat)?;
    let latitude = float::parse(latitude).ok_or(Refusal::NotFloat)?;
    let within = |(low, high): (f64, f64), value: f64| (low..=high).contains(&value);
    if within(LONGITUDE, longitude) && within(LATITUDE, latitude) {
        return Ok(Ok((longitude, latitude)));
    }
    Ok(Err(error(&format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}"))))
}

/// How many metres a unit has.
fn unit(text: &[u8]) -> Result<f64, Refusal> {
    match text.to_ascii_lowercase().as_slice() {
        b"m" => Ok(1.0),
        b"km" => Ok(1000.0),
        b"ft" => Ok(0.3048),
        b"mi" => Ok(1609.34),
        _ => Err(Refusal::Plain("ERR unsupported unit provided. please use M, KM, FT, MI")),
    }
}

/// A distance with four decimals.
fn spelled(distance: f64) -> Reply {
    let units = (distance * 10_000.0).round_ties_even() as i128;
    Reply::Bulk(format!("{}.{:04}", units / 10_000, units % 10_000).into_bytes())
}

fn on_map(score: f64) -> Reply {
    let (longitude, latitude) = position(score);
    let spelled = |value: f64| Reply::Decimal(float::trimmed(&format!("{value:.17}")).to_owned());
    Reply::Array(vec![spelled(longitude), spelled(latitude)])
}

/// `GEOPOS key [member ...]`
pub(super) fn geopos(cx: &mut Context<'_>) -> Outcome {
    let zset = cx.zset(cx.arg(1))?;
    let place = |member: &&[u8]| {
        let score = zset.and_then(|zset| zset.score(member));
        score.map_or(Reply::NullArray, on_map)
    };
    Ok(Reply::Array(cx.rest(2).iter().map(place).collect()))
}

/// `GEODIST key member1 member2 [M | KM | FT | MI]`
pub(super) fn geodist(cx: &mut Context<'_>) -> Outcome {
    let unit = match cx.rest(4) {
        [] => 1.0,
        [name] => self::unit(name)?,
        _ => return Err(Refusal::Syntax),
    };
    let zset = cx.zset(cx.arg(1))?;
    let place = |member: &[u8]| zset.and_then(|zset| zset.score(member)).map(position);
    let (Some(from), Some(to)) = (place(cx.arg(2)), place(cx.arg(3))) else {
        return Ok(Reply::Null);
    };
    Ok(spelled(distance(from, to) / unit))
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
    let bits = interleave(part((-90.0, 90.0), latitude, BITS), part(LONGITUDE, longitude, BITS));
    let letter = |i: u32| {
        // The last letter has two bits left, which Redis leaves out.
        let index = if i == 10 { 0 } else { bits >> (2 * BITS - (i + 1) * 5) & 31 };
        ALPHABET[index as usize % 32]
    };
    (0..11).map(letter).collect()
}

/// Which of 2^`bits` parts of a range a coordinate is in; its very end is in one behind the last.
fn part((low, high): (f64, f64), value: f64, bits: u32) -> u64 {
    ((value - low) / (high - low) * f64::from(1_u32 << bits)) as u64
}

/// Where a part of a range begins and ends.
fn edges((low, high): (f64, f64), part: u64, bits: u32) -> (f64, f64) {
    let edge = |part: u64| low + part as f64 / f64::from(1_u32 << bits) * (high - low);
    (edge(part), edge(part + 1))
}

/// The bits of two numbers by turns, the first one's lowest.
fn interleave(even: u64, odd: u64) -> u64 {
    (0..32).fold(0, |bits, i| bits | (even >> i & 1) << (2 * i) | (odd >> i & 1) << (2 * i + 1))
}

/// Longitude and latitude of the middle of a score's square.
fn position(score: f64) -> (f64, f64) {
    let bits = score as u64;
    let every_other = |from: u32| (0..32).fold(0, |n, i| n | (bits >> (2 * i + from) & 1) << i);
    let middle = |range: (f64, f64), part: u64| {
        let (from, to) = edges(range, part, BITS);
        ((from + to) / 2.0).clamp(range.0, range.1)
    };
    (middle(LONGITUDE, every_other(1)), middle(LATITUDE, every_other(0)))
}

/// Metres between two places, over the sphere.
fn distance(from: (f64, f64), to: (f64, f64)) -> f64 {
    let (lon1, lat1) = (from.0.to_radians(), from.1.to_radians());
    let (lon2, lat2) = (to.0.to_radians(), to.1.to_radians());
    let (u, v) = (((lat2 - lat1) / 2.0).sin(), ((lon2 - lon1) / 2.0).sin());
    if v == 0.0 {
        return along_meridian(from.1, to.1);
    }
    2.0 * EARTH * (u * u + lat1.cos() * lat2.cos() * v * v).sqrt().min(1.0).asin()
}

/// Metres between two latitudes.
fn along_meridian(from: f64, to: f64) -> f64 {
    EARTH * (to.to_radians() - from.to_radians()).abs()
}
