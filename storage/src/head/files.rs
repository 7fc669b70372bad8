//! Files of sealed chunks (docs/format/chunks.md): what is large and not asked for again and again need not
//! stay in memory until a block has it.
//!
//! A file only grows, and no byte of it changes once it is referred to. It stays while a chunk in memory or the
//! live checkpoint refers to it. What could not be written stays in memory, so nothing depends on the disk having
//! room. An opening writes into files of its own; those of openings before are read only.

use std::collections::{BTreeSet, VecDeque};
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, DiskError, File};
use crate::mutants::{Mutant, planted};
use crate::read::ReadError;
use crate::wire::{FormatError, Reader, put_varint};

/// Directory of the files.
pub(crate) const DIR: &str = "chunks";
const ENDING: &str = ".chk";
const MAGIC: &[u8; 8] = b"RINGCHK\0";
const VERSION: u32 = 1;
/// Magic, version and their checksum.
const HEADER: u64 = 16;
/// A file that has reached this takes no further chunk, so that one that stays long keeps little with it.
const FULL: u64 = 16 << 20;
/// Columns of timestamps that are remembered, so that series sampled at the same times have them once.
const RECENT: usize = 8;

/// A file of chunks.
pub(crate) struct ChunkFile {
    number: u64,
    file: Arc<dyn File>,
    /// Whether it has bytes that are not synced.
    dirty: AtomicBool,
    /// Whether a sync failed, so that nothing is known of what was written.
    doubtful: AtomicBool,
}

/// Where a column is in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    offset: u32,
    length: u32,
    crc: u32,
}

/// Where a chunk's two columns are.
#[derive(Clone, Debug)]
pub(crate) struct Away {
    file: Arc<ChunkFile>,
    timestamps: Place,
    values: Place,
}

impl Away {
    /// Its timestamps.
    pub(crate) fn timestamps(&self) -> Result<Vec<u8>, ReadError> {
        self.file.read(self.timestamps)
    }

    /// Its values.
    pub(crate) fn values(&self) -> Result<Vec<u8>, ReadError> {
        self.file.read(self.values)
    }

    /// Whether both columns are as they were written.
    pub(crate) fn check(&self) -> Result<(), ReadError> {
        self.timestamps().and(self.values()).map(|_| ())
    }

    /// Bytes of its values.
    pub(super) fn values_len(&self) -> usize {
        self.values.length as usize
    }

    /// What is wrong with a column that reads and does not decode.
    pub(super) fn damaged(&self, error: &FormatError) -> ReadError {
        self.file.damaged(self.values, error.what)
    }

    /// Appends where it is.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for place in [self.timestamps, self.values] {
            put_varint(out, u64::from(place.offset));
            put_varint(out, u64::from(place.length));
            out.extend_from_slice(&place.crc.to_le_bytes());
        }
    }

    /// Reads what [`encode`](Away::encode) wrote, of a chunk in `file`.
    pub(crate) fn decode(
        reader: &mut Reader<'_>,
        file: Arc<ChunkFile>,
    ) -> Result<Away, FormatError> {
        let mut place = || {
            let mut short = || {
                let value = reader.varint()?;
                u32::try_from(value).map_err(|_| reader.error("place past the end of a chunk file"))
            };
            Ok(Place { offset: short()?, length: short()?, crc: reader.u32()? })
        };
        Ok(Away { timestamps: place()?, values: place()?, file })
    }

    /// The number of its file, if a checkpoint may refer to it.
    pub(crate) fn sound_file(&self) -> Option<u64> {
        (!self.file.doubtful.load(Ordering::Acquire)).then_some(self.file.number)
    }
}

impl ChunkFile {
    /// Opens one for reading.
    pub(crate) fn open(disk: &dyn Disk, number: u64) -> Result<Arc<ChunkFile>, ReadError> {
        let path = path_of(number);
        let io = |e: DiskError| ReadError::Io { path: path.clone(), reason: e.reason };
        let corrupt =
            |offset, reason: String| ReadError::Corrupt { path: path.clone(), offset, reason };
        let file = disk.open(&path).map_err(io)?;
        let mut head = [0; HEADER as usize];
        let read = file.read_at(&mut head, 0).map_err(io)?;
        let mut reader = Reader::new(&head);
        let begins = reader.take(8).is_ok_and(|magic| magic == MAGIC);
        let version = reader.u32();
        let holds = reader.u32().is_ok_and(|crc| crc == crc32c::crc32c(&head[..12]));
        match version {
            Ok(VERSION) if begins && holds && read == head.len() => {}
            Ok(newer) if begins && holds => {
                let what = format!("format version {newer}, this release reads up to {VERSION}");
                return Err(corrupt(8, what));
            }
            _ => return Err(corrupt(0, "no file of chunks begins here".to_owned())),
        }
        Ok(Arc::new(ChunkFile { number, file, dirty: false.into(), doubtful: false.into() }))
    }

    fn read(&self, place: Place) -> Result<Vec<u8>, ReadError> {
        let mut bytes = vec![0; place.length as usize];
        let read = self.file.read_at(&mut bytes, u64::from(place.offset));
        let read =
            read.map_err(|e| ReadError::Io { path: path_of(self.number), reason: e.reason })?;
        if read < bytes.len() {
            return Err(self.damaged(place, "the file ends here"));
        }
        if crc32c::crc32c(&bytes) != place.crc && !planted(Mutant::ServeUnchecked) {
            return Err(self.damaged(place, "checksum of a column does not hold"));
        }
        Ok(bytes)
    }

    fn damaged(&self, place: Place, reason: &str) -> ReadError {
        ReadError::Corrupt {
            path: path_of(self.number),
            offset: u64::from(place.offset),
            reason: reason.to_owned(),
        }
    }
}

impl std::fmt::Debug for ChunkFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ChunkFile").field(&self.number).finish()
    }
}

/// All files of a store.
pub(crate) struct ChunkFiles {
    disk: Arc<dyn Disk>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    files: Vec<Arc<ChunkFile>>,
    /// The number of the next one; 0 = none was made or found yet.
    next: u64,
    /// The one that is written, and where it ends.
    current: Option<(Arc<ChunkFile>, u64)>,
    /// Timestamps of the current file.
    recent: VecDeque<(Vec<u8>, Place)>,
    /// Whether one was made since the directory was last synced.
    new_names: bool,
    /// Those of the live checkpoint.
    referred: BTreeSet<u64>,
    /// Chunks that the disk did not take.
    refused: u64,
}

/// What the files hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChunkFileStats {
    /// How many there are.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Chunks that stayed in memory since opening, because the disk did not take them.
    pub refused: u64,
}

impl std::fmt::Debug for ChunkFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkFiles").finish_non_exhaustive()
    }
}

impl ChunkFiles {
    /// Of a directory whose checkpoint refers to none, until [`adopt`](ChunkFiles::adopt).
    pub(crate) fn new(disk: Arc<dyn Disk>) -> ChunkFiles {
        ChunkFiles { disk, state: Mutex::default() }
    }

    /// Takes those that the live checkpoint refers to, and removes all others; says how many.
    pub(crate) fn adopt(&self, files: Vec<Arc<ChunkFile>>) -> Result<u64, DiskError> {
        let mut state = self.lock();
        state.referred = files.iter().map(|file| file.number).collect();
        state.files = files;
        let mut removed = 0;
        for (number, name) in numbers(&*self.disk)? {
            state.next = state.next.max(number + 1);
            if !state.referred.contains(&number) {
                self.disk.remove(&format!("{DIR}/{name}"))?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Puts columns into a file; none where the disk does not take them.
    pub(super) fn put(&self, timestamps: &[u8], values: &[u8]) -> Option<Away> {
        let mut state = self.lock();
        let put = self.try_put(&mut state, timestamps, values);
        state.refused += u64::from(put.is_none());
        put
    }

    fn try_put(&self, state: &mut State, timestamps: &[u8], values: &[u8]) -> Option<Away> {
        let (file, mut end) = self.current(state).ok()?;
        let known = state.recent.iter().find(|(bytes, _)| bytes == timestamps);
        let known = known.map(|(_, place)| *place);
        let mut bytes = Vec::with_capacity(timestamps.len() + values.len());
        let mut place = |column: &[u8]| {
            let offset = u32::try_from(end + bytes.len() as u64).ok()?;
            bytes.extend_from_slice(column);
            let length = u32::try_from(column.len()).ok()?;
            Some(Place { offset, length, crc: crc32c::crc32c(column) })
        };
        let timestamps_at = match known {
            Some(place) => place,
            None => place(timestamps)?,
        };
        let values = place(values)?;
        // Nothing refers to what a failed write left, and the next one overwrites it.
        file.dirty.store(true, Ordering::Release);
        file.file.write_at(&bytes, end).ok()?;
        end += bytes.len() as u64;
        state.current = (end < FULL).then(|| (Arc::clone(&file), end));
        if known.is_none() {
            state.recent.truncate(RECENT - 1);
            state.recent.push_front((timestamps.to_vec(), timestamps_at));
        }
        if state.current.is_none() {
            state.recent.clear();
        }
        Some(Away { file, timestamps: timestamps_at, values })
    }

    /// The file that is written, made if there is none.
    fn current(&self, state: &mut State) -> Result<(Arc<ChunkFile>, u64), DiskError> {
        if let Some(current) = &state.current {
            return Ok(current.clone());
        }
        self.disk.create_dir(DIR)?;
        let number = state.next.max(1);
        let path = path_of(number);
        let file = match self.disk.create(&path) {
            // Left by an attempt whose header could not be written.
            Err(e) if e.kind == ErrorKind::AlreadyExists => self.disk.open(&path)?,
            other => other?,
        };
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&VERSION.to_le_bytes());
        head.extend_from_slice(&crc32c::crc32c(&head).to_le_bytes());
        file.write_at(&head, 0)?;
        let (dirty, doubtful) = (true.into(), false.into());
        let file = Arc::new(ChunkFile { number, file, dirty, doubtful });
        state.next = number + 1;
        state.new_names = true;
        state.files.push(Arc::clone(&file));
        state.recent.clear();
        Ok((file, HEADER))
    }

    /// Makes everything that was put last; what a checkpoint refers to must be on the disk before that is live.
    /// A file that fails is never referred to again: a sync that succeeds later says nothing of it.
    pub(crate) fn sync(&self) -> Result<(), DiskError> {
        if planted(Mutant::ChunkFilesNotSynced) {
            return Ok(());
        }
        let (dirty, new_names) = {
            let mut state = self.lock();
            let dirty = |file: &&Arc<ChunkFile>| file.dirty.swap(false, Ordering::AcqRel);
            let dirty: Vec<_> = state.files.iter().filter(dirty).cloned().collect();
            (dirty, std::mem::take(&mut state.new_names))
        };
        let mut failed = Ok(());
        for file in &dirty {
            if let Err(error) = file.file.sync() {
                file.doubtful.store(true, Ordering::Release);
                self.give_up(file);
                failed = Err(error);
            }
        }
        if new_names {
            let named = self.disk.sync_dir(DIR).and_then(|()| self.disk.sync_dir(""));
            self.lock().new_names |= named.is_err();
            failed = failed.and(named);
        }
        failed
    }

    /// Writes no further into a file.
    fn give_up(&self, file: &Arc<ChunkFile>) {
        let mut state = self.lock();
        if state.current.as_ref().is_some_and(|(current, _)| Arc::ptr_eq(current, file)) {
            state.current = None;
            state.recent.clear();
        }
    }

    /// The checkpoint that is live now refers to these.
    pub(crate) fn checkpointed(&self, referred: BTreeSet<u64>) -> Result<(), DiskError> {
        self.lock().referred = referred;
        self.sweep()
    }

    /// Removes files that nothing refers to.
    pub(crate) fn sweep(&self) -> Result<(), DiskError> {
        let mut state = self.lock();
        let state = &mut *state;
        // Held by the list and as the current one; nobody else has it, and nobody else can come to it.
        if state.current.as_ref().is_some_and(|(file, _)| Arc::strong_count(file) == 2) {
            state.current = None;
            state.recent.clear();
        }
        let referred = &state.referred;
        let unused = |file: &mut Arc<ChunkFile>| {
            Arc::strong_count(file) == 1 && !referred.contains(&file.number)
        };
        let unused: Vec<_> = state.files.extract_if(.., unused).collect();
        unused.iter().try_for_each(|file| self.disk.remove(&path_of(file.number)))
    }

    pub(crate) fn stats(&self) -> ChunkFileStats {
        let state = self.lock();
        // One whose size cannot be told is looked at again the next time.
        let bytes = state.files.iter().filter_map(|file| file.file.size().ok()).sum();
        ChunkFileStats { files: state.files.len() as u64, bytes, refused: state.refused }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Path of the file with this number.
pub(crate) fn path_of(number: u64) -> String {
    format!("{DIR}/{number:016x}{ENDING}")
}

/// Numbers and names of the files that are there.
pub(crate) fn numbers(disk: &dyn Disk) -> Result<Vec<(u64, String)>, DiskError> {
    let number = |name: String| {
        let number = u64::from_str_radix(name.strip_suffix(ENDING)?, 16).ok()?;
        Some((number, name))
    };
    Ok(disk.list(DIR)?.into_iter().filter_map(number).collect())
}
