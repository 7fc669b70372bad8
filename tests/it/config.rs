//! Settings through the real command line, and what is refused at the start.

use std::net::TcpListener;

use crate::node::{Node, Options, command, data};

fn retention(node: &Node) -> String {
    data(&node.get("/api/v1/status/runtimeinfo"))["storageRetention"].as_str().unwrap().to_owned()
}

#[test]
fn flag_over_variable_over_file_over_default() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ringwell.toml");
    std::fs::write(&file, "retention = \"1d\"\n[http]\nlisten = \"127.0.0.1:1\"\n").unwrap();
    let file = file.to_str().unwrap();
    let days = |n: u64| format!("{}s", n * 86_400);

    assert_eq!(retention(&Node::start()), days(90));
    let with_file = Options::default().arg("--config").arg(file);
    assert_eq!(retention(&with_file.clone().start()), days(1));
    let with_variable = with_file.variable("RINGWELL_RETENTION", "2d");
    assert_eq!(retention(&with_variable.clone().start()), days(2));
    assert_eq!(retention(&with_variable.clone().arg("--retention").arg("3d").start()), days(3));
    assert_eq!(retention(&with_variable.arg("--set").arg("retention=4d").start()), days(4));
    let by_variable = Options::default().variable("RINGWELL_CONFIG", file);
    assert_eq!(retention(&by_variable.start()), days(1));
}

/// Runs a command that must fail; gives its stderr.
fn refusal(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let output = command()
        .args(arguments)
        .envs(variables.iter().copied())
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(!output.status.success(), "{arguments:?} {variables:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Arguments, variables, and what the refusal must contain.
type Refused<'a> = (Vec<&'a str>, &'a [(&'a str, &'a str)], &'a [&'a str]);

#[test]
fn what_is_refused_names_the_way_out() {
    let free = ["serve", "--http-listen", "127.0.0.1:0", "--redis-listen", "127.0.0.1:0"];
    let with = |more: &[&'static str]| [&free[..], more].concat();
    let table: &[Refused<'_>] = &[
        (
            vec!["serve", "--http-listen", "0.0.0.0:9680"],
            &[],
            &["HTTP would listen on 0.0.0.0:9680", "--auth-token-file", "--insecure-allow-open"],
        ),
        (
            vec!["serve", "--redis-listen", "[::]:6380"],
            &[],
            &["Redis would listen on [::]:6380", "--auth-token-file", "--insecure-allow-open"],
        ),
        (
            vec!["check"],
            &[("RINGWELL_RETENTOIN", "1d")],
            &["\"RINGWELL_RETENTOIN\"", "did you mean \"RINGWELL_RETENTION\""],
        ),
        (
            vec!["check", "--set", "limits.boddy=1MiB"],
            &[],
            &["limits.boddy", "did you mean \"limits.body\""],
        ),
        (vec!["check", "--retention", "soon"], &[], &["flag --retention", "write it like 90d"]),
        (vec!["check", "--config", "missing.toml"], &[], &["cannot read missing.toml"]),
        (with(&["--set", "log.level=a=b=c"]), &[], &["log.level"]),
    ];
    for (arguments, variables, texts) in table {
        let refusal = refusal(arguments, variables);
        for text in *texts {
            assert!(refusal.contains(text), "{arguments:?}: {refusal:?} lacks {text:?}");
        }
    }
}

#[test]
fn a_wrong_file_is_refused_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.toml");
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        refusal(&["check", "--config", file.to_str().unwrap()], &[])
    };
    assert!(
        check("\n\n[http]\nlissen = \":1\"")
            .contains("c.toml:4: unknown setting \"http.lissen\", did you mean \"http.listen\"")
    );
    assert!(check("retention = \"1d\"\nretention = \"2d\"").contains("c.toml:2: duplicate key"));
    std::fs::write(&file, "retention = \"1d\"").unwrap();
    let checked = command().args(["check", "--config", file.to_str().unwrap()]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&checked.stdout), "ok\n");
}

#[test]
fn a_taken_address_names_its_owner_and_the_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refusal =
        refusal(&["serve", "--http-listen", "127.0.0.1:0", "--redis-listen", &address], &[]);
    let owner = format!("(process {}) has it", std::process::id());
    for text in [&*format!("Redis cannot listen on {address}"), &*owner, "--redis-listen"] {
        assert!(refusal.contains(text), "{refusal:?} lacks {text:?}");
    }
}

#[test]
fn a_directory_serves_one_node() {
    let node = Node::start();
    let dir = node.data_dir();
    let refusal = refusal(
        &[
            "serve",
            "--http-listen",
            "127.0.0.1:0",
            "--redis-listen",
            "127.0.0.1:0",
            "--data-dir",
            dir.to_str().unwrap(),
        ],
        &[],
    );
    assert!(refusal.contains("is another node running on it?"), "{refusal}");
    assert_eq!(node.get("/-/ready").status, 200);
}

#[test]
fn an_open_address_with_the_word_for_it_starts() {
    let node = Options::default()
        .arg("--insecure-allow-open")
        .variable("RINGWELL_LOG_FORMAT", "json")
        .start();
    assert_eq!(node.get("/-/ready").status, 200);
    let first = node.log().lines().next().unwrap().to_owned();
    let line: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert_eq!(line["level"], "INFO");
}

#[test]
fn help_and_version_teach() {
    let output = |arguments: &[&str]| {
        let output = command().args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(output(&["version"]), format!("ringwell {}\n", env!("CARGO_PKG_VERSION")));
    let help = output(&["--help"]);
    for text in
        ["serve", "query", "check", "inspect", "version", "redis-cli", "http://127.0.0.1:9680"]
    {
        assert!(help.contains(text), "{text}");
    }
    assert!(output(&["serve", "--help"]).contains("127.0.0.1:6380"));
}
