//! Why a configuration is refused: always where, and the way out.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::raw::Place;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No such knob.
    #[error("{place}: unknown setting {key:?}{}", did_you_mean(.suggestion.as_deref()))]
    UnknownKey {
        /// As written.
        key: String,
        /// Where.
        place: String,
        /// What it may have been meant to be.
        suggestion: Option<String>,
    },
    /// The knob does not take this.
    #[error("{place}: {key} = {text:?}: {reason}")]
    Value {
        /// Which knob.
        key: String,
        /// As written.
        text: String,
        /// Where.
        place: Place,
        /// Why not.
        reason: String,
    },
    /// Not TOML.
    #[error("{place}: {reason}")]
    Syntax {
        /// Where.
        place: Place,
        /// What is wrong.
        reason: String,
    },
    /// A file cannot be read.
    #[error("cannot read {path}: {reason}", path = .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// An address others can reach, and no secret.
    #[error(
        "{face} would listen on {address}, which other machines can reach, and no secret protects \
         it. Two ways out: set a secret (--auth-token-file FILE, or RINGWELL_AUTH_TOKEN), or say \
         --insecure-allow-open if everybody on that network may read and write. \
         (Or listen on loopback: {flag} 127.0.0.1:{port}.)",
        port = .address.port()
    )]
    Open {
        /// HTTP or Redis.
        face: &'static str,
        /// The address.
        address: SocketAddr,
        /// The flag that sets it.
        flag: &'static str,
    },
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(
        || " (all settings: docs/config.md)".to_owned(),
        |s| format!(", did you mean {s:?}?"),
    )
}
