//! Tables of settings, each with what comes of it.

use super::*;

fn load(
    file: &str,
    environment: &[(&str, &str)],
    flags: &[(&str, &str)],
) -> Result<Config, ConfigError> {
    let mut settings = Settings::default();
    settings.read_toml(Path::new("ringwell.toml"), file)?;
    settings.read_environment(
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    )?;
    for (key, value) in flags {
        settings.set(key, (*value).to_owned(), Place::Flag(format!("--{key}")))?;
    }
    Config::mean(&settings)
}

#[test]
fn flag_over_variable_over_file_over_default() {
    let file = "retention = \"1d\"";
    let variable = [("RINGWELL_RETENTION", "2d")];
    let days = |config: Config| config.retention.unwrap().as_secs() / 86_400;
    assert_eq!(days(load("", &[], &[]).unwrap()), 90);
    assert_eq!(days(load(file, &[], &[]).unwrap()), 1);
    assert_eq!(days(load(file, &variable, &[]).unwrap()), 2);
    assert_eq!(days(load(file, &variable, &[("retention", "3d")]).unwrap()), 3);
    assert_eq!(load("retention = 0", &[], &[]).unwrap().retention, None);
}

#[test]
fn every_value_reaches_its_field() {
    let config = load(
        r#"
        data_dir = "/somewhere"
        [http]
        listen = "localhost:1"
        allowed_hosts = ["a.example", "b.example:80"]
        [wal]
        sync = "250ms"
        keys_sync = "off"
        [collect]
        enabled = false
        [limits]
        body = "1MiB"
        labels = 1_0
        "#,
        &[("RINGWELL_AUTH_TOKEN", " s3cret\n")],
        &[],
    )
    .unwrap();
    assert_eq!(config.data_dir, Path::new("/somewhere"));
    assert_eq!(config.http_listen.to_string(), "127.0.0.1:1");
    assert_eq!(config.allowed_hosts, ["a.example", "b.example:80"]);
    assert_eq!(config.samples_sync, Sync::Every(Duration::from_millis(250)));
    assert_eq!(config.keys_sync, Sync::Off);
    assert_eq!(config.collect, None);
    assert_eq!(config.limits.body, 1 << 20);
    assert_eq!(config.limits.labels, 10);
    assert_eq!(config.secret.as_ref().unwrap().bytes(), b"s3cret");
    assert!(!format!("{config:?}").contains("s3cret"));
}

/// A file, variables, and what is said of them.
type Refused<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

#[test]
fn refusals_name_the_place_and_the_way_out() {
    let table: &[Refused<'_>] = &[
        (
            "\nretenton = \"1d\"",
            &[],
            r#"ringwell.toml:2: unknown setting "retenton", did you mean "retention"?"#,
        ),
        (
            "[http]\n\nlisten = \":1\"\nalowed_hosts = []",
            &[],
            r#"ringwell.toml:4: unknown setting "http.alowed_hosts", did you mean "http.allowed_hosts"?"#,
        ),
        (
            "[htpp]\nlisten = \":1\"",
            &[],
            r#"ringwell.toml:1: unknown setting "htpp", did you mean "http"?"#,
        ),
        (
            "",
            &[("RINGWELL_RETENTOIN", "1d")],
            r#"the environment: unknown setting "RINGWELL_RETENTOIN", did you mean "RINGWELL_RETENTION"?"#,
        ),
        ("a = 1\nretention 5", &[], "ringwell.toml:2: key with no value, expected `=`"),
        (
            "retention = \"ninety\"",
            &[],
            r#"ringwell.toml:1: retention = "ninety": not a duration; write it like 90d, 1h30m or 500ms"#,
        ),
        (
            "",
            &[("RINGWELL_LIMITS_BODY", "lots")],
            r#"environment variable RINGWELL_LIMITS_BODY: limits.body = "lots": not a size; write it like 64MiB, 1.5GB or 4096"#,
        ),
        (
            "[redis]\nlisten = \"0.0.0.0:6380\"",
            &[],
            "Redis would listen on 0.0.0.0:6380, which other machines can reach, and no secret protects it. Two ways out: set a secret (--auth-token-file FILE, or RINGWELL_AUTH_TOKEN), or say --insecure-allow-open if everybody on that network may read and write. (Or listen on loopback: --redis-listen 127.0.0.1:6380.)",
        ),
        (
            "[auth]\ntoken_file = \"/nonexistent\"",
            &[],
            "cannot read /nonexistent: No such file or directory (os error 2) (auth.token_file)",
        ),
    ];
    for (file, environment, message) in table {
        assert_eq!(load(file, environment, &[]).unwrap_err().to_string(), *message, "{file}");
    }
    let open = [("redis.listen", "0.0.0.0:6380")];
    assert!(load("", &[("RINGWELL_AUTH_TOKEN", "x")], &open).is_ok());
    assert!(load("auth.insecure_allow_open = true", &[], &open).is_ok());
    assert!(load("", &[("RINGWELL_SERVICE_HOST", "10.0.0.1")], &[]).is_ok());
}

#[test]
fn tls_is_all_there_or_refused() {
    let files = "[tls]\ncert_file = \"/c\"\nkey_file = \"/k\"\n";
    let with = |rest: &str| load(&format!("{files}{rest}"), &[], &[]);
    let config = with("[redis]\ntls_listen = \":7\"\ntls_client_ca_file = \"/a\"").unwrap();
    let tls = config.redis_tls.unwrap();
    assert_eq!((tls.listen.port(), config.http_tls), (7, None));
    assert_eq!(tls.files.client_ca.as_deref(), Some(Path::new("/a")));
    for (file, message) in [
        (
            "[http]\ntls_listen = \"localhost:7\"".to_owned(),
            "http.tls_listen = \"localhost:7\": tls.cert_file and tls.key_file are needed for it",
        ),
        (
            "[tls]\nkey_file = \"/k\"".to_owned(),
            "tls.key_file = \"/k\": tls.cert_file is needed too",
        ),
        (
            "[tls]\ncert_file = \"/c\"".to_owned(),
            "tls.key_file = \"\": tls.cert_file is set, so its key is needed too",
        ),
        (
            files.to_owned(),
            "tls.cert_file = \"/c\": nothing listens with TLS; set http.tls_listen or redis.tls_listen",
        ),
        (
            format!(
                "{files}[http]\ntls_client_ca_file = \"/a\"\n[redis]\ntls_listen = \"localhost:7\""
            ),
            "http.tls_client_ca_file = \"/a\": this face does not listen with TLS",
        ),
        (
            format!("{files}[http]\ntls_listen = \":7\""),
            "HTTP would listen on 0.0.0.0:7, which other machines can reach, and no secret protects it",
        ),
    ] {
        let error = load(&file, &[], &[]).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn every_default_can_be_read_and_every_variable_is_its_own() {
    load("", &[], &[]).unwrap();
    let mut names: Vec<String> = KNOBS.iter().map(Knob::variable).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), KNOBS.len());
}

#[test]
fn rules_of_a_mirrors_series_are_read_and_what_is_wrong_is_named() {
    let example = include_str!("../../examples/mirror-series.toml");
    let config = load(example, &[], &[]).unwrap();
    assert_eq!((config.mirrors.len(), config.mirrors[0].series.len()), (1, 3));
    let rule = |lines: &str| {
        let head = "[[mirror.redis]]\nname = \"m\"\nurl = \"redis://h:1\"\nseries_keys = 5\n";
        load(&format!("{head}[[mirror.redis.series]]\n{lines}"), &[], &[])
    };
    let good = "match = 'a{b=\"c\"}'\nas = \"list\"\nkey = \"k:{b}\"\n";
    assert_eq!(rule(good).unwrap().mirrors[0].series_keys, 5);
    for (lines, key, reason) in [
        ("as = \"list\"\nkey = \"k\"", "match", "needs a selector"),
        ("match = 'a{'\nas = \"list\"\nkey = \"k\"", "match", "parse error"),
        ("match = 'a'\nas = \"zset\"\nkey = \"k\"", "as", "\"list\", \"hash\" or \"keymap\""),
        ("match = 'a'\nas = \"list\"", "key", "needs a key"),
        ("match = 'a'\nas = \"list\"\nkey = \"k:{b\"", "key", "not closed"),
        ("match = 'a'\nas = \"list\"\nkey = \"k:b}\"", "key", "not open"),
        ("match = 'a'\nas = \"list\"\nkey = \"k:{}\"", "key", "a label's name"),
        ("match = 'a'\nas = \"keymap\"\nkey = \"k\"", "key", "says this itself"),
        ("match = 'a'\nas = \"hash\"\nkey = \"k\"\nmax_len = 5", "max_len", "only lists"),
        ("match = 'a'\nas = \"hash\"\nkey = \"k\"\nlabels = [\"b\"]", "labels", "only elements"),
        ("match = 'a'\nas = \"list\"\nkey = \"k\"\nmax_len = 0", "max_len", "1 to 100000"),
        ("match = 'a'\nas = \"list\"\nkey = \"k\"\ntime = \"ns\"", "time", "\"iso\", \"ms\" or"),
        ("match = 'a'\nas = \"list\"\nkey = \"k\"\nttl = \"5ms\"", "ttl", "a second at least"),
        ("match = 'a'\nas = \"list\"\nkey = \"k\"\nfields = \"b\"", "fields", "{ a = \"b\" }"),
        ("mach = 'a'", "mach", "match"),
    ] {
        let error = rule(lines).unwrap_err().to_string();
        let named = format!("mirror.redis[1].series[1].{key}");
        assert!(error.contains(&named) && error.contains(reason), "{lines}: {error}");
        assert!(error.contains("ringwell.toml:"), "{lines}: {error}");
    }
}
