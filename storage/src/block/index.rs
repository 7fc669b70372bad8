//! The index of an open block: on the disk, its pages read as they are needed and kept in the store's
//! [`PageCache`]. Every page is checked when it is read.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use super::cache::PageCache;
use super::layout::{ChunkMeta, Footer, Part, SeriesEntry};
use super::page::{Directory, First, PageAt};
use super::postings::PostingsPage;
use super::series::{self, ChunkAt, Pairs, SeriesAt};
use super::symbols::{self, SymbolPage};
use super::times::{self, Times};
use super::{BlockError, PART_NAMES, POSTINGS, SERIES, SYMBOLS, TIMES};
use crate::chunk::{ChunkStats, decode_timestamps};
use crate::disk::{DiskError, File};
use crate::index::{Lists, Visit};
use crate::model::{Labels, Timestamp};
use crate::read::ReadError;
use crate::wire::FormatError;

/// Bytes read at a time to check pages.
const CHECK_BYTES: u64 = 256 << 10;
/// In the cache: the directory of a part, beside its pages.
const DIRECTORY: u64 = u64::MAX;
/// In the cache: decoded timestamp columns.
const DECODED: u8 = 0x80;
/// In the cache: the statistics of a series' chunks.
const STATS: u8 = 0x40;

/// What is known of each chunk of a series; nothing until it is asked for.
type SeriesStats = Vec<OnceLock<Option<ChunkStats>>>;

/// The index of one block.
pub(super) struct Index {
    pub(super) path: String,
    pub(super) file: Arc<dyn File>,
    pub(super) footer: Footer,
    /// How many series there are.
    series: u64,
    cache: Arc<PageCache>,
    id: u64,
}

/// A series, as long as someone looks at it.
#[derive(Clone)]
pub(crate) struct SeriesRef {
    page: Arc<Vec<SeriesEntry>>,
    place: usize,
    /// Its number in the block.
    pub(super) number: u32,
}

impl Deref for SeriesRef {
    type Target = SeriesEntry;

    fn deref(&self) -> &SeriesEntry {
        &self.page[self.place]
    }
}

/// The series of one walk, which keeps the page it is at.
pub(crate) struct SeriesWalk<'a> {
    index: &'a Index,
    directory: Arc<Directory<()>>,
    at: Option<(usize, Arc<Vec<SeriesEntry>>)>,
}

impl SeriesWalk<'_> {
    /// A series by number; `None` past the last.
    pub(crate) fn get(&mut self, number: u32) -> Result<Option<SeriesRef>, ReadError> {
        if u64::from(number) >= self.index.series {
            return Ok(None);
        }
        let missing =
            || self.index.corrupt(self.index.footer[SERIES].offset, "a series is missing");
        let place = number as usize % series::PAGE;
        let page = number as usize / series::PAGE;
        let page = match &self.at {
            Some((at, known)) if *at == page => Arc::clone(known),
            _ => {
                let at = self.directory.pages.get(page).ok_or_else(missing)?;
                let read = self.index.series_page(page, at)?;
                self.at = Some((page, Arc::clone(&read)));
                read
            }
        };
        if place >= page.len() {
            return Err(missing());
        }
        Ok(Some(SeriesRef { page, place, number }))
    }
}

/// A symbol, as long as someone looks at it.
#[derive(Clone)]
struct Symbol {
    page: Arc<SymbolPage>,
    place: usize,
}

impl Symbol {
    fn text(&self) -> &str {
        self.page.get(self.place).unwrap_or("")
    }
}

/// The symbols of one walk, which keeps the pages it met.
struct Symbols<'a> {
    index: &'a Index,
    directory: Arc<Directory<Box<str>>>,
    pages: HashMap<usize, Arc<SymbolPage>>,
}

/// A walk keeps so many pages.
const WALK_PAGES: usize = 256;

impl Symbols<'_> {
    fn get(&mut self, number: u64) -> Result<Symbol, ReadError> {
        let missing = || self.index.corrupt(self.index.footer[SYMBOLS].offset, "no such symbol");
        let place = (number % symbols::PAGE as u64) as usize;
        let number = usize::try_from(number / symbols::PAGE as u64).unwrap_or(usize::MAX);
        let page = match self.pages.get(&number) {
            Some(page) => Arc::clone(page),
            None => {
                let at = self.directory.pages.get(number).ok_or_else(missing)?;
                let page = self.index.symbol_page(number, at)?;
                if self.pages.len() >= WALK_PAGES {
                    self.pages.clear();
                }
                self.pages.insert(number, Arc::clone(&page));
                page
            }
        };
        page.get(place).ok_or_else(missing)?;
        Ok(Symbol { page, place })
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.cache.leave(self.id);
    }
}

impl Index {
    /// Keeps its pages in another cache.
    pub(super) fn share(&mut self, cache: &Arc<PageCache>) {
        self.cache.leave(self.id);
        self.id = cache.enter();
        self.cache = Arc::clone(cache);
    }

    pub(super) fn new(
        path: String,
        file: Arc<dyn File>,
        footer: Footer,
        series: u64,
        cache: Arc<PageCache>,
    ) -> Index {
        let id = cache.enter();
        Index { path, file, footer, series, cache, id }
    }

    /// Checks every page, keeping none: a damaged index is known when the block is opened.
    pub(super) fn check(&self) -> Result<(), BlockError> {
        self.check_part::<Box<str>>(SYMBOLS)?;
        self.check_part::<()>(TIMES)?;
        let series = self.check_part::<()>(SERIES)?;
        self.check_part::<(u64, u64)>(POSTINGS)?;
        if series as u64 != self.series.div_ceil(series::PAGE as u64) {
            return Err(self.damaged(SERIES, 0, "not as many series as the block says"));
        }
        Ok(())
    }

    /// How many pages the part has.
    fn check_part<F: First + Clone + Send + Sync + 'static>(
        &self,
        part: usize,
    ) -> Result<usize, BlockError> {
        let directory = self.read_directory::<F>(part).map_err(|error| match error {
            ReadError::Corrupt { .. } => self.damaged(part, 0, "checksum does not hold"),
            other => BlockError::from(other),
        })?;
        let mut rest = &directory.pages[..];
        while let Some(first) = rest.first() {
            let near = |page: &&PageAt<F>| {
                page.offset + u64::from(page.length) <= first.offset + CHECK_BYTES
            };
            let run = rest.iter().take_while(near).count().max(1);
            let (now, later) = rest.split_at(run);
            let end = now.last().map_or(0, |page| page.offset + u64::from(page.length));
            let bytes = self.read(self.footer[part].offset + first.offset, end - first.offset)?;
            for page in now {
                let start = (page.offset - first.offset) as usize;
                let whole = bytes.get(start..start + page.length as usize);
                if whole.is_none_or(|whole| crc32c::crc32c(whole) != page.crc) {
                    return Err(self.damaged(part, page.offset, "checksum does not hold"));
                }
            }
            rest = later;
        }
        Ok(directory.pages.len())
    }

    fn damaged(&self, part: usize, offset: u64, what: &'static str) -> BlockError {
        BlockError::Damaged { path: self.path.clone(), part: PART_NAMES[part], offset, what }
    }

    fn corrupt(&self, offset: u64, reason: &str) -> ReadError {
        ReadError::Corrupt { path: self.path.clone(), offset, reason: reason.to_owned() }
    }

    /// Bytes of the file.
    pub(super) fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>, ReadError> {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        self.read_into(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// The same into memory that is there.
    pub(super) fn read_into(&self, offset: u64, bytes: &mut [u8]) -> Result<(), ReadError> {
        let io = |e: DiskError| ReadError::Io { path: self.path.clone(), reason: e.reason };
        match self.file.read_at(bytes, offset) {
            Ok(got) if got == bytes.len() => Ok(()),
            Ok(_) => Err(self.corrupt(offset, "file ends too early")),
            Err(e) if e.kind == ErrorKind::UnexpectedEof => {
                Err(self.corrupt(offset, "file ends too early"))
            }
            Err(e) => Err(io(e)),
        }
    }

    fn read_directory<F: First>(&self, part: usize) -> Result<Directory<F>, ReadError> {
        let Part { offset, length, directory, crc } = self.footer[part];
        let pages = length - u64::from(directory);
        let bytes = self.read(offset + pages, u64::from(directory))?;
        if crc32c::crc32c(&bytes) != crc {
            return Err(self.corrupt(offset + pages, "a directory's checksum does not hold"));
        }
        let decoded = Directory::decode(&bytes, pages);
        decoded.map_err(|e| self.corrupt(offset + pages + e.offset as u64, e.what))
    }

    fn directory<F: First + Send + Sync + 'static>(
        &self,
        part: usize,
    ) -> Result<Arc<Directory<F>>, ReadError> {
        self.cache.get((self.id, part as u8, DIRECTORY), || {
            let directory = self.read_directory::<F>(part)?;
            let weight = directory.weight();
            Ok((directory, weight))
        })
    }

    /// A page of a part; `decode` gives what it holds and about what that weighs.
    fn page<F: First, T: Send + Sync + 'static>(
        &self,
        part: usize,
        (number, at): (usize, &PageAt<F>),
        decode: impl FnOnce(&[u8]) -> Result<(T, usize), PageError>,
    ) -> Result<Arc<T>, ReadError> {
        self.cache.get((self.id, part as u8, number as u64), || {
            let offset = self.footer[part].offset + at.offset;
            let bytes = self.read(offset, u64::from(at.length))?;
            if crc32c::crc32c(&bytes) != at.crc {
                return Err(self.corrupt(offset, "a page's checksum does not hold"));
            }
            decode(&bytes).map_err(|error| match error {
                PageError::Format(e) => self.corrupt(offset + e.offset as u64, e.what),
                PageError::Read(error) => error,
            })
        })
    }

    /// To look series up, best in the order of their numbers.
    pub(super) fn walk(&self) -> Result<SeriesWalk<'_>, ReadError> {
        Ok(SeriesWalk { index: self, directory: self.directory::<()>(SERIES)?, at: None })
    }

    fn series_page(
        &self,
        number: usize,
        at: &PageAt<()>,
    ) -> Result<Arc<Vec<SeriesEntry>>, ReadError> {
        self.page(SERIES, (number, at), |bytes| {
            let decoded = series::decode(bytes)?;
            let entries = self.resolve(decoded)?;
            let weight = entries.iter().map(SeriesEntry::weight).sum();
            Ok((entries, weight))
        })
    }

    /// Puts texts and times in the place of their numbers.
    fn resolve(&self, decoded: Vec<SeriesAt<Pairs>>) -> Result<Vec<SeriesEntry>, ReadError> {
        let mut symbols = self.symbols()?;
        let mut columns = HashMap::new();
        let mut before: Vec<((u64, u64), (Symbol, Symbol))> = Vec::new();
        let mut entries = Vec::with_capacity(decoded.len());
        for series in decoded {
            let mut texts = Vec::with_capacity(series.labels.len());
            for (i, pair) in series.labels.iter().enumerate() {
                // Neighbours have most labels in common.
                let known = before.get(i).filter(|(known, _)| known == pair);
                texts.push(match known {
                    Some((_, symbols)) => (*pair, symbols.clone()),
                    None => (*pair, (symbols.get(pair.0)?, symbols.get(pair.1)?)),
                });
            }
            let labels = texts.iter().map(|(_, (name, value))| (name.text(), value.text()));
            let labels = Labels::from_pairs(labels)
                .map_err(|_| self.corrupt(self.footer[SERIES].offset, "labels are damaged"))?;
            let mut chunks = Vec::with_capacity(series.chunks.len());
            for ChunkAt { times, values, crc } in series.chunks {
                let column = match columns.get(&times) {
                    Some(column) => *column,
                    None => *columns.entry(times).or_insert(self.times(times)?),
                };
                let Times { min_t, max_t, count, .. } = column;
                chunks.push(ChunkMeta { min_t, max_t, count, times, values, crc });
            }
            let (lookback, rollups) = (series.lookback, series.rollups);
            entries.push(SeriesEntry { labels, lookback, chunks, rollups });
            before = texts;
        }
        Ok(entries)
    }

    /// A timestamp column by number.
    pub(super) fn times(&self, number: u64) -> Result<Times, ReadError> {
        let missing = || self.corrupt(self.footer[TIMES].offset, "no such column of times");
        let place = (number % times::PAGE as u64) as usize;
        let number = usize::try_from(number / times::PAGE as u64).unwrap_or(usize::MAX);
        let directory = self.directory::<()>(TIMES)?;
        let at = directory.pages.get(number).ok_or_else(missing)?;
        let page = self.page(TIMES, (number, at), |bytes| {
            let all = times::decode(bytes)?;
            let weight = all.len() * size_of::<Times>();
            Ok((all, weight))
        })?;
        page.get(place).copied().ok_or_else(missing)
    }

    /// The timestamps of a column, decoded. Series share columns, so they are kept as pages are.
    pub(super) fn timestamps(
        &self,
        number: u64,
        column: impl FnOnce((u64, u32)) -> Result<Vec<u8>, ReadError>,
    ) -> Result<Arc<Vec<Timestamp>>, ReadError> {
        self.cache.get((self.id, TIMES as u8 | DECODED, number), || {
            let times = self.times(number)?;
            let offset = self.footer[super::COLUMNS].offset + times.at.0;
            let bytes = column(times.at)?;
            if crc32c::crc32c(&bytes) != times.crc {
                return Err(self.corrupt(offset, "the checksum of a column of times does not hold"));
            }
            let mut decoded = Vec::with_capacity(bytes.len().min(times.count as usize));
            decode_timestamps(&bytes, times.count as usize, &mut decoded)
                .map_err(|e| self.corrupt(offset, e.what))?;
            let weight = decoded.len() * size_of::<Timestamp>();
            Ok((decoded, weight))
        })
    }

    /// What is known of the chunks of a series.
    pub(super) fn stats(&self, series: &SeriesRef) -> Result<Arc<SeriesStats>, ReadError> {
        self.cache.get((self.id, STATS, u64::from(series.number)), || {
            let stats: SeriesStats = series.chunks.iter().map(|_| OnceLock::new()).collect();
            let weight = stats.len() * size_of::<OnceLock<Option<ChunkStats>>>();
            Ok((stats, weight))
        })
    }

    /// All timestamp columns.
    pub(super) fn all_times(&self) -> Result<Vec<Times>, ReadError> {
        let pages = self.directory::<()>(TIMES)?.pages.len();
        let numbers = 0..(pages * times::PAGE) as u64;
        let mut all = Vec::new();
        for number in numbers {
            match self.times(number) {
                Ok(times) => all.push(times),
                // The last page is not full.
                Err(ReadError::Corrupt { .. })
                    if number / times::PAGE as u64 + 1 == pages as u64 =>
                {
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// To look symbols up, one after the other.
    fn symbols(&self) -> Result<Symbols<'_>, ReadError> {
        let directory = self.directory::<Box<str>>(SYMBOLS)?;
        Ok(Symbols { index: self, directory, pages: HashMap::new() })
    }

    fn symbol_page(&self, n: usize, at: &PageAt<Box<str>>) -> Result<Arc<SymbolPage>, ReadError> {
        self.page(SYMBOLS, (n, at), |bytes| {
            let page = SymbolPage::decode(bytes)?;
            let weight = page.weight();
            Ok((page, weight))
        })
    }

    /// The number of a text, if it is a symbol.
    fn number_of(&self, text: &str) -> Result<Option<u64>, ReadError> {
        let directory = self.directory::<Box<str>>(SYMBOLS)?;
        let after = directory.pages.partition_point(|page| &*page.first <= text);
        let Some(number) = after.checked_sub(1) else { return Ok(None) };
        let page = self.symbol_page(number, &directory.pages[number])?;
        Ok(page.find(text).map(|place| (number * symbols::PAGE + place) as u64))
    }

    /// Shows the lists from a pair on, page by page, until `visit` has seen enough.
    fn lists_from(
        &self,
        pair: (u64, u64),
        visit: &mut dyn FnMut(&PostingsPage, usize) -> Result<bool, ReadError>,
    ) -> Result<(), ReadError> {
        let directory = self.directory::<(u64, u64)>(POSTINGS)?;
        let first = directory.pages.partition_point(|page| page.first <= pair).saturating_sub(1);
        for (number, at) in directory.pages.iter().enumerate().skip(first) {
            let page = self.page(POSTINGS, (number, at), |bytes| {
                let page = PostingsPage::decode(bytes)?;
                let weight = page.weight();
                Ok((page, weight))
            })?;
            for place in page.seek(pair)..page.len() {
                if !visit(&page, place)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn numbers(&self, page: &PostingsPage, place: usize) -> Result<Vec<u32>, ReadError> {
        let numbers = page.numbers(place, self.series);
        numbers.map_err(|e| self.corrupt(self.footer[POSTINGS].offset, e.what))
    }

    /// Label names, ascending.
    pub(super) fn label_names(&self) -> Result<Vec<String>, ReadError> {
        let mut names = Vec::new();
        let mut symbols = self.symbols()?;
        let mut from = 0;
        loop {
            let mut found = None;
            self.lists_from((from, 0), &mut |page, place| {
                found = page.pair(place).map(|pair| pair.0);
                Ok(false)
            })?;
            let Some(name) = found else { return Ok(names) };
            names.push(symbols.get(name)?.text().to_owned());
            from = name.saturating_add(1);
        }
    }

    /// Values of a label, ascending.
    pub(super) fn label_values(&self, name: &str) -> Result<Vec<String>, ReadError> {
        let mut values = Vec::new();
        let Some(name) = self.number_of(name)? else { return Ok(values) };
        let mut symbols = self.symbols()?;
        self.lists_from((name, 0), &mut |page, place| {
            let Some((_, value)) = page.pair(place).filter(|pair| pair.0 == name) else {
                return Ok(false);
            };
            values.push(symbols.get(value)?.text().to_owned());
            Ok(true)
        })?;
        Ok(values)
    }
}

impl Lists for Index {
    type Error = ReadError;

    fn all(&self) -> Vec<u32> {
        (0..u32::try_from(self.series).unwrap_or(u32::MAX)).collect()
    }

    fn one(&self, name: &str, value: &str) -> Result<Cow<'_, [u32]>, ReadError> {
        let (Some(name), Some(value)) = (self.number_of(name)?, self.number_of(value)?) else {
            return Ok(Cow::Borrowed(&[]));
        };
        let mut numbers = Vec::new();
        self.lists_from((name, value), &mut |page, place| {
            if page.pair(place) == Some((name, value)) {
                numbers = self.numbers(page, place)?;
            }
            Ok(false)
        })?;
        Ok(Cow::Owned(numbers))
    }

    fn each(&self, name: &str, visit: &mut Visit<'_>) -> Result<(), ReadError> {
        let Some(name) = self.number_of(name)? else { return Ok(()) };
        let mut symbols = self.symbols()?;
        self.lists_from((name, 0), &mut |page, place| {
            let Some((_, value)) = page.pair(place).filter(|pair| pair.0 == name) else {
                return Ok(false);
            };
            visit(symbols.get(value)?.text(), &self.numbers(page, place)?);
            Ok(true)
        })
    }
}

/// Why a page does not decode.
enum PageError {
    Format(FormatError),
    /// Another page that it needs does not read.
    Read(ReadError),
}

impl From<FormatError> for PageError {
    fn from(error: FormatError) -> PageError {
        PageError::Format(error)
    }
}

impl From<ReadError> for PageError {
    fn from(error: ReadError) -> PageError {
        PageError::Read(error)
    }
}
