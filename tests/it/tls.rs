//! TLS towards a real Redis that asks for a certificate too: as a source, as a mirror's target, for an import; and
//! a password that is changed while all goes on.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::follow::{Draw, Server, free_port, send_all};
use crate::import::{import, status};
use crate::moving::{equal, metric, push, samples};
use crate::node::{Node, Options};
use crate::oracle::Connection;

const NEW: &str = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";

fn openssl(dir: &Path, line: &str) -> bool {
    let done = Command::new("openssl").args(line.split(' ')).current_dir(dir).output();
    done.is_ok_and(|output| output.status.success())
}

/// A certificate for 127.0.0.1, signed by an authority.
pub fn sign(dir: &Path, name: &str, authority: &str) -> bool {
    openssl(
        dir,
        &format!(
            "{NEW} -keyout {name}.key -out {name}.csr -subj /CN={name} -addext subjectAltName=IP:127.0.0.1"
        ),
    ) && openssl(
        dir,
        &format!(
            "x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial -days 3 -copy_extensions copy -out {name}.pem"
        ),
    )
}

/// Two certificate authorities, `ca` and `other`, and what the first signed for 127.0.0.1; `None` where there is no
/// openssl.
pub fn certificates() -> Option<TempDir> {
    let dir = tempfile::tempdir().unwrap();
    let authority = |name: &str| {
        let line =
            format!("{NEW} -days 3 -x509 -keyout {name}.key -out {name}.pem -subj /CN={name}");
        openssl(dir.path(), &line)
    };
    let made = authority("ca") && authority("other") && sign(dir.path(), "redis", "ca");
    if !made {
        println!("skipped: there is no openssl that makes certificates");
    }
    made.then_some(dir)
}

/// A Redis with TLS, and its address with what is needed to call it.
pub fn server(dir: &Path) -> Option<(Server, String, String)> {
    let port = free_port().to_string();
    let file = |name: &str| dir.join(name).display().to_string();
    let (cert, key, ca) = (file("redis.pem"), file("redis.key"), file("ca.pem"));
    let arguments = [
        ["--tls-port", &port],
        ["--tls-cert-file", &cert],
        ["--tls-key-file", &key],
        ["--tls-ca-cert-file", &ca],
    ];
    let server = Server::start(Path::new("redis-server"), &arguments.concat())?;
    let query = format!("ca_file={ca}&cert_file={cert}&key_file={key}");
    Some((server, format!("127.0.0.1:{port}"), query))
}

#[test]
fn a_source_is_followed_and_imported_with_tls() {
    let Some(dir) = certificates() else { return };
    let Some((source, address, query)) = server(dir.path()) else { return };
    let mut client = TcpStream::connect(source.address()).unwrap();
    assert!(send_all(&mut client, &Draw(31).pipeline(300)));
    push(&mut TcpStream::connect(source.address()).unwrap(), 0, 90);
    let url = format!("rediss://{address}?{query}");
    let node = Options::default().arg(format!("--replica-of={url}")).start();
    equal(&node, &source.address());
    assert!(send_all(&mut client, &Draw(32).pipeline(300)));
    equal(&node, &source.address());
    assert_eq!(samples(&node), 90.0);

    let node = Node::start();
    let (done, told) = import(&node, &[&url]);
    assert!(done, "{told}");
    let (same, told) = status(&node, &url, &[]);
    assert!(same, "{told}");
    // Somebody else's certificate, and none where one is asked for.
    let other = query.replacen("ca.pem", "other.pem", 1);
    for (query, says) in [(other.as_str(), "TLS"), ("ca_file=/nowhere", "cannot read /nowhere")] {
        let (done, told) = import(&node, &[&format!("rediss://{address}?{query}")]);
        assert!(!done && told.contains(says), "{told}");
    }
}

#[test]
fn a_mirror_pushes_with_tls_and_takes_a_new_password() {
    let Some(dir) = certificates() else { return };
    let Some((target, address, _)) = server(dir.path()) else { return };
    let mut admin = Connection::open(&target.address());
    admin.call(&["CONFIG", "SET", "requirepass", "first"]);
    admin.call(&["AUTH", "first"]);
    let file = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(file("password"), "first\n").unwrap();
    let config = format!(
        "[[mirror.redis]]\nname = \"test\"\nurl = \"rediss://{address}\"\npassword_file = \"{}\"\nca_file = \"{}\"\ncert_file = \"{}\"\nkey_file = \"{}\"\n",
        file("password"),
        file("ca.pem"),
        file("redis.pem"),
        file("redis.key"),
    );
    std::fs::write(file("ringwell.toml"), config).unwrap();
    let node = Options::default().arg(format!("--config={}", file("ringwell.toml"))).start();
    let mut client = Connection::open(&node.redis);
    let arrives = |admin: &mut Connection, value: &str| {
        node.wait_for("the value", |_| {
            format!("{:?}", admin.call(&["GET", "k"])).contains(value).then_some(())
        });
    };
    client.call(&["SET", "k", "one"]);
    arrives(&mut admin, "one");
    // The key may be there before the first writing of all is over, and one that is cut off begins anew.
    node.wait_for("the end of it", |node| {
        (metric(node, "ringwell_mirror_rebuilding") == 0.0).then_some(())
    });
    // A new password, known to the file first; the old connections end.
    std::fs::write(file("password"), "second\n").unwrap();
    admin.call(&["CONFIG", "SET", "requirepass", "second"]);
    admin.call(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    client.call(&["SET", "k", "two"]);
    arrives(&mut admin, "two");
    assert_eq!(metric(&node, "ringwell_mirror_rebuilds_total"), 1.0);
    let other = Node::start();
    let (url, files) =
        (format!("rediss://{address}"), ["password", "ca.pem", "redis.pem", "redis.key"]);
    let files = files.map(file);
    let names = ["--password-file", "--ca-file", "--cert-file", "--key-file"];
    let flags = names.iter().zip(&files).flat_map(|(name, file)| [*name, file.as_str()]);
    let (done, told) = import(&other, &flags.chain([url.as_str()]).collect::<Vec<_>>());
    assert!(done, "{told}");
    let there = format!("{:?}", Connection::open(&other.redis).call(&["GET", "k"]));
    assert!(there.contains("two"), "{there}");
    assert!(!node.log().contains("second"));
}
