//! Decides what is embedded: `web/dist` if the UI was built, else a folder of its own with nothing in it, whereupon
//! the crate answers with its built-in page. It never runs npm, so cargo alone needs no Node.

use std::path::Path;
use std::{env, fs};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let dist = Path::new(&root).join("dist");
    // The folder itself is in the repository (dist/.gitkeep), because cargo takes a missing path as changed each time.
    println!("cargo::rerun-if-changed={}", dist.display());

    let embedded = if dist.join("index.html").is_file() {
        dist
    } else {
        let empty = Path::new(&out).join("unbuilt");
        fs::create_dir_all(&empty).expect("OUT_DIR can be written");
        empty
    };
    println!("cargo::rustc-env=RINGWELL_WEB_DIST={}", embedded.display());
}
