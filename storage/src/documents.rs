//! Documents: small named texts that the node keeps with its data, such as the users of the Redis face.
//! Bounded by bytes; logged where one changes, and in every checkpoint, so that a restart keeps them.
//! What stands in one is its writer's business.

use std::collections::BTreeMap;

use crate::append::AppendError;
use crate::model::WalPosition;
use crate::store::{Store, lock};
use crate::wal::Logged;
use crate::wire::{FormatError, Reader, put_prefixed, put_varint};

/// Bytes of a name.
const MAX_NAME: usize = 1 << 10;
/// Bytes of a body.
const MAX_BODY: usize = 1 << 20;

/// What a document becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its name; parts that belong together share what stands before the first `/`.
    pub name: Vec<u8>,
    /// What stands in it; `None` takes it away.
    pub body: Option<Vec<u8>>,
}

/// Why documents are not kept.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DocumentError {
    /// The log cannot take them.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// One is too long.
    #[error(
        "the document has a name of {name} bytes and a body of {body}; {MAX_NAME} and {MAX_BODY} are allowed"
    )]
    TooLong {
        /// Bytes of its name.
        name: usize,
        /// Bytes of its body.
        body: usize,
    },
    /// All together are too long.
    #[error("documents would take {bytes} bytes; {limit} are allowed (limits.documents)")]
    TooMany {
        /// Bytes they would take.
        bytes: usize,
        /// How many they may.
        limit: usize,
    },
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    documents: BTreeMap<Vec<u8>, Vec<u8>>,
    bytes: usize,
    /// Records below this position are in.
    pub(crate) applied: WalPosition,
}

impl Shelf {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes what is logged.
    pub(crate) fn apply(&mut self, logged: &Logged<&Vec<Document>>) {
        if logged.position() >= self.applied {
            logged.get().iter().for_each(|new| self.set(new));
            self.applied = WalPosition(logged.position().0 + 1);
        }
    }

    fn set(&mut self, new: &Document) {
        let old = match &new.body {
            Some(body) => {
                self.bytes += new.name.len() + body.len();
                self.documents.insert(new.name.clone(), body.clone())
            }
            None => self.documents.remove(&new.name),
        };
        self.bytes -= old.map_or(0, |old| new.name.len() + old.len());
    }

    /// For a checkpoint; empty where there is nothing to keep.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.documents.is_empty() {
            put_varint(&mut out, self.applied.0);
            let kept = |(name, body): (&Vec<u8>, &Vec<u8>)| Document {
                name: name.clone(),
                body: Some(body.clone()),
            };
            put(&mut out, &self.documents.iter().map(kept).collect::<Vec<_>>());
        }
        out
    }

    /// Of a checkpoint.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Shelf, FormatError> {
        let mut shelf = Shelf { applied: WalPosition(reader.varint()?), ..Shelf::default() };
        get(reader)?.iter().for_each(|document| shelf.set(document));
        Ok(shelf)
    }
}

/// The payload of a record, and of a section of the checkpoint (docs/format/wal.md).
pub(crate) fn put(out: &mut Vec<u8>, documents: &[Document]) {
    put_varint(out, documents.len() as u64);
    for Document { name, body } in documents {
        put_prefixed(out, name);
        out.push(u8::from(body.is_some()));
        if let Some(body) = body {
            put_prefixed(out, body);
        }
    }
}

pub(crate) fn get(reader: &mut Reader<'_>) -> Result<Vec<Document>, FormatError> {
    let mut documents = Vec::new();
    for _ in 0..reader.count(2)? {
        let name = reader.prefixed()?.to_vec();
        let body = match reader.u8()? {
            0 => None,
            1 => Some(reader.prefixed()?.to_vec()),
            _ => return Err(reader.error("a document is neither there nor taken away")),
        };
        documents.push(Document { name, body });
    }
    Ok(documents)
}

impl Store {
    /// Sets documents, all or none. Wait for the position, then acknowledge.
    pub fn set_documents(&self, new: Vec<Document>) -> Result<WalPosition, DocumentError> {
        for document in &new {
            let (name, body) = (document.name.len(), document.body.as_ref().map_or(0, Vec::len));
            if name > MAX_NAME || body > MAX_BODY {
                return Err(DocumentError::TooLong { name, body });
            }
        }
        self.admits()?;
        let mut shelf = lock(&self.documents);
        let size = |name: &[u8], body: Option<&Vec<u8>>| body.map_or(0, |b| name.len() + b.len());
        let added = |Document { name, body }: &Document| {
            size(name, body.as_ref()).saturating_sub(size(name, shelf.documents.get(name)))
        };
        let added: usize = new.iter().map(added).sum();
        let (bytes, limit) = (shelf.bytes + added, self.options.documents_bytes);
        if added > 0 && bytes > limit {
            return Err(DocumentError::TooMany { bytes, limit });
        }
        let logged = self.log.append(new)?;
        shelf.apply(&logged.as_ref());
        Ok(logged.end())
    }

    /// The documents whose names begin so, by the rest of their names.
    pub fn documents(&self, prefix: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let shelf = lock(&self.documents);
        let from = shelf.documents.range(prefix.to_vec()..);
        let own = from
            .map_while(|(name, body)| Some((name.strip_prefix(prefix)?.to_vec(), body.clone())));
        own.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_as_written_down_and_damage_is_an_error() {
        let mut shelf = Shelf::default();
        let document = |name: &str, body: Option<&str>| Document {
            name: name.into(),
            body: body.map(Into::into),
        };
        for new in [("a/b", Some("xy")), ("a/c", Some("z")), ("a/b", Some("w")), ("a/c", None)] {
            shelf.set(&document(new.0, new.1));
        }
        assert_eq!(shelf.bytes(), 4);
        let bytes = shelf.encode();
        assert_eq!(bytes, b"\0\x01\x03a/b\x01\x01w", "docs/format/wal.md");
        let again = Shelf::decode(&mut Reader::new(&bytes)).unwrap();
        assert_eq!((&again.documents, again.bytes), (&shelf.documents, shelf.bytes));
        for end in 0..bytes.len() {
            assert!(Shelf::decode(&mut Reader::new(&bytes[..end])).is_err(), "{end}");
        }
        let mut out = Vec::new();
        put(&mut out, &[document("n", None)]);
        assert_eq!(out, b"\x01\x01n\0");
        assert!(get(&mut Reader::new(b"\x01\x01n\x02")).is_err());
    }
}
