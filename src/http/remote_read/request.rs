//! A read request: queries, each a time range and matchers, and the kinds of response the reader takes.

use ringwell_storage::model::{MatchOp, Matcher, TimeRange};

use crate::ingest::protobuf::{Field, Malformed, Message};

/// Queries of one request; readers send one.
const MAX_QUERIES: usize = 1000;
/// Matchers of one query, as many as PromQL takes.
const MAX_MATCHERS: usize = 1000;

/// What is asked for.
#[derive(Debug, Default)]
pub(super) struct ReadRequest {
    pub(super) queries: Vec<Query>,
    accepted: Vec<u64>,
}

/// Series of a time range.
#[derive(Debug)]
pub(super) struct Query {
    /// `None` = the range is inverted, so nothing lies in it.
    pub(super) range: Option<TimeRange>,
    pub(super) matchers: Vec<Matcher>,
}

/// How the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResponseKind {
    /// Everything in one message.
    Samples,
    /// One series a frame, its samples in Prometheus's chunks.
    Chunks,
}

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error("protobuf: {0}")]
    Protobuf(#[from] Malformed),
    #[error(transparent)]
    Matcher(#[from] ringwell_storage::model::MatcherError),
    #[error("byte {at}: a text that is not UTF-8")]
    Text { at: usize },
    #[error("unknown type {0} of a matcher")]
    MatcherType(u64),
    #[error("more than {max} {what} in one request")]
    TooMany { what: &'static str, max: usize },
    #[error(
        "none of the response types {0:?} is known here, only 0 (samples) and 1 (streamed chunks)"
    )]
    NotAcceptable(Vec<u64>),
}

impl ReadRequest {
    /// Walks a decompressed request.
    pub(super) fn read(message: &[u8]) -> Result<ReadRequest, RequestError> {
        let mut request = ReadRequest::default();
        let mut fields = Message::new(message);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => {
                    room(request.queries.len(), MAX_QUERIES, "queries")?;
                    request.queries.push(query(&field)?);
                }
                2 => field.uints(&mut request.accepted)?,
                _ => {}
            }
        }
        Ok(request)
    }

    /// The first kind the reader names that is known; who names none wants samples.
    pub(super) fn response_kind(&self) -> Result<ResponseKind, RequestError> {
        let known = |number: &u64| match number {
            0 => Some(ResponseKind::Samples),
            1 => Some(ResponseKind::Chunks),
            _ => None,
        };
        match self.accepted.iter().find_map(known) {
            None if self.accepted.is_empty() => Ok(ResponseKind::Samples),
            found => found.ok_or_else(|| RequestError::NotAcceptable(self.accepted.clone())),
        }
    }
}

fn room(taken: usize, max: usize, what: &'static str) -> Result<(), RequestError> {
    if taken < max { Ok(()) } else { Err(RequestError::TooMany { what, max }) }
}

/// Hints are passed over: what they would save is not read here in the first place.
fn query(field: &Field<'_>) -> Result<Query, RequestError> {
    let (mut start, mut end, mut matchers) = (0, 0, Vec::new());
    let mut fields = field.message()?;
    while let Some(field) = fields.next()? {
        match field.number {
            1 => start = field.int64()?,
            2 => end = field.int64()?,
            3 => {
                room(matchers.len(), MAX_MATCHERS, "matchers")?;
                matchers.push(matcher(&field)?);
            }
            _ => {}
        }
    }
    Ok(Query { range: TimeRange::new(start, end), matchers })
}

fn matcher(field: &Field<'_>) -> Result<Matcher, RequestError> {
    let (mut op, mut name, mut value) = (MatchOp::Equal, "", "");
    let mut fields = field.message()?;
    while let Some(field) = fields.next()? {
        match field.number {
            1 => {
                op = match field.uint64()? {
                    0 => MatchOp::Equal,
                    1 => MatchOp::NotEqual,
                    2 => MatchOp::Regex,
                    3 => MatchOp::NotRegex,
                    other => return Err(RequestError::MatcherType(other)),
                }
            }
            2 => name = text(&field)?,
            3 => value = text(&field)?,
            _ => {}
        }
    }
    Ok(Matcher::new(op, name, value)?)
}

fn text<'a>(field: &Field<'a>) -> Result<&'a str, RequestError> {
    std::str::from_utf8(field.bytes()?).map_err(|_| RequestError::Text { at: field.at })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(field: u8, parts: &[&[u8]]) -> Vec<u8> {
        let inside = parts.concat();
        [&[field << 3 | 2, inside.len() as u8], &inside[..]].concat()
    }

    /// `{job=~"a|b", x!="1"}` from 5 to 9 with hints, and both kinds of response, packed.
    fn request() -> Vec<u8> {
        let job = block(3, &[&[8, 2], &block(2, &[b"job"]), &block(3, &[b"a|b"])]);
        let x = block(3, &[&[8, 1], &block(2, &[b"x"]), &block(3, &[b"1"])]);
        let query = block(1, &[&[8, 5, 16, 9], &job, &x, &block(4, &[&[8, 1]])]);
        [query, block(2, &[&[1, 0]])].concat()
    }

    #[test]
    fn a_request_is_read() {
        let request = ReadRequest::read(&request()).unwrap();
        assert_eq!(request.response_kind().unwrap(), ResponseKind::Chunks);
        let query = &request.queries[0];
        assert_eq!(query.range, TimeRange::new(5, 9));
        let spelled: Vec<String> = query.matchers.iter().map(ToString::to_string).collect();
        assert_eq!(spelled, ["job=~\"a|b\"", "x!=\"1\""]);
    }

    #[test]
    fn no_damage_panics() {
        let request = request();
        for end in 0..request.len() {
            let _ = ReadRequest::read(&request[..end]);
        }
        for at in 0..request.len() {
            for value in 0..=255 {
                let mut bytes = request.clone();
                bytes[at] = value;
                let _ = ReadRequest::read(&bytes);
            }
        }
    }

    #[test]
    fn the_first_known_kind_is_taken() {
        for (accepted, kind) in [
            (&[][..], Some(ResponseKind::Samples)),
            (&[0, 1], Some(ResponseKind::Samples)),
            (&[7, 1, 0], Some(ResponseKind::Chunks)),
            (&[7], None),
        ] {
            let request = ReadRequest { queries: Vec::new(), accepted: accepted.to_vec() };
            assert_eq!(request.response_kind().ok(), kind, "{accepted:?}");
        }
    }
}
