//! A manifest made anew of what is on the disk: every block that is there, the newest checkpoint that the log
//! reaches, the log from its oldest segment. What only the manifest knew is lost: deletions that no block has
//! carried out yet and that the log no longer has. Blocks that a merge had replaced are taken too; they say
//! nothing else than the merged one, but for what it had deleted.

use crate::block;
use crate::checkpoint;
use crate::disk::{Disk, DiskError};
use crate::head::{Head, SHARDS};
use crate::manifest::{Checkpointed, Manifest, ManifestError};
use crate::model::WalPosition;
use crate::wal::Log;
use crate::wal::file::{highest_epoch, segments};

use super::repair::{RepairError, set_aside};

/// Makes one; damaged checkpoints are set aside, damaged blocks are named for the caller to look at.
pub(super) fn rebuild(
    disk: &dyn Disk,
    why: &ManifestError,
    done: &mut Vec<String>,
) -> Result<Manifest, RepairError> {
    let blocks = numbers(disk, block::DIR, ".blk")?;
    let checkpoints = numbers(disk, checkpoint::DIR, ".ckp")?;
    let oldest = segments(disk)?.first().copied();
    let epoch = highest_epoch(disk)? + 1;
    let highest = blocks.iter().chain(&checkpoints).max().copied().unwrap_or(0);
    let mut manifest = Manifest { epoch, next_block: highest + 1, blocks, ..Manifest::default() };
    let log_end = match oldest {
        Some(oldest) => Log::check(disk, WalPosition(oldest))?.end,
        None => WalPosition(0),
    };
    let position = WalPosition(oldest.unwrap_or(0));
    for number in checkpoints.iter().rev() {
        match applied(disk, *number) {
            Err(reason) => {
                done.push(format!("{reason}; set aside"));
                set_aside(disk, &checkpoint::path_of(*number))?;
            }
            Ok(applied) if manifest.checkpoint.is_none() && applied <= log_end => {
                manifest.checkpoint = Some(Checkpointed { number: *number, position });
            }
            Ok(applied) if manifest.checkpoint.is_none() => {
                let reason = format!(
                    "{} needs the log up to {applied}, and it ends at {log_end}",
                    checkpoint::path_of(*number),
                    applied = applied.0,
                    log_end = log_end.0,
                );
                return Err(RepairError::NoManifest { why: why.to_string(), reason });
            }
            // An older one.
            Ok(_) => {}
        }
    }
    if manifest.checkpoint.is_none() && position > WalPosition(0) {
        let number = manifest.next_block;
        manifest.next_block += 1;
        checkpoint::write_empty(disk, number)?;
        manifest.checkpoint = Some(Checkpointed { number, position });
        done.push("no checkpoint could be read: what was newer than the blocks and older than the log is lost".to_owned());
    }
    let from = manifest.checkpoint.map(|live| checkpoint::path_of(live.number));
    done.push(format!(
        "{why}; made anew of {} blocks, {} and the log. Deletions that no merge had carried out may have \
         come back: delete again what must be gone",
        manifest.blocks.len(),
        from.as_deref().unwrap_or("no checkpoint"),
    ));
    Ok(manifest)
}

/// Numbers of the files in a directory, ascending.
fn numbers(disk: &dyn Disk, dir: &str, ending: &str) -> Result<Vec<u64>, DiskError> {
    let number = |name: &String| u64::from_str_radix(name.strip_suffix(ending)?, 16).ok();
    let mut numbers: Vec<u64> = disk.list(dir)?.iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Up to which log position a checkpoint's most advanced part is in; why it cannot be read.
fn applied(disk: &dyn Disk, number: u64) -> Result<WalPosition, String> {
    let head = Head::new(1, 1);
    let (read, _) = checkpoint::read(disk, number, &head).map_err(|error| error.to_string())?;
    let shards = (0..SHARDS).map(|shard| head.lock(shard).furthest()).max();
    Ok(shards
        .unwrap_or_default()
        .max(read.keys.applied)
        .max(read.exemplars.applied)
        .max(read.metadata.applied)
        .max(read.documents.applied))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::disk::MemDisk;
    use crate::head::MemSeries;
    use crate::keyspace::Keyspace;
    use crate::model::{Labels, SeriesId};

    /// A shard is taken in stretches, and the last of them was taken last.
    #[test]
    fn a_checkpoint_needs_the_log_up_to_its_furthest_series() {
        let (disk, head) = (MemDisk::new(), Head::new(1, 1));
        let mut series =
            MemSeries::new(SeriesId(1), Labels::from_pairs([("a", "b")]).unwrap(), None);
        series.touched = 50;
        let mut shard = head.lock(3);
        shard.applied = WalPosition(10);
        shard.insert(series);
        drop(shard);
        let [documents, stream, exemplars, metadata] = [const { Vec::new() }; 4];
        let beside = checkpoint::Beside { documents, stream, exemplars, metadata };
        let keys = (Keyspace::new().freeze(), WalPosition(20));
        checkpoint::write(&disk, 1, &head, keys, &beside, &HashSet::new()).unwrap();
        assert_eq!(applied(&disk, 1).unwrap(), WalPosition(51));
    }
}
