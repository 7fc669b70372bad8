//! Binds addresses; a taken one is refused with its owner and the flag to change.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

const BACKLOG: u32 = 1024;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody has it.
    #[error("{face} cannot listen on {address}: {} has it; choose another with {flag}",
        .owner.as_deref().unwrap_or("another process"))]
    InUse {
        /// HTTP or Redis.
        face: &'static str,
        /// The address.
        address: SocketAddr,
        /// Process name and number, where the system tells.
        owner: Option<String>,
        /// The flag that sets it.
        flag: &'static str,
    },
    /// Anything else.
    #[error("{face} cannot listen on {address} ({flag}): {reason}")]
    Other {
        /// HTTP or Redis.
        face: &'static str,
        /// The address.
        address: SocketAddr,
        /// The flag that sets it.
        flag: &'static str,
        /// What the system said.
        reason: String,
    },
}

/// Binds an address.
pub fn bind(
    face: &'static str,
    address: SocketAddr,
    flag: &'static str,
) -> Result<TcpListener, ListenError> {
    open(address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            ListenError::InUse { face, address, owner: owner(address), flag }
        }
        _ => ListenError::Other { face, address, flag, reason: error.to_string() },
    })
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Lets a restart bind while old connections linger; it never shares a live listener.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Who listens there, as far as `/proc` tells this user: `redis-server (process 1234)`.
fn owner(address: SocketAddr) -> Option<String> {
    let inode = listening_inode(address)?;
    let wanted = format!("socket:[{inode}]");
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let Ok(files) = fs::read_dir(process.path().join("fd")) else { continue };
        let holds = files
            .flatten()
            .filter_map(|file| fs::read_link(file.path()).ok())
            .any(|target| target.as_os_str() == wanted.as_str());
        if holds {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (process {pid})", name.trim()));
        }
    }
    None
}

/// The socket that listens on the port, at this address or at all of them.
fn listening_inode(address: SocketAddr) -> Option<String> {
    const LISTENING: &str = "0A";
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let text: String = tables.iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
    let rows = text.lines().filter_map(|row| {
        let mut fields = row.split_whitespace();
        let local = fields.nth(1)?;
        let state = fields.nth(1)?;
        let inode = fields.nth(5)?;
        (state == LISTENING).then_some((local, inode))
    });
    let mut any = None;
    for (local, inode) in rows {
        let (ip, port) = local.rsplit_once(':')?;
        if u16::from_str_radix(port, 16) != Ok(address.port()) {
            continue;
        }
        if ip == hex_ip(address.ip()) {
            return Some(inode.to_owned());
        }
        any = any.or_else(|| Some(inode.to_owned()));
    }
    any
}

/// An address as `/proc/net/tcp` spells it: 32-bit words in the machine's byte order.
fn hex_ip(ip: IpAddr) -> String {
    let octets = match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let word = |bytes: &[u8]| {
        let number = bytes.try_into().map_or(0, u32::from_ne_bytes);
        format!("{number:08X}")
    };
    octets.chunks(4).map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_address_names_its_owner_and_the_flag() {
        let first = bind("HTTP", "127.0.0.1:0".parse().unwrap(), "--http-listen").unwrap();
        let address = first.local_addr().unwrap();
        let error = bind("Redis", address, "--redis-listen").unwrap_err().to_string();
        let pid = std::process::id();
        assert!(error.starts_with(&format!("Redis cannot listen on {address}: ")), "{error}");
        assert!(error.contains(&format!("(process {pid}) has it")), "{error}");
        assert!(error.ends_with("choose another with --redis-listen"), "{error}");
    }
}
