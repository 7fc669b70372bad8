//! Prints the reference page of all settings from the table of knobs.

use std::fmt::Write as _;

use super::knobs::KNOBS;

const HEAD: &str = "\
# Configuration

Printed from the table in `src/config/knobs.rs`; a test compares this page with it.

Settings come from a TOML file (`--config FILE` or `RINGWELL_CONFIG`), from environment variables
and from flags of `ringwell serve`. A flag wins over a variable, a variable over the file, the file
over the default. Every setting can be given as `--set KEY=VALUE`; the common ones have flags of
their own. Unknown settings are refused. `ringwell check --config FILE` reads a configuration and
says what is wrong with it, without starting anything.

```toml
retention = \"30d\"

[http]
listen = \"127.0.0.1:9680\"

[limits]
series = 500_000
```

Rules of the keymap are tables of the file, `[[keymap.rules]]`: see [keymap](keymap.md).
Redis servers that keys are pushed to are tables too, `[[mirror.redis]]`, and the rules by which series become keys there, `[[mirror.redis.series]]`: see [replication](replication.md).
";

/// The page.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    for knob in KNOBS {
        let default = if knob.default.is_empty() { "none" } else { knob.default };
        let flag = knob.flag.map(|flag| format!(", `{flag}`")).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = write!(
            page,
            "\n## `{}`\n\n{} · default `{default}` · `{}`{flag}\n\n{}\n",
            knob.key,
            knob.kind.name(),
            knob.variable(),
            knob.doc,
        );
    }
    page
}

#[cfg(test)]
mod tests {
    /// `UPDATE_DOCS=1 cargo test reference` writes the page anew.
    #[test]
    fn the_page_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/config.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, super::reference()).unwrap();
        }
        let page = std::fs::read_to_string(path).unwrap();
        assert!(page == super::reference(), "docs/config.md is old; UPDATE_DOCS=1 renews it");
    }
}
