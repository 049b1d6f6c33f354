//! Builds the WebChat page with npm and Vite and embeds it in the binary (cargo feature `webchat`).
//!
//! The page's sources are copied to `OUT_DIR` and built there, so that a build never writes to the source tree and
//! never touches a developer's `node_modules`. `npm ci` runs only when the lock file changed. Every exit status is
//! checked: a page that does not build fails the build, it never leaves an older page in the binary.
//!
//! `OPENCLAW_WEBCHAT_DIST` names a folder with an already built page (it holds `index.html`); then npm is not used.

use std::{
    env,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Output, exit},
};

const PAGE: &str = "src/webchat";
const REMEDY: &str = "`--no-default-features` builds openclaw without the page; OPENCLAW_WEBCHAT_DIST=<folder> embeds one that was built elsewhere";
/// The oldest Node releases that Vite runs on.
const NODE_WANTED: &str = "Node 20.19, 22.12 or newer";

/// What the build reads, relative to [`PAGE`]. Folders are replaced as a whole.
const FILES: [&str; 8] = [
    "index.html",
    "package.json",
    "package-lock.json",
    ".npmrc",
    "tsconfig.json",
    "vite.config.ts",
    "a2ui.config.ts",
    "licences.ts",
];
const FOLDERS: [&str; 3] = ["src", "public", "a2ui"];

/// Where the generated files of the contract are, and in which folders.
const CONTRACT: &str = "protocol";
const CONTRACT_FOLDERS: [&str; 4] = ["schema", "swift", "typescript", "docs"];

/// What an idle gateway runs; written by `deploy/layout/make.mjs`.
const LAYOUT: &str = "deploy/layout/idle.txt";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Err(problem) = lay_out() {
        println!("cargo::warning=the binary is linked without {LAYOUT}: {problem}");
    }
    if let Err(problem) = pack_contract() {
        println!("cargo::error={CONTRACT}: {problem}");
        exit(1);
    }
    println!("cargo::rerun-if-env-changed=OPENCLAW_WEBCHAT_DIST");
    if env::var_os("CARGO_FEATURE_WEBCHAT").is_none() {
        return;
    }
    if let Err(problem) = embed() {
        for line in problem.lines().chain([REMEDY]) {
            println!("cargo::error={line}");
        }
        exit(1);
    }
}

/// Has the linker put what an idle gateway runs side by side, and pack the relocations: an idle daemon then holds
/// 7 MB less of its own program. Only in the `dist` profile, only with symbol names that tell the instances of a
/// generic function apart (`deploy/package/build` asks for them), and only where the linker is the one that the
/// toolchain brings, because another one may not know these options.
fn lay_out() -> Result<(), String> {
    let out = PathBuf::from(variable("OUT_DIR")?);
    let dist = out.components().any(|part| part.as_os_str() == "dist");
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let own_linker = env::var_os("RUSTC_LINKER").is_some() || flags.contains("link");
    println!("cargo::rerun-if-env-changed=OPENCLAW_LAYOUT");
    if env::var_os("OPENCLAW_LAYOUT").is_some_and(|layout| layout == "off") {
        return Ok(()); // `deploy/layout/make.mjs` looks at what is not laid out.
    }
    let telling_names = flags.contains("symbol-mangling-version=v0");
    if !dist || !telling_names || own_linker || variable("TARGET")? != "x86_64-unknown-linux-gnu" {
        return Ok(());
    }
    println!("cargo::rerun-if-changed={LAYOUT}");
    let names = fs::read_to_string(LAYOUT).map_err(|error| format!("reading: {error}"))?;
    let mut script = String::from("SECTIONS {\n  .text.idle : {\n");
    for name in names.lines().filter(|line| !line.starts_with('#')) {
        writeln!(script, "    *(.text.{name}* .text.unlikely.{name}*)")
            .map_err(|error| error.to_string())?;
    }
    script.push_str("  }\n}\nINSERT BEFORE .text;\n");
    let path = out.join("idle.ld");
    fs::write(&path, script).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", path.display());
    // Older C libraries refuse a program with packed relocations.
    if glibc().is_some_and(|version| version >= (2, 36)) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    Ok(())
}

/// The version of this host's C library.
fn glibc() -> Option<(u32, u32)> {
    let output = Command::new("getconf")
        .arg("GNU_LIBC_VERSION")
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Packs the generated files of the contract for `openclaw protocol`, and writes `contract.rs`, the list of them:
/// deflated, because the plain files would be more than a megabyte of the program.
fn pack_contract() -> Result<(), String> {
    let out = PathBuf::from(variable("OUT_DIR")?);
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join(CONTRACT);
    let mut files = Vec::new();
    for word in CONTRACT_FOLDERS {
        let folder = root.join(word);
        println!("cargo::rerun-if-changed={CONTRACT}/{word}");
        list_files(&folder, &mut files)
            .map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    files.sort();
    let mut rows = String::from("static PACKED: &[(&str, &str, &[u8])] = &[\n");
    let mut count = 0;
    for file in files {
        let name = file
            .strip_prefix(&root)
            .map_err(|error| error.to_string())?;
        let name = name.to_string_lossy().replace('\\', "/");
        let Some((word, name)) = name.split_once('/') else {
            continue;
        };
        // Of the schemas one is enough: the other dialect is made from it, the rest is for tests.
        if word == "schema" && name != "gateway.schema.json" {
            continue;
        }
        let bytes = fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let packed = out.join(format!("contract-{count}"));
        fs::write(&packed, miniz_oxide::deflate::compress_to_vec(&bytes, 10))
            .map_err(|error| format!("{}: {error}", packed.display()))?;
        writeln!(
            rows,
            "    ({word:?}, {name:?}, include_bytes!({:?})),",
            packed.display().to_string()
        )
        .map_err(|error| error.to_string())?;
        count += 1;
    }
    rows.push_str("];\n");
    let list = out.join("contract.rs");
    fs::write(&list, rows).map_err(|error| format!("{}: {error}", list.display()))
}

fn list_files(folder: &Path, into: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            list_files(&entry.path(), into)?;
        } else {
            into.push(entry.path());
        }
    }
    Ok(())
}

/// Makes the page and writes `generated.rs`, the list of its files.
fn embed() -> Result<(), String> {
    let dist = match env::var_os("OPENCLAW_WEBCHAT_DIST") {
        Some(ready) => {
            println!("cargo::rerun-if-changed={}", ready.display());
            PathBuf::from(ready)
        }
        None => build()?,
    };
    if !dist.join("index.html").is_file() {
        return Err(format!("{} holds no index.html", dist.display()));
    }
    static_files::resource_dir(&dist)
        .build()
        .map_err(|error| format!("embedding {}: {error}", dist.display()))
}

/// Runs npm in a copy of the sources and returns the folder with the built page.
fn build() -> Result<PathBuf, String> {
    for name in FILES.iter().chain(&FOLDERS) {
        println!("cargo::rerun-if-changed={PAGE}/{name}");
    }
    check_node()?;
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join(PAGE);
    let work = PathBuf::from(variable("OUT_DIR")?).join("webchat");
    copy_sources(&root, &work)
        .map_err(|error| format!("copying {} to {}: {error}", root.display(), work.display()))?;
    install(&work)?;
    npm(&work, &["run", "build"])?;
    Ok(work.join("dist"))
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("{name}: {error}"))
}

/// Refuses a Node that Vite cannot run on, because Vite's own message then names neither.
fn check_node() -> Result<(), String> {
    let output = Command::new("node")
        .arg("--version")
        .output()
        .map_err(|error| format!("the WebChat page needs {NODE_WANTED} and npm: node: {error}"))?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let mut numbers = version
        .trim_start_matches('v')
        .split('.')
        .map_while(|part| part.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(20), Some(19..)) | (Some(22), Some(12..)) | (Some(23..), _) => Ok(()),
        _ => Err(format!(
            "the WebChat page needs {NODE_WANTED}; this is `{version}`"
        )),
    }
}

fn copy_sources(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for file in FILES {
        fs::copy(from.join(file), to.join(file))?;
    }
    for folder in FOLDERS {
        let target = to.join(folder);
        if target.exists() {
            fs::remove_dir_all(&target)?;
        }
        copy_folder(&from.join(folder), &target)?;
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Installs what the page is built from, unless exactly that is installed already.
fn install(work: &Path) -> Result<(), String> {
    // Written after a successful install; an interrupted one leaves no stamp and is done again.
    let stamp = work.join("installed-lock.json");
    let lock = fs::read(work.join("package-lock.json"))
        .map_err(|error| format!("{PAGE}/package-lock.json: {error}"))?;
    if work.join("node_modules").is_dir() && fs::read(&stamp).is_ok_and(|done| done == lock) {
        return Ok(());
    }
    npm(work, &["ci", "--omit=dev", "--prefer-offline"])?;
    fs::write(&stamp, lock).map_err(|error| format!("{}: {error}", stamp.display()))
}

/// Runs npm in `work`; its output is shown only when it fails.
fn npm(work: &Path, arguments: &[&str]) -> Result<(), String> {
    let program = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let command = arguments.join(" ");
    let output = Command::new(program)
        .args(arguments)
        .current_dir(work)
        .output()
        .map_err(|error| {
            format!("the WebChat page needs {NODE_WANTED} and npm: `npm {command}`: {error}")
        })?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "building the WebChat page ({PAGE}): `npm {command}` failed with {}\n{}",
        output.status,
        tail(&output)
    ))
}

/// The last lines of what npm printed: enough to see the cause, not a screenful of progress.
fn tail(output: &Output) -> String {
    let text = [&output.stdout, &output.stderr]
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .concat();
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
