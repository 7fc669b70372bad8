//! A small HTTP/1.1 client for the command line and the tests: one request a connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConnection, StreamOwned};

use crate::remote::Files;
use crate::tls::{client_config, wrong};

/// Largest answer that is read.
const MAX_ANSWER: u64 = 1 << 30;
/// A node answers within this time.
const PATIENCE: Duration = Duration::from_secs(150);

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

/// A node to ask, how it is reached, and the secret it asks for.
#[derive(Debug, Clone)]
pub struct Peer {
    authority: String,
    /// Whom to trust and what to show, where TLS is spoken.
    tls: Option<Files>,
    bearer: Option<String>,
}

impl Peer {
    /// The node at `http://host:port` or `https://host:port[?ca_file=...&cert_file=...&key_file=...]`, with the
    /// secret of a file or of `RINGWELL_AUTH_TOKEN`.
    pub fn of(url: &str, secret: Option<&Path>) -> anyhow::Result<Peer> {
        let (authority, tls) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
            (Some(rest), _) => (rest, None),
            (_, Some(rest)) => {
                let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
                (authority, Some(files(query)?))
            }
            _ => bail!("{url:?} is not an http:// or https:// address"),
        };
        let secret = match secret {
            None => std::env::var("RINGWELL_AUTH_TOKEN").ok(),
            Some(path) => Some(
                std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read {}", path.display()))?,
            ),
        };
        let bearer = secret.map(|secret| format!("Bearer {}", secret.trim()));
        Ok(Peer { authority: authority.trim_end_matches('/').to_owned(), tls, bearer })
    }

    /// `host:port`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Sends one request, with the secret, and reads the whole answer.
    pub fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        let request = Request { authority: &self.authority, method, target, body };
        request.send(self.connect(Some(PATIENCE))?, &self.headers(headers))
    }

    /// Asks for what may be longer than memory: the body of a 200 goes to `out` as it comes, that of any other
    /// answer into the answer. Trailers count as headers.
    pub fn stream(&self, target: &str, out: &mut dyn Write) -> io::Result<Answer> {
        let request = Request { authority: &self.authority, method: "GET", target, body: b"" };
        let mut stream = self.connect(None)?;
        request.write(&mut stream, &self.headers(&[("TE", "trailers")]))?;
        let mut stream = BufReader::new(stream);
        let answer = read_head(&mut stream)?;
        if answer.status == 200 {
            return read_body(stream, answer, out, u64::MAX);
        }
        let mut body = Vec::new();
        let answer = read_body(stream, answer, &mut body, MAX_ANSWER)?;
        Ok(Answer { body, ..answer })
    }

    /// These headers, and the one with the secret.
    fn headers<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let secret = self.bearer.as_deref().map(|bearer| ("Authorization", bearer));
        more.iter().copied().chain(secret).collect()
    }

    /// `patience` is for what is awaited of the other side, each time.
    fn connect(&self, patience: Option<Duration>) -> io::Result<Box<dyn Io>> {
        let stream = TcpStream::connect(&self.authority)?;
        stream.set_read_timeout(patience)?;
        let Some(files) = &self.tls else { return Ok(Box::new(stream)) };
        let config = Arc::new(client_config(files.trust())?);
        let host =
            self.authority.rsplit_once(':').map_or(self.authority.as_str(), |(host, _)| host);
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
        let name = name.map_err(|error| wrong(&error))?;
        let session = ClientConnection::new(config, name).map_err(|error| wrong(&error))?;
        Ok(Box::new(StreamOwned::new(session, stream)))
    }
}

/// What an address says of files.
fn files(query: &str) -> anyhow::Result<Files> {
    let mut files = Files::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let file = files.named(&name).filter(|_| name != "password_file");
        let file = file.with_context(|| {
            format!("{name:?} behind the ? of an address; ca_file, cert_file and key_file may stand there")
        })?;
        *file = Some(value.into_owned().into());
    }
    ensure!(files.cert.is_some() == files.key.is_some(), "cert_file and key_file go together");
    Ok(files)
}

/// A connection, with TLS or without.
trait Io: Read + Write {}
impl<T: Read + Write> Io for T {}

/// Sends one request to `authority` (`host:port`) and reads the whole answer. A `Host` header is
/// added unless one is given.
pub fn send(
    authority: &str,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Answer> {
    let stream = TcpStream::connect(authority)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Request { authority, method, target, body }.send(stream, headers)
}

struct Request<'a> {
    authority: &'a str,
    method: &'a str,
    target: &'a str,
    body: &'a [u8],
}

impl Request<'_> {
    fn send(&self, mut stream: impl Io, headers: &[(&str, &str)]) -> io::Result<Answer> {
        // A server may refuse from the head alone and close; its answer still counts.
        let sent = self.write(&mut stream, headers);
        let mut whole = Vec::new();
        match read_answer(BufReader::new(stream), &mut whole, MAX_ANSWER) {
            Err(error) => sent.and(Err(error)),
            Ok(answer) => Ok(Answer { body: whole, ..answer }),
        }
    }

    fn write(&self, stream: &mut impl Io, headers: &[(&str, &str)]) -> io::Result<()> {
        let Request { authority, method, target, body } = self;
        let mut head = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str(&format!("Host: {authority}\r\n"));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if *method != "GET" || !body.is_empty() {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        stream.flush()
    }
}

fn read_answer(mut stream: impl BufRead, out: &mut dyn Write, most: u64) -> io::Result<Answer> {
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
    mut stream: impl BufRead,
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
