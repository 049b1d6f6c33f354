//! Writes what is published of the contract from its types; `--check` fails when a file is stale.
//!
//! Schemas, Swift, TypeScript and the reference come from one document ([`document`]), the last
//! three by way of one reading of it ([`model`]). This program holds the generators; the daemon
//! carries only what they wrote. `release` takes the contract as it is for the released one;
//! `compare` holds it beside an official package.

use std::fmt::Display;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

use openclaw_protocol::compare::official;
use serde_json::Value;

mod document;
mod examples;
mod model;
mod names;
mod reference;
mod sorted;
mod swift;
mod typescript;

/// What a person is told to run.
const COMMAND: &str = "cargo run -p openclaw-protocol --bin protocol-gen";

/// A generated file: its place below `protocol/`, and its text.
struct Generated {
    path: &'static str,
    text: String,
}

fn main() -> ExitCode {
    let outcome = match env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => generate()
            .and_then(|files| write(&files))
            .and_then(also_compare),
        [flag] if flag == "--check" => generate().and_then(|files| check(&files)),
        [word] if word == "release" => release(),
        [word, package] if word == "compare" => compare(Path::new(package)),
        _ => Err("usage: protocol-gen [--check | release | compare PACKAGE]".to_owned()),
    };
    match outcome {
        Ok(line) => {
            // Nobody is left to tell when stdout is gone.
            let _ = writeln!(io::stdout(), "{line}");
            ExitCode::SUCCESS
        }
        Err(line) => {
            let _ = writeln!(io::stderr(), "{line}");
            ExitCode::FAILURE
        }
    }
}

fn generate() -> Result<Vec<Generated>, String> {
    let document = document::document();
    let model = model::Model::read(&document)?;
    let examples = examples::read(&root().join("../fixtures/frames"))?;
    let mut files = vec![
        Generated {
            path: "schema/gateway.schema.json",
            text: sorted::pretty(document.clone()),
        },
        Generated {
            path: "schema/gateway.2020-12.schema.json",
            text: sorted::pretty(openclaw_protocol::schema::to_2020_12(document)),
        },
        Generated {
            path: "swift/Sources/OpenClawProtocol/Gateway.swift",
            text: swift::text(&model)?,
        },
        Generated {
            path: "swift/Sources/OpenClawProtocol/Runtime.swift",
            text: swift::RUNTIME.to_owned(),
        },
        Generated {
            path: "swift/Package.swift",
            text: swift::PACKAGE.to_owned(),
        },
        Generated {
            path: "typescript/gateway.ts",
            text: typescript::text(&model),
        },
    ];
    files.extend(reference::files(&model, &examples));
    Ok(files)
}

/// Takes the contract as it is for the released one, which later ones may not break.
fn release() -> Result<String, String> {
    let mut document = document::document();
    strip_words(&mut document);
    let released = Generated {
        path: "schema/released.json",
        text: sorted::compact(document),
    };
    write(&[released])
}

/// Where the official package is once the conformance tests were installed.
const OFFICIAL: &str = "../tests/conformance/node_modules/@openclaw/gateway-protocol";

/// Writes the comparison too where the official package is at hand.
fn also_compare(done: String) -> Result<String, String> {
    let package = root().join(OFFICIAL);
    if !package.is_dir() {
        return Ok(done);
    }
    compare(&package).map(|compared| format!("{done}\n{compared}"))
}

/// Holds the contract beside an unpacked official package, and writes the table into the reference.
fn compare(package: &Path) -> Result<String, String> {
    let read = |name: &str| -> Result<Value, String> {
        let path = package.join(name);
        let problem = |error: &dyn Display| format!("{}: {error}", path.display());
        let text = fs::read_to_string(&path).map_err(|error| problem(&error))?;
        serde_json::from_str(&text).map_err(|error| problem(&error))
    };
    let about = read("package.json")?;
    let word = |key: &str| about[key].as_str().unwrap_or_default().to_owned();
    let official = read("protocol.schema.json")?;
    let report = official::compare(&document::document(), &official);
    let table = Generated {
        path: "docs/compare.md",
        text: report.markdown(&format!("{} {}", word("name"), word("version"))),
    };
    let unexplained = report.unexplained();
    write(&[table])?;
    if unexplained.is_empty() {
        Ok("wrote docs/compare.md; each difference has its reason".to_owned())
    } else {
        Err(format!("without a reason:\n{}", unexplained.join("\n")))
    }
}

/// What a schema says to people is no part of a promise.
fn strip_words(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if object.get("description").is_some_and(Value::is_string) {
                object.remove("description");
            }
            object.values_mut().for_each(strip_words);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_words),
        _ => {}
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn write(files: &[Generated]) -> Result<String, String> {
    let mut changed = 0;
    for file in files {
        let path = root().join(file.path);
        if fs::read_to_string(&path).is_ok_and(|found| found == file.text) {
            continue;
        }
        let folder = path.parent().expect("the path has a folder");
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, &file.text))
            .map_err(|error| format!("{}: {error}", path.display()))?;
        changed += 1;
    }
    Ok(format!(
        "{} files of {}: {changed} written, the others were fresh",
        files.len(),
        root().display()
    ))
}

fn check(files: &[Generated]) -> Result<String, String> {
    let stale: Vec<String> = files
        .iter()
        .map(|file| (root().join(file.path), &file.text))
        .filter(|(path, text)| !fs::read_to_string(path).is_ok_and(|found| found == **text))
        .map(|(path, _)| path.display().to_string())
        .collect();
    if stale.is_empty() {
        Ok(format!("{} files are fresh", files.len()))
    } else {
        Err(format!(
            "the contract changed, and these files do not say so yet: {}\nrun `{COMMAND}` and commit what it writes",
            stale.join(", ")
        ))
    }
}
