//! What an opening reads at a time: a log may be as long as it wants, and a start takes no memory for it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ringwell_storage::disk::{Disk, DiskError, File, MemDisk};
use ringwell_storage::keyspace::{Derived, Effects, Extract, Keyspace, Reply, Request};
use ringwell_storage::store::{Options, Store};

struct Nothing;

impl Extract for Nothing {
    fn extract(&self, _: &Keyspace, _: &Request<'_>, _: &Effects, _: i64, _: &mut Derived) {}

    fn hold(&self, _: &Keyspace, _: i64, _: &mut Derived) {}
}

/// A disk that notes the longest piece that was read of it.
#[derive(Clone)]
struct Measured {
    disk: Arc<dyn Disk>,
    longest: Arc<AtomicUsize>,
}

struct MeasuredFile {
    file: Arc<dyn File>,
    longest: Arc<AtomicUsize>,
}

impl Measured {
    fn file(&self, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(MeasuredFile { file, longest: Arc::clone(&self.longest) })
    }
}

impl Disk for Measured {
    fn create(&self, path: &str) -> Result<Arc<dyn File>, DiskError> {
        self.disk.create(path).map(|file| self.file(file))
    }

    fn open(&self, path: &str) -> Result<Arc<dyn File>, DiskError> {
        self.disk.open(path).map(|file| self.file(file))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.disk.rename(from, to)
    }

    fn link(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.disk.link(from, to)
    }

    fn remove(&self, path: &str) -> Result<(), DiskError> {
        self.disk.remove(path)
    }

    fn list(&self, dir: &str) -> Result<Vec<String>, DiskError> {
        self.disk.list(dir)
    }

    fn create_dir(&self, dir: &str) -> Result<(), DiskError> {
        self.disk.create_dir(dir)
    }

    fn sync_dir(&self, dir: &str) -> Result<(), DiskError> {
        self.disk.sync_dir(dir)
    }

    fn free_space(&self) -> Result<u64, DiskError> {
        self.disk.free_space()
    }
}

impl File for MeasuredFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, DiskError> {
        self.longest.fetch_max(buf.len(), Ordering::Relaxed);
        self.file.read_at(buf, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), DiskError> {
        self.file.write_at(bytes, offset)
    }

    fn allocate(&self, len: u64) -> Result<(), DiskError> {
        self.file.allocate(len)
    }

    fn set_len(&self, len: u64) -> Result<(), DiskError> {
        self.file.set_len(len)
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.file.sync()
    }

    fn size(&self) -> Result<u64, DiskError> {
        self.file.size()
    }
}

#[test]
fn a_start_holds_no_segment_of_the_log() {
    let longest = Arc::new(AtomicUsize::new(0));
    let disk: Arc<dyn Disk> =
        Arc::new(Measured { disk: Arc::new(MemDisk::default()), longest: Arc::clone(&longest) });
    let open = || Store::open(Arc::clone(&disk), Options::default(), 0).unwrap();
    let run =
        |store: &Store, args: &[&[u8]]| store.execute(&Request { db: 0, args }, 1, &Nothing).reply;
    let store = open();
    let text = [b'x'; 30_000];
    for n in 0..400 {
        run(&store, &[b"SET", n.to_string().as_bytes(), &text]);
        store.sync().unwrap();
    }
    drop(store);
    // After a kill, and after a stop that left nothing to replay.
    for stopped in [false, true] {
        longest.store(0, Ordering::Relaxed);
        let store = open();
        assert!(longest.load(Ordering::Relaxed) < 2 << 20, "{longest:?}, stopped: {stopped}");
        assert_eq!(run(&store, &[b"DBSIZE"]), Reply::Integer(if stopped { 1 } else { 400 }));
        // Little is left for the checkpoint, which is read whole.
        (1..400).for_each(|n| drop(run(&store, &[b"DEL", n.to_string().as_bytes()])));
        store.close(2).unwrap();
    }
}
