//! What exactly would run: program, arguments, folder, variables, and the files among them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// The largest file that is looked into; a larger one counts by its size and time.
const MAX_HASHED: u64 = 64 * 1024 * 1024;

/// What would run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The program's file and its arguments.
    pub argv: Vec<String>,
    /// The folder.
    pub cwd: PathBuf,
    /// All of its variables.
    pub env: BTreeMap<String, String>,
    /// The program's file, where the command is one plain program and no shell.
    pub program: Option<String>,
}

/// The shell that runs what is more than one plain program.
const SHELL: &str = "/bin/sh";

impl Plan {
    /// What a command comes to. A plain program is run without a shell; anything with a meaning to a
    /// shell is given to one, as it is written.
    pub fn of(command: &str, cwd: PathBuf, env: BTreeMap<String, String>) -> Self {
        let path = env.get("PATH").map_or("", String::as_str);
        let plain = plain(command).and_then(|words| {
            let program = find(words.first()?, path, &cwd)?;
            Some((program, words))
        });
        let (argv, program) = match plain {
            Some((program, mut words)) => {
                words[0].clone_from(&program);
                (words, Some(program))
            }
            None => (vec![SHELL.into(), "-c".into(), command.into()], None),
        };
        Self {
            argv,
            cwd,
            env,
            program,
        }
    }

    /// The digest of all of it, with the content of every file that it names. Blocks.
    pub fn digest(&self) -> String {
        let mut digest = Sha256::new();
        let mut add = |tag: u8, bytes: &[u8]| {
            digest.update([tag]);
            digest.update((bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        };
        for word in &self.argv {
            add(b'a', word.as_bytes());
        }
        add(b'd', self.cwd.as_os_str().as_encoded_bytes());
        for (name, value) in &self.env {
            add(b'n', name.as_bytes());
            add(b'v', value.as_bytes());
        }
        for file in self.files() {
            add(b'f', file.as_os_str().as_encoded_bytes());
            add(b'c', &content(&file));
        }
        hex(&digest.finalize())
    }

    /// The files that it names: the program, and words that are paths of files. Of what a shell gets,
    /// every word that could be one.
    fn files(&self) -> Vec<PathBuf> {
        let script = self.program.is_none().then(|| self.argv.last()).flatten();
        let words = script
            .map(|script| script.split(|c: char| c.is_whitespace() || "\"'`;|&<>()=$".contains(c)));
        let named = self
            .argv
            .iter()
            .map(String::as_str)
            .chain(words.into_iter().flatten());
        let mut files: Vec<PathBuf> = named
            .filter(|word| !word.is_empty() && word.len() < 4_096)
            .map(|word| self.cwd.join(word))
            .filter(|path| path.is_file())
            .collect();
        files.sort();
        files.dedup();
        files
    }
}

fn content(path: &Path) -> Vec<u8> {
    let Ok(file) = std::fs::File::open(path) else {
        return b"unreadable".to_vec();
    };
    let large = file.metadata().ok().filter(|meta| meta.len() > MAX_HASHED);
    if let Some(meta) = large {
        return format!("{} {:?}", meta.len(), meta.modified().ok()).into_bytes();
    }
    let mut digest = Sha256::new();
    let mut reader = file.take(MAX_HASHED);
    let mut piece = vec![0; 64 * 1024];
    loop {
        match reader.read(&mut piece) {
            Ok(0) => return digest.finalize().to_vec(),
            Ok(read) => digest.update(&piece[..read]),
            Err(_) => return b"unreadable".to_vec(),
        }
    }
}

/// A digest as text.
pub(crate) fn hex(digest: &[u8]) -> String {
    let mut text = String::with_capacity(2 * digest.len());
    for byte in digest {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The words of a command that no shell would read otherwise; `None` when one would.
fn plain(command: &str) -> Option<Vec<String>> {
    let safe = |c: char| c.is_alphanumeric() || " _-./:@%+,".contains(c);
    if !command.chars().all(safe) {
        return None;
    }
    let words: Vec<String> = command
        .split(' ')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    (!words.is_empty()).then_some(words)
}

/// The file of a program, through links, as the system would find it.
fn find(name: &str, path: &str, cwd: &Path) -> Option<String> {
    let candidates: Vec<PathBuf> = if name.contains('/') {
        vec![cwd.join(name)]
    } else {
        path.split(':')
            .filter(|folder| folder.starts_with('/'))
            .map(|folder| Path::new(folder).join(name))
            .collect()
    };
    let runs = |path: &PathBuf| {
        use std::os::unix::fs::PermissionsExt as _;
        path.metadata()
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    let found = candidates.into_iter().find(runs)?;
    // The name that was found stays: programs that are many in one act by it. The digest has the content.
    found.to_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(path: &str) -> BTreeMap<String, String> {
        [("PATH".to_owned(), path.to_owned())].into()
    }

    #[test]
    fn only_what_no_shell_would_read_otherwise_runs_without_one() {
        let cwd = std::env::temp_dir();
        let program = |command: &str| Plan::of(command, cwd.clone(), env("/usr/bin:/bin")).program;
        assert!(program("ls -l /tmp").unwrap().ends_with("/ls"));
        assert!(program("/bin/ls").is_some());
        for command in [
            "ls; rm x",
            "ls | wc",
            "ls $HOME",
            "ls `id`",
            "ls > x",
            "ls && id",
            "ls\nid",
            "a=b ls",
            "ls *",
            "ls ~",
            "ls 'x'",
            "nonexistent-program",
            "ls #x",
            "ls \\x",
            "[ x ]",
            "{ ls",
        ] {
            assert_eq!(program(command), None, "{command}");
        }
    }

    #[test]
    fn whatever_is_changed_changes_the_digest() {
        let home = tempfile::tempdir().unwrap();
        let script = home.path().join("job.sh");
        std::fs::write(&script, "echo one").unwrap();
        let plan = |command: &str| Plan::of(command, home.path().to_owned(), env("/usr/bin:/bin"));
        for command in ["sh job.sh now", "sh job.sh now; true"] {
            let shown = plan(command);
            let digest = shown.digest();
            assert_eq!(plan(command).digest(), digest);
            let mut other = shown.clone();
            other.argv.push("x".into());
            assert_ne!(other.digest(), digest);
            let mut other = shown.clone();
            other.cwd = "/".into();
            assert_ne!(other.digest(), digest);
            let mut other = shown.clone();
            other.env.insert("LD_PRELOAD".into(), "x".into());
            assert_ne!(other.digest(), digest);
            std::fs::write(&script, "echo two").unwrap();
            assert_ne!(
                shown.digest(),
                digest,
                "{command}: the script is another one"
            );
            std::fs::write(&script, "echo one").unwrap();
            assert_eq!(shown.digest(), digest);
        }
        let words = |argv: &[&str]| Plan {
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            ..plan("ls")
        };
        assert_ne!(words(&["a", "bc"]).digest(), words(&["ab", "c"]).digest());
    }
}
