//! What is kept beside samples, documents, exemplars and metadata: it survives restarts from the log and from a
//! checkpoint, costs nothing when it comes again, and stays within its bounds.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use ringwell_storage::disk::{Disk, MemDisk};
use ringwell_storage::documents::{Document, DocumentError};
use ringwell_storage::exemplars::{Exemplar, SeriesExemplar};
use ringwell_storage::metadata::{Metadata, MetricMetadata, MetricType};
use ringwell_storage::model::{Labels, Matcher, TimeRange};
use ringwell_storage::store::{Options, Store};

fn exemplar(series: &str, t: i64) -> SeriesExemplar {
    let trace = format!("trace-{t}");
    SeriesExemplar {
        series: Labels::from_pairs([("__name__", series), ("job", "a")]).unwrap(),
        exemplar: Exemplar {
            labels: Labels::from_pairs([("trace_id", trace.as_str())]).unwrap(),
            t,
            value: t as f64 / 2.0,
        },
    }
}

fn metadata(metric: &str, help: &str) -> MetricMetadata {
    let metadata =
        Metadata { kind: MetricType::Counter, help: help.to_owned(), unit: "bytes".to_owned() };
    MetricMetadata { metric: metric.to_owned(), metadata }
}

fn open(disk: &Arc<dyn Disk>, options: &Options) -> Store {
    Store::open(Arc::clone(disk), options.clone(), 0).unwrap()
}

fn document(name: &str, body: Option<&str>) -> Document {
    Document { name: name.into(), body: body.map(Into::into) }
}

/// All that is kept, as text.
fn dump(store: &Store) -> String {
    let any = [vec![Matcher::equal("job", "a")]];
    let beside = (store.documents(b"acl/"), store.metadata(None));
    format!("{:?} {beside:?}", store.exemplars(&any, TimeRange::ALL))
}

#[test]
fn restarts_keep_it() {
    let disk: Arc<dyn Disk> = Arc::new(MemDisk::new());
    let options = Options { exemplars: 5, ..Options::default() };
    let mut expected = None;
    for round in 0..4 {
        let store = open(&disk, &options);
        if let Some(expected) = expected {
            assert_eq!(dump(&store), expected, "round {round}");
        }
        let times = round * 3..round * 3 + 4;
        let taken = store.add_exemplars(times.map(|t| exemplar("s", t)).collect()).unwrap();
        assert_eq!((taken.kept, taken.out_of_order), (4, 0), "round {round}");
        let late = store.add_exemplars(vec![exemplar("s", -1)]).unwrap();
        assert_eq!((late.kept, late.out_of_order, late.position), (0, 1, None));
        store.note_metadata(vec![metadata("m", &format!("help {round}"))]).unwrap();
        let gone = (round > 0).then(|| document(&format!("acl/{}", round - 1), None));
        let new = document(&format!("acl/{round}"), Some(&"x".repeat(3)));
        store.set_documents(gone.into_iter().chain([new]).collect()).unwrap();
        assert_eq!(
            store.documents(b"acl/").into_keys().collect::<Vec<_>>(),
            [round.to_string().as_bytes()]
        );
        let end = store.stats().log_end;
        let again = store.note_metadata(vec![metadata("m", &format!("help {round}"))]).unwrap();
        assert_eq!((again.kept, again.position), (1, None));
        store.add_exemplars(vec![exemplar("s", round * 3 + 3)]).unwrap();
        assert_eq!(store.stats().log_end, end, "what is known is not logged");
        let range = TimeRange::new(round * 3 + 1, round * 3 + 2).unwrap();
        let found = store.exemplars(&[vec![Matcher::equal("__name__", "s")]], range);
        assert_eq!(found.values().map(Vec::len).sum::<usize>(), 2);
        assert_eq!(store.stats().exemplars, 4 + u64::from(round > 0));
        expected = Some(dump(&store));
        // Every second stop leaves a checkpoint, the others only the log.
        if round % 2 == 0 {
            store.sync().unwrap();
        } else {
            store.close(0).unwrap();
        }
    }
    let none = open(&disk, &Options { exemplars: 0, ..options });
    assert_eq!(none.stats().exemplars, 0);
    assert_eq!(none.add_exemplars(vec![exemplar("s", 99)]).unwrap().kept, 0);
}

#[test]
fn metadata_stays_within_its_bytes() {
    let disk: Arc<dyn Disk> = Arc::new(MemDisk::new());
    let store = open(&disk, &Options { metadata_bytes: 30, ..Options::default() });
    let entries = vec![metadata("one", "0123456789"), metadata("two", "0123456789")];
    let noted = store.note_metadata(entries).unwrap();
    assert_eq!((noted.kept, noted.refused), (1, 1));
    assert_eq!((store.stats().metadata, store.stats().metadata_bytes), (1, 18));
    assert_eq!(store.metadata(Some("two")).len(), 0);
    let long = store.note_metadata(vec![metadata("m", &"x".repeat(20 << 10))]).unwrap();
    assert_eq!(long.refused, 1);
}

#[test]
fn documents_stay_within_their_bytes() {
    let disk: Arc<dyn Disk> = Arc::new(MemDisk::new());
    let store = open(&disk, &Options { documents_bytes: 10, ..Options::default() });
    store.set_documents(vec![document("a", Some("0123"))]).unwrap();
    let more = store.set_documents(vec![document("b", Some("0123456"))]);
    assert!(matches!(more, Err(DocumentError::TooMany { bytes: 13, limit: 10 })));
    store.set_documents(vec![document("a", Some("01"))]).unwrap();
    assert_eq!((store.stats().documents_bytes, store.documents(b"").len()), (3, 1));
    let empty = store.set_documents(vec![document("12345678", Some(""))]);
    assert!(matches!(empty, Err(DocumentError::TooMany { bytes: 11, limit: 10 })));
    store.set_documents(vec![document("a", Some("012345678"))]).unwrap();
    let long = store.set_documents(vec![document("a", Some(&"x".repeat(2 << 20)))]);
    assert!(matches!(long, Err(DocumentError::TooLong { name: 1, .. })));
}
