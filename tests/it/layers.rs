//! The rules of docs/architecture.md that the compiler does not enforce: who may name whom, and which file
//! alone may touch the disk or read the clock.

use std::path::{Path, PathBuf};

/// Under this folder, lines (outside of comments) may not contain these words; files listed last are excepted.
struct Rule {
    folder: &'static str,
    words: &'static [&'static str],
    except: &'static [&'static str],
}

const RULES: &[Rule] = &[
    Rule {
        folder: "storage/src",
        words: &["tokio", "SystemTime", "Instant::now", "TcpStream", "TcpListener"],
        except: &[],
    },
    Rule {
        folder: "storage/src",
        words: &["std::fs"],
        except: &["storage/src/disk/os.rs", "storage/src/catalog/sled.rs"],
    },
    Rule {
        folder: "storage/src/model",
        words: &["crate::disk", "crate::wal", "crate::head", "crate::block", "Mutex", "RwLock"],
        except: &[],
    },
    Rule {
        folder: "storage/src/chunk",
        words: &["crate::disk", "crate::wal", "crate::head", "crate::block", "Mutex"],
        except: &[],
    },
    Rule {
        folder: "storage/src/keyspace",
        words: &["crate::disk", "crate::wal", "crate::head", "crate::block", "Mutex", "RwLock"],
        except: &[],
    },
    Rule {
        folder: "query/src",
        words: &[
            "ringwell_storage::store",
            "ringwell_storage::disk",
            "ringwell_storage::wal",
            "ringwell_storage::block",
            "ringwell_storage::keyspace",
            "std::fs",
            "SystemTime",
            "tokio",
        ],
        except: &[],
    },
    Rule { folder: "src", words: &["SystemTime::now"], except: &["src/clock.rs"] },
    Rule { folder: "src/http", words: &["crate::resp::session", "Keyspace"], except: &[] },
    Rule { folder: "src/resp", words: &["crate::http"], except: &[] },
    Rule { folder: "src/http", words: &["crate::mcp"], except: &[] },
    Rule { folder: "src/mcp", words: &["crate::http", "crate::resp", "Keyspace"], except: &[] },
    Rule { folder: "src/replication", words: &["crate::http", "ringwell_query"], except: &[] },
    Rule {
        folder: "src/mirror",
        words: &["crate::http", "crate::resp", "ringwell_query"],
        except: &[],
    },
    Rule {
        folder: "src/compare",
        words: &["crate::http", "crate::resp", "crate::mirror", "ringwell_query"],
        except: &[],
    },
    Rule {
        folder: "src/remote",
        words: &["crate::http", "crate::resp", "crate::mirror", "ringwell_storage"],
        except: &[],
    },
    Rule {
        folder: "src/tls",
        words: &[
            "crate::http",
            "crate::resp",
            "crate::mirror",
            "crate::remote",
            "ringwell_storage",
        ],
        except: &[],
    },
    Rule { folder: "src/ingest", words: &["crate::http", "crate::resp"], except: &[] },
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files
}

/// Code lines with their numbers: no comments, and nothing after the file's test module begins.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(i, line)| (i + 1, line));
    lines
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[test]
fn nobody_knows_what_is_not_theirs() {
    let mut broken = Vec::new();
    for rule in RULES {
        for file in rust_files(&root().join(rule.folder)) {
            let name = file.strip_prefix(root()).unwrap().display().to_string();
            if rule.except.contains(&name.as_str()) {
                continue;
            }
            let text = std::fs::read_to_string(&file).unwrap();
            for (number, line) in code(&text) {
                let words = rule.words.iter().filter(|word| line.contains(**word));
                broken.extend(words.map(|word| format!("{name}:{number} names {word}")));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_file_begins_with_what_it_is() {
    let folders = ["src", "storage/src", "query/src", "web/embed", "benches"];
    let files = folders.iter().flat_map(|folder| rust_files(&root().join(folder)));
    let silent: Vec<String> = files
        .filter(|file| !std::fs::read_to_string(file).unwrap().starts_with("//!"))
        .map(|file| file.display().to_string())
        .collect();
    assert!(silent.is_empty(), "no module doc:\n{}", silent.join("\n"));
}
