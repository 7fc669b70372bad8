//! A small HTTP/1.1 client for the command line and the tests: one request a connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

/// Largest answer that is read.
const MAX_ANSWER: u64 = 1 << 30;

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Header names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body, without its transfer coding.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// What an answer that is none says: the API's words, or the body.
    pub fn reason(&self) -> String {
        let json = serde_json::from_slice::<serde_json::Value>(&self.body).ok();
        let error = json.as_ref().and_then(|json| json.get("error")?.as_str());
        error.map_or_else(|| self.text().trim().to_owned(), str::to_owned)
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A node to ask, and the secret it asks for.
#[derive(Debug, Clone)]
pub struct Peer {
    authority: String,
    bearer: Option<String>,
}

impl Peer {
    /// The node at `http://host:port`, with the secret of a file or of `RINGWELL_AUTH_TOKEN`.
    pub fn of(url: &str, secret: Option<&Path>) -> anyhow::Result<Peer> {
        let authority = url
            .strip_prefix("http://")
            .with_context(|| format!("{url:?} is not an http:// address"))?
            .trim_end_matches('/');
        let secret = match secret {
            None => std::env::var("RINGWELL_AUTH_TOKEN").ok(),
            Some(path) => Some(
                std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read {}", path.display()))?,
            ),
        };
        let bearer = secret.map(|secret| format!("Bearer {}", secret.trim()));
        Ok(Peer { authority: authority.to_owned(), bearer })
    }

    /// `host:port`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// These headers, and the one with the secret.
    pub fn headers<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let secret = self.bearer.as_deref().map(|bearer| ("Authorization", bearer));
        more.iter().copied().chain(secret).collect()
    }
}

/// Sends one request to `authority` (`host:port`) and reads the whole answer. A `Host` header is
/// added unless one is given.
pub fn send(
    authority: &str,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(authority)?;
    stream.set_read_timeout(Some(Duration::from_secs(150)))?;
    let mut head = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head.push_str(&format!("Host: {authority}\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if method != "GET" || !body.is_empty() {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    // A server may refuse from the head alone and close; its answer still counts.
    let sent = stream.write_all(body);
    let mut whole = Vec::new();
    match read_answer(BufReader::new(stream), &mut whole, MAX_ANSWER) {
        Err(error) => sent.and(Err(error)),
        Ok(answer) => Ok(Answer { body: whole, ..answer }),
    }
}

/// Asks for what may be longer than memory: the body of a 200 goes to `out` as it comes, that of any other
/// answer into the answer. Trailers count as headers.
pub fn stream(
    authority: &str,
    target: &str,
    headers: &[(&str, &str)],
    out: &mut dyn Write,
) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(authority)?;
    let mut head = format!("GET {target} HTTP/1.1\r\nConnection: close\r\nHost: {authority}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("TE: trailers\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut stream = BufReader::new(stream);
    let answer = read_head(&mut stream)?;
    if answer.status == 200 {
        return read_body(stream, answer, out, u64::MAX);
    }
    let mut body = Vec::new();
    let answer = read_body(stream, answer, &mut body, MAX_ANSWER)?;
    Ok(Answer { body, ..answer })
}

fn read_answer(
    mut stream: BufReader<TcpStream>,
    out: &mut dyn Write,
    most: u64,
) -> io::Result<Answer> {
    let answer = read_head(&mut stream)?;
    read_body(stream, answer, out, most)
}

fn read_head(stream: &mut impl BufRead) -> io::Result<Answer> {
    let status_line = line(stream)?;
    let status = status_line
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| bad(format!("not an HTTP answer: {status_line:?}")))?;
    Ok(Answer { status, headers: fields(stream)?, body: Vec::new() })
}

/// Headers or trailers, up to the empty line.
fn fields(stream: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut fields = Vec::new();
    loop {
        let text = line(stream)?;
        if text.is_empty() {
            return Ok(fields);
        }
        let (name, value) =
            text.split_once(':').ok_or_else(|| bad(format!("not a header: {text:?}")))?;
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn read_body(
    mut stream: BufReader<TcpStream>,
    mut answer: Answer,
    out: &mut dyn Write,
    most: u64,
) -> io::Result<Answer> {
    match (answer.header("transfer-encoding"), answer.header("content-length")) {
        (Some(coding), _) if coding.eq_ignore_ascii_case("chunked") => {
            chunks(&mut stream, out, most)?;
            answer.headers.extend(fields(&mut stream)?);
        }
        (_, Some(length)) => {
            let length = length.parse().map_err(|_| bad("not a length".to_owned()))?;
            exactly(&mut stream, length, out, most)?;
        }
        _ => {
            io::copy(&mut stream.take(most), out)?;
        }
    }
    Ok(answer)
}

fn chunks(stream: &mut impl BufRead, out: &mut dyn Write, most: u64) -> io::Result<()> {
    let mut left = most;
    loop {
        let size = line(stream)?;
        let size = size.split(';').next().unwrap_or("").trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| bad("not a chunk".to_owned()))?;
        if size == 0 {
            return Ok(());
        }
        exactly(stream, size, out, left)?;
        left -= size;
        line(stream)?;
    }
}

fn exactly(
    stream: &mut impl BufRead,
    length: u64,
    out: &mut dyn Write,
    most: u64,
) -> io::Result<()> {
    if length > most {
        return Err(bad("the answer is too long".to_owned()));
    }
    let copied = io::copy(&mut stream.take(length), out)?;
    if copied == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    stream.take(64 << 10).read_until(b'\n', &mut bytes)?;
    if bytes.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned())
}

fn bad(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// Escapes text for a query string or a form.
pub fn encode(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
