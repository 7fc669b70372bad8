//! Errors as Prometheus's API spells them, with their status codes.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use ringwell_query::{ErrorKind, QueryError};
use ringwell_storage::read::ReadError;

use super::json::push_string;
use crate::blocking::PoolError;

/// An error of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) kind: Kind,
    pub(super) message: String,
}

/// Its type, which decides the status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    BadData,
    Execution,
    Canceled,
    Timeout,
    Internal,
    Unavailable,
    /// Switched off by configuration.
    Disabled,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::BadData => "bad_data",
            Kind::Execution => "execution",
            Kind::Canceled => "canceled",
            Kind::Timeout => "timeout",
            Kind::Internal => "internal",
            Kind::Unavailable | Kind::Disabled => "unavailable",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Kind::BadData => StatusCode::BAD_REQUEST,
            Kind::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            // 499, nginx's "client closed request".
            Kind::Canceled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            Kind::Timeout | Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Internal | Kind::Disabled => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl ApiError {
    pub(super) fn bad_data(message: impl Into<String>) -> ApiError {
        ApiError { kind: Kind::BadData, message: message.into() }
    }

    /// What is wrong with a parameter.
    pub(super) fn parameter(name: &str, reason: impl std::fmt::Display) -> ApiError {
        ApiError::bad_data(format!("invalid parameter {name:?}: {reason}"))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        // In Prometheus's order of keys.
        let mut body =
            format!("{{\"status\":\"error\",\"errorType\":\"{}\",\"error\":", self.kind.name());
        push_string(&mut body, &self.message);
        body.push('}');
        let headers = [(header::CONTENT_TYPE, "application/json")];
        let mut response = (self.kind.status(), headers, body).into_response();
        if self.kind == Kind::Unavailable {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
        }
        response
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> ApiError {
        let kind = match error.kind {
            ErrorKind::BadData => Kind::BadData,
            ErrorKind::Execution => Kind::Execution,
            ErrorKind::Canceled => Kind::Canceled,
            ErrorKind::Timeout => Kind::Timeout,
            ErrorKind::Internal => Kind::Internal,
        };
        ApiError { kind, message: error.message }
    }
}

impl From<PoolError> for ApiError {
    fn from(error: PoolError) -> ApiError {
        let kind = match error {
            PoolError::Busy(_) => Kind::Unavailable,
            PoolError::Panicked => Kind::Internal,
        };
        ApiError { kind, message: error.to_string() }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> ApiError {
        ApiError { kind: Kind::Internal, message: error.to_string() }
    }
}

/// A line of plain text with a status.
pub(super) fn plain(status: StatusCode, message: impl std::fmt::Display) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, format!("{message}\n")).into_response()
}

/// What a path answers that nobody has.
pub(super) fn not_found() -> Response {
    plain(StatusCode::NOT_FOUND, "404 page not found")
}

/// What a path answers to a method it does not have.
pub(super) async fn method_not_allowed() -> Response {
    plain(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
}
