//! What a replica says before it is fed: REPLCONF, then PSYNC or SYNC.

use ringwell_storage::feed::Identity;

use super::unhex;

/// What a connection said of itself as a replica.
#[derive(Clone, Debug, Default)]
pub struct Handshake {
    /// Where the replica answers itself.
    pub port: u16,
    /// Its address, where it is not the one it calls from.
    pub address: Option<String>,
    /// Whether it takes an RDB file whose length is not told in advance.
    pub eof: bool,
    /// Whether it takes another name for the stream when it goes on.
    pub renames: bool,
}

/// What it wants to be fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All, and what comes after, by PSYNC.
    All,
    /// The same in the words of before PSYNC: no name, no offset.
    AllUnnamed,
    /// What comes after an offset, if the stream has this name.
    After(Identity, u64),
}

impl Handshake {
    /// Takes the arguments of REPLCONF; an error is its text, `None` that nothing is answered.
    pub fn take(&mut self, args: &[&[u8]]) -> Option<Result<(), String>> {
        if !args.len().is_multiple_of(2) {
            return Some(Err("ERR syntax error".to_owned()));
        }
        for pair in args.chunks_exact(2) {
            let [option, value] = pair else { continue };
            let value = String::from_utf8_lossy(value);
            match option.to_ascii_lowercase().as_slice() {
                b"listening-port" => match value.parse() {
                    Ok(port) => self.port = port,
                    Err(_) => {
                        return Some(Err("ERR value is not an integer or out of range".to_owned()));
                    }
                },
                b"ip-address" if value.len() <= 255 => self.address = Some(value.into_owned()),
                b"ip-address" => {
                    return Some(Err("ERR REPLCONF ip-address provided by replica instance is too long: 255 bytes at most".to_owned()));
                }
                b"capa" => {
                    self.eof |= value.eq_ignore_ascii_case("eof");
                    self.renames |= value.eq_ignore_ascii_case("psync2");
                }
                // Said by those that are fed; one that is not yet has nothing to say.
                b"ack" | b"getack" => return None,
                b"version" | b"rdb-only" => {}
                _ => {
                    let option = String::from_utf8_lossy(option);
                    return Some(Err(format!("ERR Unrecognized REPLCONF option: {option}")));
                }
            }
        }
        Some(Ok(()))
    }
}

impl Wanted {
    /// What the arguments of PSYNC ask for: a name, and the first byte that is wanted, counted from 1.
    pub fn read(name: &[u8], first: &[u8]) -> Result<Wanted, &'static str> {
        let first: Option<i64> = std::str::from_utf8(first).ok().and_then(|text| text.parse().ok());
        let first = first.ok_or("ERR value is not an integer or out of range")?;
        let offset = first.checked_sub(1).and_then(|offset| u64::try_from(offset).ok());
        Ok(match (unhex(name), offset) {
            (Some(name), Some(offset)) => Wanted::After(name, offset),
            _ => Wanted::All,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_replicas_say() {
        let mut said = Handshake::default();
        assert_eq!(said.take(&[b"listening-port", b"6391"]), Some(Ok(())));
        assert_eq!(said.take(&[b"capa", b"eof", b"capa", b"psync2"]), Some(Ok(())));
        assert!(said.port == 6391 && said.eof && said.renames);
        assert_eq!(said.take(&[b"ack", b"17"]), None);
        assert!(said.take(&[b"listening-port", b"x"]).unwrap().is_err());
        assert!(said.take(&[b"what", b"x"]).unwrap().is_err());
        assert!(said.take(&[b"capa"]).unwrap().is_err());
        let name = [b'0'; 40];
        assert_eq!(Wanted::read(&name, b"1"), Ok(Wanted::After([0; 20], 0)));
        assert_eq!(Wanted::read(b"?", b"-1"), Ok(Wanted::All));
        for before in [&b"-5"[..], b"0", b"-9223372036854775808"] {
            assert_eq!(Wanted::read(&name, before), Ok(Wanted::All));
        }
        assert!(Wanted::read(b"?", b"x").is_err());
        for wrong in [&b"0"[..], &[0xff; 40], "\u{e9}".repeat(20).as_bytes()] {
            assert_eq!(Wanted::read(wrong, b"7"), Ok(Wanted::All));
        }
    }
}
