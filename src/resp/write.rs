//! Spells replies in RESP2 and RESP3.

use ringwell_storage::keyspace::{Reply, spell_double as double};

/// Which spelling a connection asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// What every client speaks.
    #[default]
    Resp2,
    /// After `HELLO 3`: maps, sets, doubles, pushes.
    Resp3,
}

/// Appends a reply.
pub fn write(reply: &Reply, protocol: Protocol, out: &mut Vec<u8>) {
    let resp3 = protocol == Protocol::Resp3;
    match reply {
        Reply::Simple(text) => line(b'+', text.as_bytes(), out),
        Reply::Error(text) => line(b'-', text.as_bytes(), out),
        Reply::Integer(value) => head(b':', *value, out),
        Reply::Bulk(bytes) => bulk(bytes, out),
        Reply::Null | Reply::NullArray if resp3 => out.extend_from_slice(b"_\r\n"),
        Reply::Null => out.extend_from_slice(b"$-1\r\n"),
        Reply::NullArray => out.extend_from_slice(b"*-1\r\n"),
        Reply::Array(items) => items_of(b'*', items, protocol, out),
        Reply::Bulks(items) => {
            length(b'*', items.len(), out);
            out.extend_from_slice(items.spelled());
        }
        Reply::Map(pairs) => {
            let (kind, len) = if resp3 { (b'%', pairs.len()) } else { (b'*', pairs.len() * 2) };
            length(kind, len, out);
            for (name, value) in pairs {
                write(name, protocol, out);
                write(value, protocol, out);
            }
        }
        Reply::Pairs(pairs) => {
            length(b'*', if resp3 { pairs.len() } else { pairs.len() * 2 }, out);
            for (first, second) in pairs {
                if resp3 {
                    length(b'*', 2, out);
                }
                write(first, protocol, out);
                write(second, protocol, out);
            }
        }
        Reply::Keyed(pairs) => {
            length(if resp3 { b'%' } else { b'*' }, pairs.len(), out);
            for (key, value) in pairs {
                if !resp3 {
                    length(b'*', 2, out);
                }
                write(key, protocol, out);
                write(value, protocol, out);
            }
        }
        Reply::Set(items) => items_of(if resp3 { b'~' } else { b'*' }, items, protocol, out),
        Reply::Push(items) => items_of(if resp3 { b'>' } else { b'*' }, items, protocol, out),
        Reply::Double(value) if resp3 => line(b',', double(*value).as_bytes(), out),
        Reply::Double(value) => bulk(double(*value).as_bytes(), out),
        Reply::Decimal(digits) if resp3 => line(b',', digits.as_bytes(), out),
        Reply::Decimal(digits) => bulk(digits.as_bytes(), out),
        Reply::Boolean(value) if resp3 => line(b'#', if *value { b"t" } else { b"f" }, out),
        Reply::Boolean(value) => head(b':', i64::from(*value), out),
        Reply::Verbatim(text) if resp3 => {
            length(b'=', text.len() + 4, out);
            out.extend_from_slice(b"txt:");
            out.extend_from_slice(text.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        Reply::Verbatim(text) => bulk(text.as_bytes(), out),
    }
}

fn items_of(kind: u8, items: &[Reply], protocol: Protocol, out: &mut Vec<u8>) {
    length(kind, items.len(), out);
    items.iter().for_each(|item| write(item, protocol, out));
}

fn line(kind: u8, text: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

pub(super) fn bulk(bytes: &[u8], out: &mut Vec<u8>) {
    length(b'$', bytes.len(), out);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

pub(super) fn length(kind: u8, len: usize, out: &mut Vec<u8>) {
    head(kind, i64::try_from(len).unwrap_or(i64::MAX), out);
}

fn head(kind: u8, value: i64, out: &mut Vec<u8>) {
    if let Ok(digit @ 0..=9) = u8::try_from(value) {
        out.extend_from_slice(&[kind, b'0' + digit, b'\r', b'\n']);
        return;
    }
    // Every element of a range has one, and formatting costs more than the digits.
    out.push(kind);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes_of_both_protocols() {
        let text = |s: &str| Reply::bulk(s.as_bytes());
        let table: Vec<(Reply, &str, &str)> = vec![
            (Reply::OK, "+OK\r\n", "+OK\r\n"),
            (Reply::Error("ERR x".into()), "-ERR x\r\n", "-ERR x\r\n"),
            (Reply::Integer(-12), ":-12\r\n", ":-12\r\n"),
            (Reply::Integer(7), ":7\r\n", ":7\r\n"),
            (Reply::Integer(10), ":10\r\n", ":10\r\n"),
            (Reply::Integer(i64::MIN), ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"),
            (text(""), "$0\r\n\r\n", "$0\r\n\r\n"),
            (Reply::Null, "$-1\r\n", "_\r\n"),
            (Reply::NullArray, "*-1\r\n", "_\r\n"),
            (
                Reply::Array(vec![text("a"), Reply::Null]),
                "*2\r\n$1\r\na\r\n$-1\r\n",
                "*2\r\n$1\r\na\r\n_\r\n",
            ),
            (
                Reply::Bulks([&b"ab"[..], b""].into_iter().collect()),
                "*2\r\n$2\r\nab\r\n$0\r\n\r\n",
                "*2\r\n$2\r\nab\r\n$0\r\n\r\n",
            ),
            (
                Reply::Map(vec![(text("a"), Reply::Integer(1))]),
                "*2\r\n$1\r\na\r\n:1\r\n",
                "%1\r\n$1\r\na\r\n:1\r\n",
            ),
            (Reply::Set(vec![text("a")]), "*1\r\n$1\r\na\r\n", "~1\r\n$1\r\na\r\n"),
            (Reply::Push(vec![text("a")]), "*1\r\n$1\r\na\r\n", ">1\r\n$1\r\na\r\n"),
            (Reply::Double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n"),
            (Reply::Decimal("0.10".into()), "$4\r\n0.10\r\n", ",0.10\r\n"),
            (Reply::Boolean(true), ":1\r\n", "#t\r\n"),
            (Reply::Verbatim("hi".into()), "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"),
        ];
        for (reply, resp2, resp3) in table {
            for (protocol, expected) in [(Protocol::Resp2, resp2), (Protocol::Resp3, resp3)] {
                let mut out = Vec::new();
                write(&reply, protocol, &mut out);
                assert_eq!(out, expected.as_bytes(), "{reply:?} {protocol:?}");
            }
        }
    }
}
