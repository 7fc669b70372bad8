//! The door: who may come in, and by which name the node was called.
//!
//! A browser on the operator's machine is the way in for foreign web pages: by a rebound DNS name
//! (then the Host header is not one of ours) or by requests across sites (then the Origin is not
//! ours). Both are refused on every route, the WebSocket included. The secret opens the rest;
//! `/-/healthy` and `/-/ready` need none, since they tell nothing.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;

use super::About;
use super::error::plain;
use crate::config::{Config, Secret};

/// What the door must know.
#[derive(Clone)]
pub(super) struct Door {
    config: Arc<Config>,
    about: Arc<About>,
}

impl Door {
    pub(super) fn new(config: &Arc<Config>, about: &About) -> Door {
        Door { config: Arc::clone(config), about: Arc::new(about.clone()) }
    }
}

pub(super) async fn door(State(state): State<Door>, request: Request, next: Next) -> Response {
    let open = matches!(request.uri().path(), "/-/healthy" | "/-/ready");
    let names = Names {
        allowed: &state.config.allowed_hosts,
        reachable: state.about.http_addresses().any(|address| !address.ip().is_loopback()),
        hostname: &state.about.hostname,
    };
    if let Err(refusal) = names.check(request.headers()) {
        return plain(StatusCode::FORBIDDEN, refusal);
    }
    // The origin has passed, so its pages may read the answer, refusals included.
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = if request.method() == Method::OPTIONS {
        // Browsers ask before they send the secret.
        StatusCode::NO_CONTENT.into_response()
    } else {
        admit(&state.config, open, request, next).await
    };
    if let Some(origin) = origin {
        share(response.headers_mut(), origin);
    }
    response
}

/// Lets pages of an origin read an answer.
fn share(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "Accept, Authorization, Content-Type, Origin"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, "Date"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Asks for the secret, where there is one.
async fn admit(config: &Config, open: bool, request: Request, next: Next) -> Response {
    if let Some(secret) = &config.secret
        && !open
        && !has_secret(request.headers(), secret)
    {
        let mut response = plain(StatusCode::UNAUTHORIZED, "this node asks for its secret");
        let challenge = HeaderValue::from_static("Basic realm=\"ringwell\", charset=\"UTF-8\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        return response;
    }
    next.run(request).await
}

/// Bearer, or Basic with any user. Compared in constant time.
fn has_secret(headers: &HeaderMap, secret: &Secret) -> bool {
    let Some(given) = headers.get(header::AUTHORIZATION) else { return false };
    let Some((scheme, rest)) = given.to_str().ok().and_then(|text| text.split_once(' ')) else {
        return false;
    };
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return same(rest.as_bytes(), secret);
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return false;
    }
    let Ok(pair) = STANDARD.decode(rest) else { return false };
    let Some(colon) = pair.iter().position(|b| *b == b':') else { return false };
    same(pair.get(colon + 1..).unwrap_or_default(), secret)
}

fn same(given: &[u8], secret: &Secret) -> bool {
    given.ct_eq(secret.bytes()).into()
}

/// The names by which the node may be called.
struct Names<'a> {
    allowed: &'a [String],
    /// Whether others can reach the node.
    reachable: bool,
    hostname: &'a str,
}

impl Names<'_> {
    fn check(&self, headers: &HeaderMap) -> Result<(), String> {
        let host = one(headers, header::HOST).ok_or("the Host header must be there, once")?;
        if !self.allows(host) {
            return Err(format!(
                "this node is not known as {host:?}; if it is, add that to http.allowed_hosts"
            ));
        }
        if !headers.contains_key(header::ORIGIN) {
            return Ok(());
        }
        let origin = one(headers, header::ORIGIN).unwrap_or_default();
        let site = origin.split_once("://").map(|(_, authority)| authority);
        match site {
            Some(site) if site.eq_ignore_ascii_case(host) || self.lists(site) => Ok(()),
            _ => Err(format!(
                "requests of pages from {origin:?} are not taken; if they should be, add that \
                 host to http.allowed_hosts"
            )),
        }
    }

    fn allows(&self, authority: &str) -> bool {
        let host = without_port(authority);
        if self.lists(authority) || host.eq_ignore_ascii_case("localhost") {
            return true;
        }
        let ip: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        if !self.reachable {
            return ip.is_some_and(|ip| ip.is_loopback());
        }
        // Where others call an IP cannot be a rebound name, and the machine's name is its own.
        ip.is_some() || host.eq_ignore_ascii_case(self.hostname)
    }

    /// Whether the operator listed it, with or without its port.
    fn lists(&self, authority: &str) -> bool {
        let host = without_port(authority);
        self.allowed.iter().any(|allowed| {
            allowed == "*"
                || allowed.eq_ignore_ascii_case(authority)
                || allowed.eq_ignore_ascii_case(host)
        })
    }
}

fn one(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn check(bound: &str, allowed: &[&str], host: &str, origin: Option<&str>) -> bool {
        let allowed: Vec<String> = allowed.iter().map(|s| (*s).to_owned()).collect();
        let bound: SocketAddr = bound.parse().unwrap();
        let reachable = !bound.ip().is_loopback();
        let names = Names { allowed: &allowed, reachable, hostname: "box" };
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        names.check(&headers).is_ok()
    }

    #[test]
    fn hosts() {
        let local = "127.0.0.1:9680";
        let all = "0.0.0.0:9680";
        for (bound, allowed, host, ok) in [
            (local, &[][..], "127.0.0.1:9680", true),
            (local, &[], "localhost:9680", true),
            (local, &[], "LOCALHOST", true),
            (local, &[], "[::1]:9680", true),
            (local, &[], "evil.example", false),
            (local, &[], "localhost.evil.example:9680", false),
            (local, &[], "box:9680", false),
            (local, &[], "192.168.1.5:9680", false),
            (local, &["metrics.example"], "metrics.example:443", true),
            (local, &["metrics.example:443"], "metrics.example:80", false),
            (local, &["*"], "anything", true),
            (all, &[], "192.168.1.5:9680", true),
            (all, &[], "box:9680", true),
            (all, &[], "evil.example:9680", false),
        ] {
            assert_eq!(check(bound, allowed, host, None), ok, "{bound} {allowed:?} {host}");
        }
    }

    #[test]
    fn origins() {
        let local = "127.0.0.1:9680";
        for (allowed, host, origin, ok) in [
            (&[][..], "127.0.0.1:9680", "http://127.0.0.1:9680", true),
            (&[], "localhost:9680", "http://localhost:9680", true),
            (&[], "localhost:9680", "http://localhost:3000", false),
            (&[], "localhost:9680", "http://evil.example", false),
            (&[], "localhost:9680", "null", false),
            (&["ui.example"], "localhost:9680", "https://ui.example", true),
        ] {
            assert_eq!(check(local, allowed, host, Some(origin)), ok, "{host} {origin}");
        }
    }

    #[test]
    fn secrets() {
        let secret = Secret::new("s3:cret".to_owned());
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        for (given, ok) in [
            ("Bearer s3:cret".to_owned(), true),
            ("bearer  s3:cret".to_owned(), true),
            ("Bearer s3:cre".to_owned(), false),
            ("Bearer ".to_owned(), false),
            (basic("anybody:s3:cret"), true),
            (basic(":s3:cret"), true),
            (basic("s3:cret"), false),
            (basic("s3"), false),
            ("Basic %%%".to_owned(), false),
            ("Digest s3:cret".to_owned(), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, given.parse().unwrap());
            assert_eq!(has_secret(&headers, &secret), ok, "{given}");
        }
        assert!(!has_secret(&HeaderMap::new(), &secret));
    }
}
