//! Every knob, once: its key, what it takes, its default, and what it is for.
//!
//! The settings of file, environment and flags are read against this table, and
//! `docs/config.md` is printed from it.

/// What a knob takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A path of a file or directory.
    Path,
    /// An address to listen on, `HOST:PORT`.
    Address,
    /// A time span such as `90d`, `1h30m` or `500ms`.
    Duration,
    /// A size such as `64MiB`.
    Bytes,
    /// A whole number.
    Count,
    /// `true` or `false`.
    Switch,
    /// Words separated by commas, or a TOML array.
    List,
    /// `commit`, a time span, or `off`.
    Sync,
    /// A word or a line of text.
    Text,
    /// Text that is never printed.
    Secret,
}

impl Kind {
    /// How the reference names it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Path => "path",
            Kind::Address => "address",
            Kind::Duration => "duration",
            Kind::Bytes => "size",
            Kind::Count => "number",
            Kind::Switch => "true or false",
            Kind::List => "list",
            Kind::Sync => "`commit`, duration or `off`",
            Kind::Text => "text",
            Kind::Secret => "secret",
        }
    }
}

/// One thing that can be set.
#[derive(Clone, Copy, Debug)]
pub struct Knob {
    /// Its key in the file; a dot separates table and key.
    pub key: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Its value where nothing sets it, as it would be written.
    pub default: &'static str,
    /// Its flag of `ringwell serve`, if it has one of its own.
    pub flag: Option<&'static str>,
    /// What it is for.
    pub doc: &'static str,
}

impl Knob {
    /// Its environment variable.
    pub fn variable(&self) -> String {
        format!("RINGWELL_{}", self.key.replace('.', "_").to_uppercase())
    }
}

/// The knob of a key.
pub(super) fn find(key: &str) -> Option<&'static Knob> {
    KNOBS.iter().find(|knob| knob.key == key)
}

const fn knob(
    key: &'static str,
    kind: Kind,
    default: &'static str,
    flag: Option<&'static str>,
    doc: &'static str,
) -> Knob {
    Knob { key, kind, default, flag, doc }
}

/// All of them, in the order of the reference.
#[rustfmt::skip]
pub const KNOBS: &[Knob] = &[
    knob("data_dir", Kind::Path, "./data", Some("--data-dir"),
        "Where everything is kept. One node at a time may use a directory."),
    knob("retention", Kind::Duration, "90d", Some("--retention"),
        "How long samples are kept. 0 keeps them for ever, and then takes any timestamp, those around 1970 too."),
    knob("retention_size", Kind::Bytes, "0", None,
        "Bytes of blocks; beyond, the oldest go, one time range a second. 0 sets no bound. The log and the checkpoint come on top."),
    knob("retention_rules", Kind::Text, "", None,
        "Shorter times for some series, separated by `;`: `{__name__=~\"debug_.+\"} 7d; {job=\"lab\"} 30d`. The first rule that means a series holds. What is over leaves with the rewriting of its block, which waits until half of what the rules mean there is over."),
    knob("demo", Kind::Switch, "false", Some("--demo"),
        "Runs a simulated fleet of agents and training runs against this node; all its names begin with `demo-`."),
    knob("enable_feature", Kind::List, "", Some("--enable-feature"),
        "Prometheus's feature switches. `promql-delayed-name-removal`: the metric's name goes at the end of the query, not at each function. `use-start-timestamps`: starts of counters, as remote write 2.0 carries them, count in `rate`, `increase`, `irate` and `resets`. Other names of Prometheus's are taken and change nothing: what they switch is always on, or is not here."),
    knob("http.listen", Kind::Address, "127.0.0.1:9680", Some("--http-listen"),
        "Where the web UI and the HTTP API answer. Port 0 takes any free port."),
    knob("http.tls_listen", Kind::Address, "", Some("--http-tls-listen"),
        "Where the same answers with TLS (https), beside `http.listen`. It needs `tls.cert_file` and `tls.key_file`."),
    knob("http.tls_client_ca_file", Kind::Path, "", None,
        "Certificates of who may have signed those of clients, in PEM. Where it is set, a client of `http.tls_listen` has to show one, browsers too."),
    knob("http.allowed_hosts", Kind::List, "", None,
        "Further host names (`name` or `name:port`) by which browsers and clients may call this node, as behind a reverse proxy. Loopback names, the bound address and, on a non-loopback address, the machine's own name and any IP literal are always allowed. Web pages of these hosts may call the API from a browser (CORS). `*` allows every name and gives up the protection against DNS rebinding."),
    knob("web.enable_admin_api", Kind::Switch, "false", Some("--web.enable-admin-api"),
        "Answers Prometheus's admin paths `/api/v1/admin/tsdb/*`, which delete series and take snapshots."),
    knob("redis.listen", Kind::Address, "127.0.0.1:6380", Some("--redis-listen"),
        "Where the Redis protocol answers. Port 0 takes any free port."),
    knob("redis.tls_listen", Kind::Address, "", Some("--redis-tls-listen"),
        "Where the same answers with TLS (`rediss://`), beside `redis.listen`: Redis's `tls-port`. It needs `tls.cert_file` and `tls.key_file`."),
    knob("redis.tls_client_ca_file", Kind::Path, "", None,
        "Certificates of who may have signed those of clients, in PEM. Where it is set, a client of `redis.tls_listen` has to show one, replicas too: Redis's `tls-auth-clients yes`; where it is not, none is asked for."),
    knob("redis.debug", Kind::Switch, "false", None,
        "Allows DEBUG: sleeping, one reply of every kind, and words that test suites say. For tests only."),
    knob("tls.cert_file", Kind::Path, "", Some("--tls-cert-file"),
        "The certificate that both faces show where they answer with TLS, in PEM; behind it those between it and its authority. Files of TLS that change are taken into use within seconds, for new connections."),
    knob("tls.key_file", Kind::Path, "", Some("--tls-key-file"),
        "Its key, in PEM and not encrypted."),
    knob("auth.token_file", Kind::Path, "", Some("--auth-token-file"),
        "File that holds the one secret which opens both faces: HTTP Bearer, HTTP Basic with any user, Redis AUTH. White space around it is ignored."),
    knob("auth.token", Kind::Secret, "", None,
        "The same secret itself; meant for the environment. Set this or `auth.token_file`, not both."),
    knob("auth.insecure_allow_open", Kind::Switch, "false", Some("--insecure-allow-open"),
        "Allows a non-loopback address without a secret: then anybody who reaches it can read and write."),
    knob("wal.sync", Kind::Sync, "commit", None,
        "When samples are synced to the disk. `commit`: before they are acknowledged. A duration: that often, so a power cut may lose as much. `off`: when the system likes. A crash of the process loses nothing in any mode."),
    knob("wal.keys_sync", Kind::Sync, "1s", None,
        "The same for Redis keys; the default is Redis's `everysec`, `commit` its `always`."),
    knob("replica_of", Kind::Secret, "", Some("--replica-of"),
        "A Redis that this node follows, to move in: `redis[s]://[[user]:password@]host[:port]`. Behind a `?` may stand files, joined by `&`, which are read at every connection: `password_file=...`, and for `rediss://` `ca_file=...`, `cert_file=...` and `key_file=...` in PEM. Its keys take the place of what is here, clients may only read. Started without it the node is its own again."),
    knob("replication.backlog", Kind::Bytes, "1GiB", None,
        "The log kept below the checkpoint, once a replica was fed, so that replicas that were away go on where they were. Samples stand in the same log. On a nearly full disk none is kept."),
    knob("replication.ping", Kind::Duration, "10s", None,
        "How often replicas hear that the node is there; keep it well below their `repl-timeout`."),
    knob("replication.timeout", Kind::Duration, "60s", None,
        "A replica that says nothing for so long is cut off."),
    knob("collect.enabled", Kind::Switch, "true", None,
        "Collects metrics of the host and of the node itself into the node's own store."),
    knob("collect.interval", Kind::Duration, "5s", None,
        "How often they are collected."),
    knob("events.derive", Kind::Text, "always", None,
        "Which messages that agents publish on `events:training:progress`, `events:tasks:updates`, `events:agents:status` and `events:errors:*` become keys (docs/events.md). `always`: all. `unheard`: those on channels that nobody subscribed to by name, since a subscriber may write the keys itself. `off`: none."),
    knob("events.dashboard", Kind::Duration, "5s", None,
        "How often the dashboard's message is published on `events:dashboard:update`, while somebody listens. 0 = never."),
    knob("events.dashboard_project", Kind::Text, "", None,
        "The training project of the dashboard's message; none means the one whose progress was published last, and `proj-1` before there is one."),
    knob("events.redis", Kind::Secret, "", None,
        "Another Redis whose events become keys here too: an address as `replica_of` takes it."),
    knob("log.level", Kind::Text, "info", None,
        "What is logged to stderr: `error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,ringwell::http=debug`."),
    knob("log.format", Kind::Text, "text", None,
        "`text`, or `json` with one object a line."),
    knob("log.slow_query", Kind::Duration, "10s", None,
        "Queries that run longer are logged with what they took. 0 logs none."),
    knob("limits.series", Kind::Count, "2000000", None,
        "Active series. At the limit new series are refused and named, existing ones go on."),
    knob("limits.metric_series", Kind::Count, "1000000", None,
        "Active series of one metric; beyond, its new series are refused, and the metric is named."),
    knob("limits.label_values", Kind::Count, "1000000", None,
        "Values that one label has on active series; beyond, new series with a further value are refused, and the label is named."),
    knob("limits.labels", Kind::Count, "40", None,
        "Labels of one series, its metric name included."),
    knob("limits.label_name", Kind::Bytes, "1KiB", None,
        "Length of a label's name."),
    knob("limits.label_value", Kind::Bytes, "4KiB", None,
        "Length of a label's value."),
    knob("limits.max_future", Kind::Duration, "10m", None,
        "How far ahead of the clock a sample may be."),
    knob("limits.body", Kind::Bytes, "32MiB", None,
        "Body of one HTTP request as sent."),
    knob("limits.body_decoded", Kind::Bytes, "128MiB", None,
        "The same after decompression; checked before memory is taken."),
    knob("limits.ingest_in_flight", Kind::Bytes, "512MiB", None,
        "Bytes of ingest requests held in memory at one time, decoded. Requests beyond wait, then are asked to come again."),
    knob("limits.ingest_queue", Kind::Duration, "5s", None,
        "How long such a request waits for room before it is asked to come again."),
    knob("limits.min_free_disk", Kind::Bytes, "64MiB", None,
        "Samples and growing keys are refused while less than this is free on the disk (HTTP 503 with Retry-After, `-MISCONF`), and taken again by themselves once a quarter more is free. Deletes, expiry, retention and queries go on. 0 = never."),
    knob("limits.disk_reserve", Kind::Bytes, "16MiB", None,
        "Size of the file `RESERVE`, given up when the disk is full all the same, so that deletes, retention and the stop find room; made again once there is room. 0 = none."),
    knob("limits.index_cache", Kind::Bytes, "32MiB", None,
        "Memory for the indexes of blocks, whatever their number: names, series, postings and what is known of chunks are read from the disk page by page, and pages in use are kept."),
    knob("limits.query_time", Kind::Duration, "2m", None,
        "Longest run of one query."),
    knob("limits.query_samples", Kind::Count, "50000000", None,
        "Samples one query may hold at a time."),
    knob("limits.query_concurrency", Kind::Count, "0", None,
        "Queries that run at a time; 0 means twice the processor cores."),
    knob("limits.query_queue", Kind::Duration, "10s", None,
        "How long a query waits for its turn before it is refused."),
    knob("limits.exemplars", Kind::Count, "100000", None,
        "Exemplars kept, of all series together; beyond, the oldest go. 0 keeps none."),
    knob("limits.documents", Kind::Bytes, "16MiB", None,
        "Bytes of documents kept, such as the users that ACL SETUSER makes; what would not fit is refused."),
    knob("limits.metadata", Kind::Bytes, "64MiB", None,
        "Names, helps and units of metrics kept; beyond, those of further metrics are refused."),
    knob("limits.read_samples", Kind::Count, "5000000", None,
        "Samples of one remote read that is answered in one message, which is held in memory. Streamed answers, which newer readers ask for, hold a frame at a time and have no such bound."),
    knob("limits.read_frame", Kind::Bytes, "1MiB", None,
        "A frame of a streamed remote read; a series of more goes into several."),
    knob("limits.http_connections", Kind::Count, "4096", None,
        "Open HTTP connections; further ones wait to be accepted."),
    knob("limits.handshake_time", Kind::Duration, "10s", None,
        "How long a client may take to agree on TLS. Until then it counts to the open connections of its face."),
    knob("limits.head_time", Kind::Duration, "20s", None,
        "How long the head of an HTTP request may take, the idle time of a kept connection included. Below the rhythm of a sender (Prometheus writes every 5 s, scrapes every 15 s) it would find its connection closed just as it uses it."),
    knob("limits.body_time", Kind::Duration, "60s", None,
        "How long the body of an HTTP request may take."),
    knob("limits.redis_connections", Kind::Count, "10000", None,
        "Open Redis connections; further ones are refused."),
    knob("limits.redis_bulk", Kind::Bytes, "64MiB", None,
        "One argument of a Redis command; at most 512MiB."),
    knob("limits.redis_args", Kind::Count, "1048576", None,
        "Arguments of one Redis command."),
    knob("limits.redis_output", Kind::Bytes, "256MiB", None,
        "Replies held for one Redis client that does not read them; beyond, it is disconnected."),
    knob("limits.source_command", Kind::Bytes, "1GiB", None,
        "A command, or a transaction, of the Redis that this node follows, held until all of it is there; what one of more does comes with a full sync."),
    knob("limits.events_queue", Kind::Bytes, "32MiB", None,
        "Published events that wait to become keys; further ones are lost and counted."),
    knob("limits.live_subscriptions", Kind::Count, "200", None,
        "Live subscriptions of one browser tab."),
];
