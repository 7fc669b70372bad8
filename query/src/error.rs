//! Errors as the HTTP API tells them: a kind and Prometheus's text.

use ringwell_storage::read::ReadError;

use crate::parse::ParseError;

/// Why a query gives no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct QueryError {
    /// What kind of failure.
    pub kind: ErrorKind,
    /// The text for the user.
    pub message: String,
}

/// Kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The query itself is wrong.
    BadData,
    /// It cannot be evaluated on this data, or is too large.
    Execution,
    /// The client went away.
    Canceled,
    /// It took too long.
    Timeout,
    /// The storage failed.
    Internal,
}

impl QueryError {
    pub(crate) fn bad_data(message: impl Into<String>) -> QueryError {
        QueryError { kind: ErrorKind::BadData, message: message.into() }
    }

    pub(crate) fn execution(message: impl Into<String>) -> QueryError {
        QueryError { kind: ErrorKind::Execution, message: message.into() }
    }

    pub(crate) fn parse(error: &ParseError, text: &str) -> QueryError {
        QueryError::bad_data(error.describe(text))
    }
}

impl From<ReadError> for QueryError {
    fn from(error: ReadError) -> QueryError {
        QueryError { kind: ErrorKind::Internal, message: error.to_string() }
    }
}
