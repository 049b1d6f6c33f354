//! Files of the canvas's folder, and of nothing else: they are opened as those of a workspace are, by no link
//! and no `..`, whatever is put there in between.

use crate::agent::tools::workspace::{self, Root};
use crate::views::Views;

/// The page where there is none.
pub const INDEX: &str = "index.html";

/// The folder of the canvas, in which nothing of the gateway's own is touched.
pub(crate) fn root(views: &Views) -> Root {
    Root {
        path: views.settings.load().canvas.root.clone(),
        state: views.places.state_dir.clone().into(),
        config: views.places.config_path.clone().into(),
    }
}

/// The name and the bytes of a file, or of the page of a folder; `path` is decoded, without a slash in front.
/// Blocks.
pub fn read(views: &Views, path: &str) -> Option<(String, Vec<u8>)> {
    let root = root(views);
    let folder = path.is_empty() || path.ends_with('/');
    let path = path.trim_end_matches('/');
    let plain = |segment: &str| {
        !segment.is_empty() && !segment.starts_with('.') && !segment.contains(['\\', '\0', ':'])
    };
    if !path.is_empty() && !path.split('/').all(plain) {
        return None;
    }
    let inside = if path.is_empty() {
        INDEX.to_owned()
    } else {
        format!("{path}/{INDEX}")
    };
    let names = if folder {
        vec![inside]
    } else {
        vec![path.to_owned(), inside]
    };
    names.into_iter().find_map(|name| {
        let bytes = workspace::read(&root, &name);
        if let Err(error) = &bytes {
            tracing::trace!(%error, "a page of the canvas cannot be read");
        }
        Some((name, bytes.ok()?))
    })
}
