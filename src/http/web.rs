//! The web UI's files, and what nobody has.

use std::borrow::Cow;

use axum::body::Bytes;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::error::{method_not_allowed, not_found};

/// Scripts and connections only to this node; inline styles are what charts set.
const CONTENT_SECURITY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; \
    frame-ancestors 'none'";

pub(super) async fn asset(method: Method, uri: Uri) -> Response {
    let path = uri.path();
    if path.starts_with("/api/") || path.starts_with("/-/") {
        return not_found();
    }
    if method != Method::GET && method != Method::HEAD {
        return method_not_allowed().await;
    }
    let name = path.trim_start_matches('/');
    // Paths of the UI's own views are answered by its one page; a missing file is missing.
    let is_file =
        name.starts_with("assets/") || name.rsplit('/').next().is_some_and(|n| n.contains('.'));
    let asset = match ringwell_web::asset(if name.is_empty() { "index.html" } else { name }) {
        None if !is_file => ringwell_web::asset("index.html"),
        found => found,
    };
    let Some(asset) = asset else { return not_found() };
    let cache = if asset.immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = [
        (header::CONTENT_TYPE, asset.content_type),
        (header::CACHE_CONTROL, cache),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    let bytes = match asset.bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    (StatusCode::OK, headers, bytes).into_response()
}
