//! Snapshots: hard links of blocks, checkpoint and files of chunks, and a copy of the log up to a fence, taken while the
//! store works. A snapshot is a data directory: it can be verified, inspected and opened as one.

use crate::block;
use crate::checkpoint;
use crate::disk::{Disk, DiskError};
use crate::head::CHUNKS;
use crate::maintain::MaintainError;
use crate::manifest::{self, Manifest};
use crate::model::WalPosition;
use crate::mutants::{Mutant, planted};
use crate::store::Store;
use crate::wal::DIRECTORY as LOG;
use crate::wal::file::{segment_path, segments};
use crate::wal::segment_header_len;

/// Directory of the snapshots.
pub const SNAPSHOTS: &str = "snapshots";
/// Bytes copied at a time.
const PIECE: usize = 1 << 20;

/// Takes a snapshot of everything acknowledged by now, into `snapshots/<name>`; gives that path.
pub(crate) fn snapshot(store: &Store, name: &str) -> Result<String, MaintainError> {
    let disk = &*store.disk;
    let to = format!("{SNAPSHOTS}/{name}");
    // Nothing is cut, merged, trimmed or recycled meanwhile; appends go on.
    let state = crate::store::lock(&store.maintenance);
    let fence = store.log.sync().map_err(MaintainError::Log)?;
    disk.create_dir(SNAPSHOTS)?;
    disk.create_dir(&to)?;
    for dir in [block::DIR, checkpoint::DIR, CHUNKS] {
        disk.create_dir(&format!("{to}/{dir}"))?;
        for file in disk.list(dir)?.iter().filter(|name| !name.ends_with(".new")) {
            disk.link(&format!("{dir}/{file}"), &format!("{to}/{dir}/{file}"))?;
        }
        disk.sync_dir(&format!("{to}/{dir}"))?;
    }
    copy_log(disk, &to, fence)?;
    let manifest: &Manifest = state.manifest();
    manifest.store_in(disk, &to)?;
    disk.sync_dir(SNAPSHOTS)?;
    disk.sync_dir("")?;
    Ok(to)
}

fn copy_log(disk: &dyn Disk, to: &str, fence: WalPosition) -> Result<(), DiskError> {
    disk.create_dir(&format!("{to}/{LOG}"))?;
    let mut bases = segments(disk)?;
    if planted(Mutant::SnapshotMissesLog) && bases.len() > 1 {
        bases.pop();
    }
    for (i, base) in bases.iter().enumerate().filter(|(_, base)| **base <= fence.0) {
        let end = bases.get(i + 1).map_or(fence.0, |next| fence.0.min(*next));
        let path = segment_path(*base);
        let length = segment_header_len() + end - base;
        copy(disk, &path, disk, &format!("{to}/{path}"), length)?;
    }
    disk.sync_dir(&format!("{to}/{LOG}"))
}

/// Copies a snapshot (or any stopped data directory) into an empty one.
pub fn restore(from: &dyn Disk, to: &dyn Disk) -> Result<u64, DiskError> {
    let mut copied = 0;
    for dir in [block::DIR, checkpoint::DIR, CHUNKS, LOG, ""] {
        if !dir.is_empty() {
            to.create_dir(dir)?;
        }
        let all = from.list(dir)?;
        // The manifest comes last: without it the directory is no store.
        for name in all.iter().filter(|name| !dir.is_empty() || *name == manifest::NAME) {
            let path = if dir.is_empty() { name.clone() } else { format!("{dir}/{name}") };
            copied += copy(from, &path, to, &path, u64::MAX)?;
        }
        to.sync_dir(dir)?;
    }
    Ok(copied)
}

fn copy(
    from: &dyn Disk,
    path: &str,
    to: &dyn Disk,
    target: &str,
    length: u64,
) -> Result<u64, DiskError> {
    let (source, target) = (from.open(path)?, to.create(target)?);
    let length = length.min(source.size()?);
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    while at < length {
        let want = (length - at).min(PIECE as u64) as usize;
        let got = source.read_at(&mut piece[..want], at)?;
        if got == 0 {
            break;
        }
        target.write_at(&piece[..got], at)?;
        at += got as u64;
    }
    target.sync()?;
    Ok(at)
}
