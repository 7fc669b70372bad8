//! The web UI, embedded in the binary: `asset(path)` is the whole interface.
//!
//! Files under `assets/` have a hash of their content in their name and may be cached for ever; the others may not.
//! Built without the UI (cargo alone, no npm), the crate answers `index.html` with a plain page that says so.

use std::borrow::Cow;

use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "$RINGWELL_WEB_DIST"]
struct Files;

const INDEX: &str = "index.html";
const UNBUILT: &[u8] = include_bytes!("unbuilt.html");

/// One file of the UI, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// The content.
    pub bytes: Cow<'static, [u8]>,
    /// What `Content-Type` says.
    pub content_type: &'static str,
    /// The name changes with the content, so that a browser may keep it for ever.
    pub immutable: bool,
}

/// The file at `path`, with or without a leading slash; the empty path is the page itself.
///
/// `None` says that no such file exists. Whether the page is served instead is the server's decision.
#[must_use]
pub fn asset(path: &str) -> Option<Asset> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = if path.is_empty() { INDEX } else { path };
    let hidden = path.split('/').any(|part| part.starts_with('.'));
    let bytes = match Files::get(path).filter(|_| !hidden) {
        Some(file) => file.data,
        None if path == INDEX => Cow::Borrowed(UNBUILT),
        None => return None,
    };
    Some(Asset { bytes, content_type: content_type(path), immutable: path.starts_with("assets/") })
}

/// Was the UI built before this binary was?
#[must_use]
pub fn is_built() -> bool {
    Files::get(INDEX).is_some()
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_always_there() {
        for path in ["", "/", "index.html", "/index.html"] {
            let page = asset(path).expect("a page");
            assert_eq!(page.content_type, "text/html; charset=utf-8", "{path}");
            assert!(!page.immutable, "{path}");
            assert!(page.bytes.starts_with(b"<!doctype html>"), "{path}");
        }
    }

    #[test]
    fn what_is_not_a_file_of_the_ui_is_none() {
        for path in [
            "nothing.js",
            "assets/nothing.js",
            "../Cargo.toml",
            "/etc/passwd",
            ".gitkeep",
            "assets",
            "assets/",
            "//",
        ] {
            assert_eq!(asset(path), None, "{path}");
        }
    }

    #[test]
    fn every_file_has_a_type_and_hashed_ones_are_kept_for_ever() {
        for path in Files::iter().filter(|path| !path.starts_with('.')) {
            let file = asset(&path).expect("an embedded file");
            assert_ne!(file.content_type, "application/octet-stream", "{path}");
            assert_eq!(file.immutable, path.starts_with("assets/"), "{path}");
            assert!(!file.bytes.is_empty(), "{path}");
        }
    }

    #[test]
    fn a_built_page_finds_its_scripts() {
        if !is_built() {
            return println!("skipped: web/dist is not built");
        }
        let page = asset("").expect("a page").bytes;
        let page = std::str::from_utf8(&page).expect("UTF-8");
        let scripts: Vec<&str> =
            page.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(!scripts.is_empty());
        for script in scripts {
            assert!(asset(script).is_some_and(|file| file.immutable), "{script}");
        }
    }
}
