//! The operator's rules of the keymap, what they do to keys, and forgetting: the real binary.

use std::fmt::Write as _;
use std::process::Output;

use crate::clients::{cli, count};
use crate::node::{Node, Options, command};
use crate::wire;

fn node_with(rules: &str) -> (Node, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ringwell.toml");
    std::fs::write(&file, rules).unwrap();
    (Options::default().arg("--config").arg(file.to_str().unwrap()).start(), dir)
}

fn ringwell(words: &[&str]) -> Output {
    command().args(words).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &output.stderr].concat()).into_owned()
}

fn wait(node: &Node, words: &[&str], answer: &str) {
    node.wait_for(&format!("{words:?} = {answer}"), |node| {
        (cli(&node.redis, words).trim() == answer).then_some(())
    });
}

#[test]
fn lists_are_kept_as_short_as_their_rule_says() {
    let (mut node, _dir) = node_with(
        "[[keymap.rules]]\nkey = \"metrics:queue:<queue>:depth\"\nmax_len = 10\n\
         [[keymap.rules]]\nkey = \"metrics:queue:<queue>:wait\"\nmax_age = \"1h\"\n\
         [[keymap.rules]]\nkey = \"metrics:queue:<queue>:lag\"\nmax_age = \"expire\"\n",
    );
    for (key, push) in [("metrics:queue:l:depth", "LPUSH"), ("metrics:queue:r:depth", "RPUSH")] {
        for n in 0..25 {
            cli(&node.redis, &[push, key, &n.to_string()]);
        }
        wait(&node, &["LLEN", key], "10");
        let newest = if push == "LPUSH" { "0" } else { "-1" };
        assert_eq!(cli(&node.redis, &["LINDEX", key, newest]).trim(), "24");
        let query = format!(
            "sum(count_over_time(queue_depth{{queue=\"{}\"}}[10m] offset -1m))",
            &key[14..15]
        );
        assert_eq!(count(&node, &query), 25.0, "the series has all of them");
    }
    let element = |ago: i64| format!(r#"{{"value":1,"timestamp":{}}}"#, wire::now() - ago * 1000);
    for ago in [7300, 3700, 3650, 600, 5] {
        cli(&node.redis, &["LPUSH", "metrics:queue:q:wait", &element(ago)]);
        cli(&node.redis, &["RPUSH", "metrics:queue:q:lag", &element(ago)]);
    }
    wait(&node, &["LLEN", "metrics:queue:q:wait"], "2");
    assert_eq!(cli(&node.redis, &["LLEN", "metrics:queue:q:lag"]).trim(), "5", "no EXPIRE yet");
    cli(&node.redis, &["EXPIRE", "metrics:queue:q:lag", "300"]);
    wait(&node, &["LLEN", "metrics:queue:q:lag"], "1");
    // Lists from before the start are seen to without a push.
    cli(&node.redis, &["SET", "other", "x"]);
    node.kill();
    node.restart();
    wait(&node, &["LLEN", "metrics:queue:q:wait"], "2");
}

#[test]
fn keys_and_series_are_forgotten() {
    let (node, _dir) = node_with(
        "[[keymap.rules]]\nkey = \"metrics:secret:<who>:pulse\"\non_delete = \"forget\"\n",
    );
    let url = format!("http://{}", node.http);
    let series = |query: &str| count(&node, &format!("count(last_over_time({query}[1h]))"));
    cli(&node.redis, &["LPUSH", "metrics:secret:ann:pulse", "70"]);
    cli(&node.redis, &["LPUSH", "metrics:secret:bob:pulse", "80"]);
    cli(&node.redis, &["DEL", "metrics:secret:ann:pulse"]);
    node.wait_for("the series to go", |_| (series("secret_pulse") == 1.0).then_some(()));
    assert_eq!(series(r#"secret_pulse{who="bob"}"#), 1.0);
    for key in
        ["metrics:training:old:loss", "metrics:training:old:wer", "metrics:training:new:loss"]
    {
        cli(&node.redis, &["LPUSH", key, r#"{"value":1,"step":1}"#]);
    }
    // This one is long gone, its past is not.
    cli(&node.redis, &["DEL", "metrics:training:old:wer"]);
    let pattern = "metrics:training:old:*";
    let told = text(&ringwell(&["forget", pattern, "--url", &url]));
    assert!(told.starts_with("1 keys, 4 series: {__name__=~\"training_"), "{told}");
    assert_eq!(series(r#"{__name__=~"training_.+"}"#), 6.0, "nothing is deleted yet");
    let told = text(&ringwell(&["forget", pattern, "--url", &url, "--yes"]));
    assert!(told.contains("deleted;"), "{told}");
    assert_eq!(series(r#"{__name__=~"training_.+"}"#), 2.0);
    assert_eq!(cli(&node.redis, &["EXISTS", "metrics:training:old:loss"]).trim(), "0");
    let refused = ringwell(&["forget", "", "--url", &url]);
    assert!(!refused.status.success() && text(&refused).contains("\"pattern\""), "{refused:?}");
}

#[test]
fn the_keymap_explains_itself() {
    let rules =
        "[[keymap.rules]]\nkey = \"shop:<branch>:takings\"\nlabels = { currency = \"eur\" }\n";
    let (node, dir) = node_with(rules);
    cli(&node.redis, &["LPUSH", "shop:berlin:takings", "5"]);
    let url = format!("http://{}", node.http);
    let explain = |words: &[&str]| text(&ringwell(&[&["keymap", "explain"], words].concat()));
    let key = explain(&["shop:berlin:takings", "--url", &url]);
    assert!(key.contains(r#"shop_takings{branch="berlin",currency="eur"}"#), "{key}");
    let series = explain(&["shop_takings", "--url", &url]);
    assert!(series.starts_with("shop:berlin:takings"), "{series}");
    let file = dir.path().join("ringwell.toml");
    let offline = explain(&["shop_takings", "--config", file.to_str().unwrap()]);
    assert!(offline.starts_with("shop:<branch>:takings"), "{offline}");
    let nothing = ringwell(&["keymap", "explain", "unheard_of", "--url", &url]);
    assert!(!nothing.status.success() && text(&nothing).contains("unheard_of"), "{nothing:?}");
}

#[test]
fn wrong_rules_are_refused_with_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ringwell.toml");
    let good = "[[keymap.rules]]\nkey = \"a:<b>\"\n\n";
    for (rule, told) in [
        ("key = \"a::b\"", "ringwell.toml:5: keymap.rules[2].key"),
        (
            "key = \"a\"\nnaem = \"b\"",
            "ringwell.toml:6: unknown setting \"keymap.rules[2].naem\", did you mean \"name\"?",
        ),
        (
            "key = \"a\"\nlookback = \"soon\"",
            "ringwell.toml:6: keymap.rules[2].lookback = \"soon\"",
        ),
        ("key = \"a\"\non_delete = \"never\"", "neither keep nor forget"),
        ("key = \"a\"\nlabels = { a = 5 }", "\"a\" must be a text"),
        ("name = \"a\"", "a rule needs a key"),
        ("key = \"a\"\nmax_len = 0", "ringwell.toml:6: keymap.rules[2].max_len"),
        ("key = \"a\"\nfields = \"x\"", "must be a table of texts"),
    ] {
        let mut text_of = good.to_owned();
        let _ = write!(text_of, "[[keymap.rules]]\n{rule}\n");
        std::fs::write(&file, text_of).unwrap();
        let checked = ringwell(&["check", "--config", file.to_str().unwrap()]);
        assert!(!checked.status.success() && text(&checked).contains(told), "{rule}: {checked:?}");
    }
    for wrong in ["keymap = 5", "[keymap]\nrules = 5", "[keymap]\nrules = [1]", "[keymap]\nx = 1"] {
        std::fs::write(&file, wrong).unwrap();
        let checked = ringwell(&["check", "--config", file.to_str().unwrap()]);
        assert!(!checked.status.success(), "{wrong}");
    }
}
