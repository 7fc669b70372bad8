//! GEOSEARCH GEOSEARCHSTORE GEORADIUS GEORADIUSBYMEMBER and those that only read

use super::area::{Shape, scores};
use super::{Outcome, coordinates, on_map, position, spelled, unit};
use crate::keyspace::command::number::integer;
use crate::keyspace::command::zrange::store;
use crate::keyspace::command::{Context, QUOTED, Refusal, Reply, count, error, quote};
use crate::keyspace::float;
use crate::keyspace::zset::ZSet;

const NO_MEMBER: Refusal = Refusal::Plain("ERR could not decode requested zset member");

/// Which of the commands it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// GEOSEARCH: what is searched stands among the options.
    Search,
    SearchStore,
    /// GEORADIUS: centre and radius stand first.
    Radius {
        by_member: bool,
        stores: bool,
    },
}

/// What a search is asked for.
#[derive(Default)]
struct Asked<'a> {
    middle: Option<(f64, f64)>,
    /// Set where the member's key is not there, too.
    from_member: bool,
    /// The shape in metres, and how many metres its unit has.
    shape: Option<(Shape, f64)>,
    with_distance: bool,
    with_hash: bool,
    with_place: bool,
    any: bool,
    descending: Option<bool>,
    count: usize,
    target: Option<&'a [u8]>,
    /// Whether distances are stored instead of places.
    stores_distance: bool,
}

/// `GEOSEARCH key FROMMEMBER member | FROMLONLAT longitude latitude BYRADIUS radius unit |
/// BYBOX width height unit [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]`
pub(in super::super) fn geosearch(cx: &mut Context<'_>) -> Outcome {
    search(cx, Kind::Search)
}

/// `GEOSEARCHSTORE destination source ... [STOREDIST]`
pub(in super::super) fn geosearchstore(cx: &mut Context<'_>) -> Outcome {
    search(cx, Kind::SearchStore)
}

/// `GEORADIUS key longitude latitude radius unit [options] [STORE key | STOREDIST key]`
pub(in super::super) fn georadius(cx: &mut Context<'_>) -> Outcome {
    search(cx, Kind::Radius { by_member: false, stores: true })
}

/// `GEORADIUS_RO key longitude latitude radius unit [options]`
pub(in super::super) fn georadius_ro(cx: &mut Context<'_>) -> Outcome {
    search(cx, Kind::Radius { by_member: false, stores: false })
}

/// `GEORADIUSBYMEMBER key member radius unit [options] [STORE key | STOREDIST key]`
pub(in super::super) fn georadiusbymember(cx: &mut Context<'_>) -> Outcome {
    search(cx, Kind::Radius { by_member: true, stores: true })
}

/// `GEORADIUSBYMEMBER_RO key member radius unit [options]`
pub(in super::super) fn georadiusbymember_ro(cx: &mut Context<'_>) -> Outcome {
    search(cx, Kind::Radius { by_member: true, stores: false })
}

/// A length of some unit in metres, and the metres of the unit.
fn radius(length: &[u8], name: &[u8]) -> Result<(Shape, f64), Refusal> {
    let length = float::parse(length).ok_or(Refusal::Plain("ERR need numeric radius"))?;
    if length < 0.0 {
        return Err(Refusal::Plain("ERR radius cannot be negative"));
    }
    let unit = unit(name)?;
    Ok((Shape::Circle(length * unit), unit))
}

fn rectangle(width: &[u8], height: &[u8], name: &[u8]) -> Result<(Shape, f64), Refusal> {
    let width = float::parse(width).ok_or(Refusal::Plain("ERR need numeric width"))?;
    let height = float::parse(height).ok_or(Refusal::Plain("ERR need numeric height"))?;
    if width < 0.0 || height < 0.0 {
        return Err(Refusal::Plain("ERR height or width cannot be negative"));
    }
    let unit = unit(name)?;
    Ok((Shape::Box(width * unit, height * unit), unit))
}

fn place_of(zset: &ZSet, member: &[u8]) -> Result<(f64, f64), Refusal> {
    zset.score(member).map(position).ok_or(NO_MEMBER)
}

impl<'a> Asked<'a> {
    /// Reads a command; an error that quotes what was sent comes as a reply.
    fn read(
        cx: &Context<'a>,
        kind: Kind,
        zset: Option<&ZSet>,
    ) -> Result<Result<Asked<'a>, Reply>, Refusal> {
        let mut asked = Asked::default();
        let options = match kind {
            Kind::Search => 2,
            Kind::SearchStore => {
                asked.target = Some(cx.arg(1));
                3
            }
            Kind::Radius { by_member: false, .. } => {
                asked.middle = match coordinates(cx.arg(2), cx.arg(3))? {
                    Ok(place) => Some(place),
                    Err(outside) => return Ok(Err(outside)),
                };
                asked.shape = Some(radius(cx.arg(4), cx.arg(5))?);
                6
            }
            Kind::Radius { by_member: true, .. } => {
                if let Some(zset) = zset {
                    asked.middle = Some(place_of(zset, cx.arg(2))?);
                    asked.shape = Some(radius(cx.arg(3), cx.arg(4))?);
                }
                5
            }
        };
        let mut rest = cx.rest(options);
        while !rest.is_empty() {
            rest = match asked.option(kind, zset, rest)? {
                Ok(rest) => rest,
                Err(outside) => return Ok(Err(outside)),
            };
        }
        Ok(match asked.conflict(kind, cx.arg(0)) {
            None => Ok(asked),
            Some(text) => Err(error(&text)),
        })
    }

    /// Reads one option; gives what stands behind it.
    fn option(
        &mut self,
        kind: Kind,
        zset: Option<&ZSet>,
        rest: &'a [&'a [u8]],
    ) -> Result<Result<&'a [&'a [u8]], Reply>, Refusal> {
        let searches = matches!(kind, Kind::Search | Kind::SearchStore);
        let stores = matches!(kind, Kind::Radius { stores: true, .. });
        let Some((option, more)) = rest.split_first() else { return Ok(Ok(rest)) };
        match (option.to_ascii_lowercase().as_slice(), more) {
            (b"withdist", _) => self.with_distance = true,
            (b"withhash", _) => self.with_hash = true,
            (b"withcoord", _) => self.with_place = true,
            (b"any", _) => self.any = true,
            (b"asc", _) => self.descending = Some(false),
            (b"desc", _) => self.descending = Some(true),
            (b"count", [text, more @ ..]) => {
                let count = usize::try_from(integer(text)?).unwrap_or(0);
                if count == 0 {
                    return Err(Refusal::Plain("ERR COUNT must be > 0"));
                }
                self.count = count;
                return Ok(Ok(more));
            }
            (name @ (b"store" | b"storedist"), [key, more @ ..]) if stores => {
                self.target = Some(key);
                self.stores_distance = name == b"storedist";
                return Ok(Ok(more));
            }
            (b"storedist", _) if kind == Kind::SearchStore => self.stores_distance = true,
            (b"frommember", [member, more @ ..])
                if searches && (self.from_member || self.middle.is_none()) =>
            {
                self.from_member = true;
                if let Some(zset) = zset {
                    self.middle = Some(place_of(zset, member)?);
                }
                return Ok(Ok(more));
            }
            (b"fromlonlat", [longitude, latitude, more @ ..]) if searches && !self.from_member => {
                match coordinates(longitude, latitude)? {
                    Ok(place) => self.middle = Some(place),
                    Err(outside) => return Ok(Err(outside)),
                }
                return Ok(Ok(more));
            }
            (b"byradius", [length, name, more @ ..])
                if searches && !matches!(self.shape, Some((Shape::Box(..), _))) =>
            {
                self.shape = Some(radius(length, name)?);
                return Ok(Ok(more));
            }
            (b"bybox", [width, height, name, more @ ..])
                if searches && !matches!(self.shape, Some((Shape::Circle(_), _))) =>
            {
                self.shape = Some(rectangle(width, height, name)?);
                return Ok(Ok(more));
            }
            _ => return Err(Refusal::Syntax),
        }
        Ok(Ok(more))
    }

    /// What does not go together, in Redis's words.
    fn conflict(&self, kind: Kind, name: &[u8]) -> Option<String> {
        let name = quote(name, QUOTED);
        let searches = matches!(kind, Kind::Search | Kind::SearchStore);
        if self.target.is_some() && (self.with_distance || self.with_hash || self.with_place) {
            let who = match kind {
                Kind::SearchStore => "GEOSEARCHSTORE",
                _ => "STORE option in GEORADIUS",
            };
            return Some(format!(
                "ERR {who} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            ));
        }
        if searches && self.middle.is_none() && !self.from_member {
            return Some(format!(
                "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {name}"
            ));
        }
        if searches && self.shape.is_none() {
            return Some(format!(
                "ERR exactly one of BYRADIUS and BYBOX can be specified for {name}"
            ));
        }
        let alone = self.any && self.count == 0;
        alone.then(|| "ERR the ANY argument requires COUNT argument".to_owned())
    }
}

/// A member that was found.
struct Found<'a> {
    member: &'a [u8],
    score: f64,
    distance: f64,
}

fn search(cx: &mut Context<'_>, kind: Kind) -> Outcome {
    let source = if kind == Kind::SearchStore { cx.arg(2) } else { cx.arg(1) };
    let zset = cx.zset(source)?.map(|zset| &**zset);
    let asked = match Asked::read(cx, kind, zset)? {
        Ok(asked) => asked,
        Err(reply) => return Ok(reply),
    };
    let wanted = zset.zip(asked.middle).zip(asked.shape);
    let found = match wanted {
        Some(((zset, middle), (shape, _))) => found(zset, middle, shape, &asked),
        None => Vec::new(),
    };
    let metres = asked.shape.map_or(1.0, |(_, metres)| metres);
    let Some(target) = asked.target else {
        return Ok(Reply::Array(found.iter().map(|one| shown(one, &asked, metres)).collect()));
    };
    let score = |one: &Found<'_>| {
        if asked.stores_distance { one.distance / metres } else { one.score }
    };
    let members: Vec<(f64, &[u8])> = found.iter().map(|one| (score(one), one.member)).collect();
    store(cx, target, &members);
    Ok(count(members.len()))
}

fn found<'a>(
    zset: &'a ZSet,
    middle: (f64, f64),
    shape: Shape,
    asked: &Asked<'_>,
) -> Vec<Found<'a>> {
    let enough = if asked.any { asked.count } else { usize::MAX };
    let mut found = Vec::new();
    for (low, high) in scores(shape, middle) {
        let start = zset.position(|(score, _)| *score < low);
        let end = zset.position(|(score, _)| *score < high);
        for (score, member) in zset.range(start, end.saturating_sub(start)) {
            if found.len() >= enough {
                break;
            }
            if let Some(distance) = shape.holds(middle, position(*score)) {
                found.push(Found { member, score: *score, distance });
            }
        }
    }
    // The nearest come first where only some are wanted and nothing is said.
    let descending = asked.descending.or((asked.count > 0 && !asked.any).then_some(false));
    match descending {
        Some(false) => found.sort_by(|a, b| a.distance.total_cmp(&b.distance)),
        Some(true) => found.sort_by(|a, b| b.distance.total_cmp(&a.distance)),
        None => {}
    }
    if asked.count > 0 {
        found.truncate(asked.count);
    }
    found
}

fn shown(one: &Found<'_>, asked: &Asked<'_>, metres: f64) -> Reply {
    let member = Reply::bulk(one.member);
    if !(asked.with_distance || asked.with_hash || asked.with_place) {
        return member;
    }
    let mut parts = vec![member];
    parts.extend(asked.with_distance.then(|| spelled(one.distance / metres)));
    parts.extend(asked.with_hash.then_some(Reply::Integer(one.score as i64)));
    parts.extend(asked.with_place.then(|| on_map(one.score)));
    Reply::Array(parts)
}
