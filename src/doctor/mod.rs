//! What is wrong with this installation, and the command that mends it. Each check looks at one thing
//! and gives its findings; nothing is changed here but by [`Mend`].

mod checks;

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

pub use checks::{Place, local};

use crate::cli::render::Style;
use crate::cli::render::text::{Tone, plain};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Level {
    /// It is as it should be.
    Ok,
    /// It works, and could be better.
    Warn,
    /// Something does not work.
    Fail,
}

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What was looked at, in a word.
    pub id: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub what: String,
    /// The command that mends it; always there unless all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// What `--fix` does about it.
    #[serde(skip)]
    pub mend: Option<Mend>,
    /// Whether `--fix` does something about it.
    pub fixable: bool,
}

/// Something that is safe to do without asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mend {
    /// Take other users' access to a file or folder.
    Mode(PathBuf, u32),
    /// Make a folder of this user alone.
    Folder(PathBuf),
}

impl Finding {
    /// All is well.
    pub fn ok(id: &'static str, what: impl Into<String>) -> Self {
        Self {
            id,
            level: Level::Ok,
            what: what.into(),
            fix: None,
            mend: None,
            fixable: false,
        }
    }

    /// It could be better.
    pub fn warn(id: &'static str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            level: Level::Warn,
            fix: Some(fix.into()),
            ..Self::ok(id, what)
        }
    }

    /// It does not work.
    pub fn fail(id: &'static str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            level: Level::Fail,
            ..Self::warn(id, what, fix)
        }
    }

    /// The same, where `--fix` can mend it.
    #[must_use]
    pub fn mended_by(mut self, mend: Mend) -> Self {
        self.mend = Some(mend);
        self.fixable = true;
        self
    }
}

impl Mend {
    /// Does it.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn apply(&self) -> std::io::Result<()> {
        use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
        match self {
            Self::Mode(path, mode) => {
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(*mode))
            }
            Self::Folder(path) => std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path),
        }
    }
}

/// A word of a shell command.
pub(crate) fn word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-~:@%+=".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The findings for people, worst last, where eyes are.
pub fn render(findings: &[Finding], style: &Style) -> String {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| finding.level);
    let mut out = String::new();
    for finding in sorted {
        let (mark, tone) = match finding.level {
            Level::Ok => ("ok  ", Tone::Good),
            Level::Warn => ("warn", Tone::Warn),
            Level::Fail => ("FAIL", Tone::Bad),
        };
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            out,
            "{}  {}: {}",
            style.paint(tone, mark),
            finding.id,
            plain(&finding.what)
        );
        if let Some(fix) = &finding.fix {
            let _ = writeln!(out, "      {}", plain(fix));
        }
    }
    let bad = findings
        .iter()
        .filter(|finding| finding.level == Level::Fail)
        .count();
    let better = findings
        .iter()
        .filter(|finding| finding.level == Level::Warn)
        .count();
    let fixable = findings.iter().any(|finding| finding.fixable);
    let _ = match (bad, better) {
        (0, 0) => writeln!(out, "all is well"),
        _ => writeln!(out, "{bad} wrong, {better} could be better"),
    };
    if fixable {
        out.push_str("some of it is mended by: openclaw doctor --fix\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_stands_last_with_its_command() {
        let findings = [
            Finding::fail("port", "port 1 is taken", "openclaw gateway --port 2"),
            Finding::ok("disk", "9 GB free"),
            Finding::warn("state", "others can read it", "chmod 700 /s")
                .mended_by(Mend::Mode("/s".into(), 0o700)),
        ];
        let style = Style {
            colour: false,
            width: None,
            now_ms: 0,
        };
        assert_eq!(
            render(&findings, &style),
            "ok    disk: 9 GB free\nwarn  state: others can read it\n      chmod 700 /s\nFAIL  port: port 1 is taken\n      openclaw gateway --port 2\n1 wrong, 1 could be better\nsome of it is mended by: openclaw doctor --fix\n"
        );
        assert_eq!(
            render(&findings[1..2], &style),
            "ok    disk: 9 GB free\nall is well\n"
        );
        assert_eq!([word("/a/b"), word("it's")], ["/a/b", r"'it'\''s'"]);
    }
}
