//! Followers of the stream on a simulated disk: random commands and transactions, checkpoints that trim the
//! log, followers cut at any byte, the store killed and its power cut. A follower that goes on from where it
//! was, or begins anew where it must, ends with the same keys; and it must only where the log was trimmed.
//! `RINGWELL_FEED_SEEDS=1000` runs longer.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use ringwell_storage::append::{Batch, SeriesRef, SeriesSamples};
use ringwell_storage::disk::{Disk, SimDisk};
use ringwell_storage::feed::{Identity, Tell};
use ringwell_storage::keyspace::{
    Derived, Effects, Extract, Keyspace, RdbFileError, RdbReader, Reply, Request, Value,
};
use ringwell_storage::model::{Labels, Sample, Value as SampleValue};
use ringwell_storage::store::{Options, Store};
use ringwell_storage::tools::repair::repair;
use ringwell_storage::wal::LogOptions;

struct Nothing;

impl Extract for Nothing {
    fn extract(&self, _: &Keyspace, _: &Request<'_>, _: &Effects, _: i64, _: &mut Derived) {}

    fn hold(&self, _: &Keyspace, _: i64, _: &mut Derived) {}
}

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let x = self.0 ^ self.0 >> 33;
        x.wrapping_mul(0xff51afd7ed558ccd) >> 17
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }
}

/// Every kind of effect comes of some of these; letters are drawn.
const COMMANDS: &[&str] = &[
    "RPUSH L v v v",
    "LPUSH L v",
    "RPUSH L v",
    "LPOP L",
    "RPOP L n",
    "LTRIM L n -n",
    "LSET L 0 v",
    "LINSERT L BEFORE v v",
    "LINSERT L AFTER v v",
    "LREM L n v",
    "LREM L -n v",
    "LREM L 0 v",
    "LMOVE L L LEFT RIGHT",
    "RPOPLPUSH L L",
    "SET S v",
    "SET S v PX t",
    "SET S v KEEPTTL",
    "APPEND S v",
    "INCR C",
    "GETEX S PERSIST",
    "GETDEL S",
    "HSET H f v f v",
    "HDEL H f",
    "HINCRBY I f 3",
    "SADD T v v",
    "SREM T v",
    "SPOP T",
    "SMOVE T T v",
    "SUNIONSTORE T T T",
    "ZADD Z n v n v",
    "ZADD Z 0.1 v",
    "ZREM Z v",
    "ZINCRBY Z 1.5 v",
    "ZPOPMIN Z",
    "ZUNIONSTORE Z 2 Z Z",
    "PEXPIRE A t",
    "PERSIST A",
    "DEL A A",
    "RENAME A A",
    "COPY A A REPLACE",
    "MOVE A d",
    "SWAPDB d d",
    "FLUSHDB",
    "EXPIRE A 0",
    "SORT L ALPHA STORE L",
];

fn words(rng: &mut Rng, template: &str) -> Vec<String> {
    let word = |part: &str, rng: &mut Rng| match part {
        "L" | "S" | "C" | "H" | "I" | "T" | "Z" => format!("{part}{}", rng.below(3)),
        "A" => format!("{}{}", rng.pick(&["L", "S", "H", "T", "Z"]), rng.below(3)),
        "v" => ["a", "b", "c", "", "{\"step\":1,\"value\":0.5}"][rng.below(5) as usize].to_owned(),
        "f" => format!("f{}", rng.below(3)),
        "n" => rng.below(4).to_string(),
        "-n" => format!("-{}", 1 + rng.below(4)),
        "t" => (1 + rng.below(400)).to_string(),
        "d" => rng.below(3).to_string(),
        other => other.to_owned(),
    };
    template.split(' ').map(|part| word(part, rng)).collect()
}

type Contents = BTreeMap<(u8, Vec<u8>), (String, Option<i64>)>;

/// All keys, whether they have expired or not, as something that can be compared.
fn contents(keyspace: &Keyspace) -> Contents {
    let mut all = BTreeMap::new();
    for db in 0..16 {
        for (key, entry) in keyspace.entries(db) {
            let mut parts: Vec<String> = match &entry.value {
                Value::String(text) => vec![format!("{text:?}")],
                Value::List(list) => {
                    (0..list.len()).map(|i| format!("{:?}", list.get(i))).collect()
                }
                Value::Hash(hash) => hash.iter().map(|pair| format!("{pair:?}")).collect(),
                Value::Set(set) => set.iter().map(|member| format!("{member:?}")).collect(),
                Value::ZSet(zset) => zset.iter().map(|member| format!("{member:?}")).collect(),
                #[allow(unreachable_patterns, reason = "further kinds have no commands here")]
                other => vec![format!("{other:?}")],
            };
            if matches!(entry.value, Value::Hash(_) | Value::Set(_)) {
                parts.sort();
            }
            let value = format!("{} {}", entry.value.kind(), parts.join(" "));
            all.insert((db, key.to_vec()), (value, entry.expires));
        }
    }
    all
}

/// What a Redis would do with the stream, in the terms of a keyspace.
#[derive(Clone)]
struct Follower {
    keys: Keyspace,
    known: Option<Identity>,
    /// Up to where all is done.
    offset: u64,
    db: u8,
    fulls: u64,
}

impl Follower {
    fn new() -> Follower {
        Follower { keys: Keyspace::new(), known: None, offset: 0, db: 0, fulls: 0 }
    }

    /// Connects, reads what there is, and loses what it has not done yet, after `most` bytes.
    fn follow(&mut self, store: &Store, most: usize) {
        let position = store.name_stream().unwrap();
        if store.synced() < position {
            store.sync().unwrap();
        }
        let going_on = self.known.and_then(|name| store.stream_from(&name, self.offset));
        let mut bytes = Vec::new();
        let read = going_on.map(|mut feeder| feeder.read(store.synced(), 1 << 20, &mut bytes));
        if !matches!(read, Some(Ok(()))) {
            bytes.clear();
            let mut start = store.stream_view().unwrap();
            let mut view = Vec::new();
            start.view.encode(&mut view);
            self.keys = Keyspace::decode(&view).unwrap();
            (self.offset, self.db) = (start.offset, 0);
            self.fulls += 1;
            start.feeder.read(store.synced(), 1 << 20, &mut bytes).unwrap();
        }
        self.known = store.stream().map(|stream| stream.name);
        bytes.truncate(most);
        self.take(&bytes);
    }

    fn take(&mut self, bytes: &[u8]) {
        let (mut at, mut queue, mut open) = (0, Vec::new(), false);
        while let Some((args, length)) = command(&bytes[at..]) {
            at += length;
            match args[0].as_slice() {
                b"MULTI" => {
                    assert!(!open, "transactions nest");
                    open = true;
                }
                b"EXEC" => {
                    assert!(open, "EXEC without MULTI");
                    open = false;
                    queue.drain(..).for_each(|args: Vec<Vec<u8>>| self.call(&args));
                }
                _ if open => queue.push(args),
                _ => self.call(&args),
            }
            if !open {
                self.offset += at as u64;
                self.take(&bytes[at..]);
                return;
            }
        }
    }

    fn call(&mut self, args: &[Vec<u8>]) {
        match args[0].as_slice() {
            b"SELECT" => self.db = args[1][0] - b'0',
            b"PING" | b"REPLCONF" => {}
            _ => {
                let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
                let decision = self.keys.decide(&Request { db: self.db, args: &args }, 0);
                assert!(!matches!(decision.reply, Reply::Error(_)), "{:?}", decision.reply);
                self.keys.apply(&decision.effects);
            }
        }
    }
}

/// The command at the start of some bytes, if it is whole, and its length.
fn command(bytes: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let line = |at: usize| {
        let end = bytes[at..].windows(2).position(|w| w == b"\r\n")?;
        let number = std::str::from_utf8(&bytes[at + 1..at + end]).unwrap().parse().unwrap();
        Some((number, at + end + 2))
    };
    let (count, mut at): (usize, usize) = line(0)?;
    let mut args = Vec::new();
    for _ in 0..count {
        let (length, start): (usize, usize) = line(at)?;
        at = start + length + 2;
        args.push(bytes.get(start..at)?[..length].to_vec());
    }
    Some((args, at))
}

struct World {
    rng: Rng,
    disk: Arc<SimDisk>,
    store: Arc<Store>,
    follow_bytes: u64,
    now: i64,
}

fn open(disk: &Arc<SimDisk>, follow_bytes: u64, rng: &mut Rng) -> Arc<Store> {
    let options = Options {
        checkpoint_bytes: 3000,
        follow_bytes,
        stream_name: std::array::from_fn(|_| rng.next() as u8),
        log: LogOptions { segment_bytes: 1500, max_pending: 4000, fill_bytes: 256, spares: 2 },
        ..Options::default()
    };
    let disk: Arc<dyn Disk> = Arc::new(Arc::clone(disk));
    Arc::new(Store::open(disk, options, 0).unwrap())
}

impl World {
    fn new(seed: u64, follow_bytes: u64) -> World {
        let mut rng = Rng(seed.wrapping_mul(0x9e3779b97f4a7c15) | 1);
        rng.next();
        let disk = SimDisk::new();
        let store = open(&disk, follow_bytes, &mut rng);
        World { rng, disk, store, follow_bytes, now: 1 }
    }

    fn write(&mut self) {
        let calls = if self.rng.below(4) == 0 { 1 + self.rng.below(5) } else { 0 };
        let transaction = (calls > 0).then(|| self.store.transaction());
        for _ in 0..calls.max(1) {
            let template = self.rng.pick(COMMANDS);
            let words = words(&mut self.rng, template);
            let args: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
            let request = Request { db: self.rng.below(3) as u8, args: &args };
            match &transaction {
                Some(transaction) => transaction.execute(&request, self.now, &Nothing),
                None => self.store.execute(&request, self.now, &Nothing),
            };
        }
    }

    fn step(&mut self) {
        self.now += 3;
        match self.rng.below(40) {
            0 => drop(self.store.maintain(self.now).unwrap()),
            1 => drop(self.store.sync().unwrap()),
            2 => drop(self.store.tick(self.now, &Nothing).unwrap()),
            3 if self.store.stream().is_some() => {
                let what = if self.rng.below(2) == 0 { Tell::Ping } else { Tell::Ask };
                self.store.tell(what).unwrap();
            }
            _ => self.write(),
        }
    }

    /// The process ends here, with or without the power.
    fn crash(&mut self) {
        let disk = match self.rng.below(3) {
            0 => {
                self.store.sync().unwrap();
                self.store.close(self.now).unwrap();
                self.disk.after_kill()
            }
            1 => self.disk.after_kill(),
            _ => self.disk.after_power_cut(self.rng.next()),
        };
        self.disk = disk;
        self.store = open(&self.disk, self.follow_bytes, &mut self.rng);
    }
}

fn run(seed: u64, follow_bytes: u64) -> u64 {
    let mut world = World::new(seed, follow_bytes);
    let mut followers = vec![Follower::new(), Follower::new()];
    for _ in 0..900 {
        world.step();
        match world.rng.below(30) {
            0 => {
                let most = world.rng.below(3000) as usize;
                let which = world.rng.below(2) as usize;
                followers[which].follow(&world.store, most);
            }
            1 if world.rng.below(4) == 0 => world.crash(),
            _ => {}
        }
    }
    world.store.sync().unwrap();
    let wanted = world.store.with_keyspace(contents);
    for follower in &mut followers {
        follower.follow(&world.store, usize::MAX);
        assert_eq!(contents(&follower.keys), wanted, "seed {seed}");
        let stream = world.store.stream().unwrap();
        assert_eq!(follower.offset, stream.offset, "seed {seed}");
    }
    followers.iter().map(|follower| follower.fulls).sum()
}

fn seeds() -> std::ops::Range<u64> {
    let count = std::env::var("RINGWELL_FEED_SEEDS").map_or(20, |text| text.parse().unwrap());
    0..count
}

#[test]
fn followers_go_on_where_they_were_and_end_equal() {
    for seed in seeds() {
        assert_eq!(run(seed, 1 << 30), 2, "seed {seed}: each begins anew once, at first");
    }
}

#[test]
fn followers_that_come_too_late_begin_anew_and_end_equal() {
    let fulls: u64 = seeds().map(|seed| run(seed, 2000)).sum();
    assert!(fulls > seeds().end * 3, "{fulls}");
}

/// An old copy of the directory, or one whose end is lost, has not what the follower was fed.
#[test]
fn a_follower_that_was_fed_more_than_there_is_begins_anew() {
    for seed in seeds() {
        let mut world = World::new(seed, 1 << 30);
        let mut follower = Follower::new();
        follower.follow(&world.store, usize::MAX);
        (0..200).for_each(|_| world.step());
        world.store.sync().unwrap();
        let old = world.disk.after_kill();
        (0..50).for_each(|_| world.write());
        world.store.sync().unwrap();
        follower.follow(&world.store, usize::MAX);
        let (name, fed) = (follower.known.unwrap(), follower.offset);
        assert_eq!(follower.fulls, 1);

        world.disk = old;
        world.store = open(&world.disk, world.follow_bytes, &mut world.rng);
        assert!(world.store.stream_from(&name, fed).is_none(), "seed {seed}");
        while world.store.stream().unwrap().offset <= fed + 100 {
            world.write();
        }
        world.store.sync().unwrap();
        assert!(world.store.stream_from(&name, fed).is_none(), "seed {seed}");
        follower.follow(&world.store, usize::MAX);
        assert_eq!(follower.fulls, 2);
        assert_eq!(contents(&follower.keys), world.store.with_keyspace(contents));
    }
}

/// What an RDB file holds, as [`contents`] says it.
fn read_rdb(bytes: &[u8]) -> Result<Contents, RdbFileError> {
    let mut keyspace = Keyspace::new();
    let mut reader = RdbReader::new(bytes)?;
    let mut all = Contents::new();
    while let Some(found) = reader.next_key()? {
        // By way of a keyspace, for the spelling of its contents.
        let dump = ringwell_storage::keyspace::for_restore(&found.value);
        let at = found.expires.unwrap_or(0).to_string();
        let words: [&[u8]; 6] =
            [b"RESTORE", &found.key, at.as_bytes(), &dump, b"REPLACE", b"ABSTTL"];
        let db = found.db as u8;
        let decision = keyspace.decide(&Request { db, args: &words }, 0);
        assert!(!matches!(decision.reply, Reply::Error(_)), "{:?}", decision.reply);
        keyspace.apply(&decision.effects);
    }
    all.extend(contents(&keyspace));
    Ok(all)
}

#[test]
fn a_view_as_an_rdb_file_is_read_back_and_damage_is_told() {
    for seed in seeds() {
        let mut world = World::new(seed, 1 << 30);
        (0..300).for_each(|_| world.write());
        let many: Vec<String> = (0..3000).map(|n| format!("element {n}")).collect();
        let words: Vec<&[u8]> =
            [&b"RPUSH"[..], b"long"].into_iter().chain(many.iter().map(String::as_bytes)).collect();
        world.store.execute(&Request { db: 9, args: &words }, 1, &Nothing);
        let view = world.store.stream_view().unwrap().view;
        let (mut file, mut pieces) = (Vec::new(), 0);
        assert!(view.rdb(&mut |piece| {
            pieces += 1;
            assert!(piece.len() < 200 << 10);
            file.extend(piece);
            true
        }));
        assert_eq!(read_rdb(&file).unwrap(), world.store.with_keyspace(contents), "seed {seed}");
        assert!(!view.rdb(&mut |_| false), "told that nobody takes it");
        for _ in 0..200 {
            let mut damaged = file.clone();
            match world.rng.below(2) {
                0 => damaged.truncate(world.rng.below(file.len() as u64) as usize),
                _ => {
                    let at = world.rng.below(file.len() as u64) as usize;
                    damaged[at] ^= 1 << world.rng.below(8);
                }
            }
            let mut reader = RdbReader::new(damaged.as_slice());
            let told = loop {
                match reader.as_mut().map(RdbReader::next_key) {
                    Ok(Ok(Some(_))) => {}
                    Ok(Ok(None)) => break false,
                    Ok(Err(_)) | Err(_) => break true,
                }
            };
            assert!(told, "seed {seed}: damage is found by the checksum at the latest");
        }
    }
}

fn set(store: &Store, key: &str) {
    let request = Request { db: 0, args: &[b"SET", key.as_bytes(), b"v"] };
    assert!(!matches!(store.execute(&request, 1, &Nothing).reply, Reply::Error(_)));
}

/// Many bytes of log without a command, and a checkpoint after them.
fn write_samples(store: &Store) {
    for t in 0..2000_i64 {
        let labels = Labels::from_pairs([("n", t.to_string().as_str())]).unwrap();
        let samples = vec![Sample { t, start: 0, value: SampleValue::Float(1.0) }].into();
        let series = vec![SeriesSamples { series: SeriesRef::Labels(labels), samples }];
        store.append(&Batch { series, ..Batch::default() }, t).unwrap();
        if t % 20 == 0 {
            store.sync().unwrap();
        }
    }
    store.checkpoint(1).unwrap();
}

#[test]
fn a_follower_begins_where_only_samples_were_written_for_long() {
    let world = World::new(1, 2000);
    let mut follower = Follower::new();
    set(&world.store, "before");
    follower.follow(&world.store, usize::MAX);
    write_samples(&world.store);
    assert!(world.store.stream_from(&follower.known.unwrap(), follower.offset).is_none());
    follower.follow(&world.store, usize::MAX);
    set(&world.store, "after");
    world.store.sync().unwrap();
    follower.follow(&world.store, usize::MAX);
    assert_eq!(contents(&follower.keys), world.store.with_keyspace(contents));
    assert_eq!(follower.fulls, 2);
}

#[test]
fn a_follower_does_not_pass_what_a_repair_could_not_read() {
    let mut world = World::new(3, 1 << 30);
    let mut follower = Follower::new();
    set(&world.store, "before");
    follower.follow(&world.store, usize::MAX);
    let oldest = |world: &World| {
        let mut files = world.disk.files();
        files.retain(|(name, _)| name.ends_with(".log"));
        files.into_iter().map(|(name, _)| name).min().unwrap()
    };
    for i in 0..200 {
        set(&world.store, &format!("key {i}"));
        world.store.sync().unwrap();
    }
    world.store.close(1).unwrap();
    world.disk = world.disk.after_kill();
    // In what is kept for followers only, so that no start reads it.
    let path = oldest(&world);
    world.disk.flip_bit(&path, 700, 1).unwrap();
    assert_eq!(repair(&world.disk).unwrap().len(), 1);
    world.store = open(&world.disk, world.follow_bytes, &mut world.rng);
    let (name, offset) = (follower.known.unwrap(), follower.offset);
    let mut feeder = world.store.stream_from(&name, offset).unwrap();
    assert!(feeder.read(world.store.synced(), 1 << 20, &mut Vec::new()).is_err());
    world.store.stream_lost(&feeder);
    assert!(world.store.stream_from(&name, offset).is_none(), "it does not come back to it");
    follower.follow(&world.store, usize::MAX);
    assert_eq!(contents(&follower.keys), world.store.with_keyspace(contents));
    assert_eq!(follower.fulls, 2);
}
