//! Tells whether files are still the ones that were read.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// What changes when a file is written anew, replaced, or lets other people read it. `None`: it is not there.
pub(super) type Stamp = Vec<Option<[i64; 6]>>;

/// How the files are now.
pub(super) fn stamp<'a>(files: impl Iterator<Item = &'a Path>) -> Stamp {
    let one = |path: &Path| {
        let of = std::fs::metadata(path).ok()?;
        let bits = |n: u64| n.cast_signed();
        let times = (of.mtime(), of.mtime_nsec(), of.ctime(), of.ctime_nsec());
        Some([times.0, times.1, times.2, times.3, bits(of.ino()), bits(of.size())])
    };
    files.map(one).collect()
}
