//! Planted bugs, for testing the tests. Without the feature `mutants` every question is answered with a
//! constant no, and nothing of this is in the program.

/// A bug that can be planted; each is named after what the engine then does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mutant {
    /// Says that the log is synced without a sync.
    AckBeforeSync = 1,
    /// Makes segments without syncing their directory.
    NoDirectorySync,
    /// Replaces a file by one that was not synced.
    RenameBeforeSync,
    /// Replaces a file without syncing the directory after.
    NoSyncAfterRename,
    /// Tries a sync again that failed.
    RetryFailedSync,
    /// Takes groups of a file's former life for its own.
    AcceptStaleGroup,
    /// Trims the log before the manifest is on the disk.
    TrimBeforeManifest,
    /// Goes on after a write that failed, over the gap.
    AppendOverGap,
    /// Says in each group that all before it is synced.
    BoastDurableEnd,
    /// Publishes a block that was not synced.
    BlockNotSynced,
    /// Refers to a log position in the manifest that was not synced.
    ManifestBeforeLog,
    /// Says in a checkpoint that a shard is further than it is.
    CheckpointBoasts,
    /// Begins a new segment after what it read, without seeing to it that this is on the disk.
    StartTrustsCache,
    /// Removes the old checkpoint before the manifest names the new one.
    CheckpointRemovedEarly,
    /// Leaves the end of a group out of its checksum.
    ChecksumSkipsEnd,
    /// Serves chunks without checking them.
    ServeUnchecked,
    /// Cuts the log at damage below what was synced.
    CutDamage,
    /// Drops blocks too early.
    DropTooEarly,
    /// Leaves the header of a group out of its checksum.
    ChecksumSkipsHeader,
    /// Takes a directory without a manifest for a new one.
    MissingManifestIsNew,
    /// Leaves deletions out of the manifest.
    ManifestForgetsDeletions,
    /// Does not delete from the head what the log deletes.
    ReplayForgetsDeletions,
    /// Leaves the last segment of the log out of a snapshot.
    SnapshotMissesLog,
    /// Lets records lean on those of the segment before.
    ChainsCrossSegments,
    /// Refers in a checkpoint to files of chunks that were not synced.
    ChunkFilesNotSynced,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 25] = [
        Mutant::AckBeforeSync,
        Mutant::NoDirectorySync,
        Mutant::RenameBeforeSync,
        Mutant::NoSyncAfterRename,
        Mutant::RetryFailedSync,
        Mutant::AcceptStaleGroup,
        Mutant::TrimBeforeManifest,
        Mutant::AppendOverGap,
        Mutant::BoastDurableEnd,
        Mutant::BlockNotSynced,
        Mutant::ManifestBeforeLog,
        Mutant::CheckpointBoasts,
        Mutant::StartTrustsCache,
        Mutant::CheckpointRemovedEarly,
        Mutant::ChecksumSkipsEnd,
        Mutant::ServeUnchecked,
        Mutant::CutDamage,
        Mutant::DropTooEarly,
        Mutant::ChecksumSkipsHeader,
        Mutant::MissingManifestIsNew,
        Mutant::ManifestForgetsDeletions,
        Mutant::ReplayForgetsDeletions,
        Mutant::SnapshotMissesLog,
        Mutant::ChainsCrossSegments,
        Mutant::ChunkFilesNotSynced,
    ];
}

#[cfg(feature = "mutants")]
mod planted {
    use super::Mutant;
    use std::cell::Cell;

    thread_local! {
        static PLANTED: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Plants a bug in this thread's stores, or takes it out.
    pub fn plant(mutant: Option<Mutant>) {
        PLANTED.set(mutant);
    }

    pub(crate) fn planted(mutant: Mutant) -> bool {
        PLANTED.get() == Some(mutant)
    }

    /// Plants in the thread that calls the answer what is planted in this one.
    pub(crate) fn carried() -> impl FnOnce() + Send {
        let planted = PLANTED.get();
        move || PLANTED.set(planted)
    }
}

#[cfg(feature = "mutants")]
pub use planted::plant;
#[cfg(feature = "mutants")]
pub(crate) use planted::{carried, planted};

#[cfg(not(feature = "mutants"))]
pub(crate) const fn planted(_: Mutant) -> bool {
    false
}

#[cfg(not(feature = "mutants"))]
pub(crate) const fn carried() -> impl FnOnce() + Send {
    || {}
}
