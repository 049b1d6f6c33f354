//! `openclaw protocol`: the contract that this gateway keeps, for people and programs.
//!
//! The files are those of `protocol/` that `protocol-gen` wrote, packed into this program when it
//! was built: the generators themselves stay out of it.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use openclaw_protocol::compare::official;
use openclaw_protocol::schema::to_2020_12;
use serde_json::Value;

use crate::cli::args::{CompareArgs, ContractTarget, Draft, ProtocolCommand};
use crate::cli::failure::Failure;
use crate::cli::output::Output;

mod files;

use files::{ContractFile, unpacked};

pub(crate) fn run(command: &ProtocolCommand, output: &Output) -> Result<ExitCode, Failure> {
    match command {
        ProtocolCommand::Schema { draft, target } => {
            let files = match draft {
                Draft::Seven => unpacked("schema")?,
                Draft::TwentyTwenty => vec![ContractFile {
                    name: "gateway.2020-12.schema.json".to_owned(),
                    text: newer_draft()?,
                }],
            };
            hand_out(&files, "schema", target, output)
        }
        ProtocolCommand::Swift(target) => hand_out(&unpacked("swift")?, "swift", target, output),
        ProtocolCommand::Typescript(target) => {
            hand_out(&unpacked("typescript")?, "typescript", target, output)
        }
        ProtocolCommand::Docs(target) => hand_out(&unpacked("docs")?, "docs", target, output),
        ProtocolCommand::Compare(args) => compare(args, output),
    }
}

fn hand_out(
    files: &[ContractFile],
    word: &str,
    target: &ContractTarget,
    output: &Output,
) -> Result<ExitCode, Failure> {
    if let Some(folder) = &target.check {
        let stale: Vec<&str> = files
            .iter()
            .filter(|file| !is(&folder.join(&file.name), &file.text))
            .map(|file| file.name.as_str())
            .collect();
        return if stale.is_empty() {
            output.line(&format!("{} is of this version", folder.display()))?;
            Ok(ExitCode::SUCCESS)
        } else {
            Err(Failure::failed(
                format!(
                    "not of this version in {}: {}",
                    folder.display(),
                    stale.join(", ")
                ),
                Some(format!(
                    "run: openclaw protocol {word} --out {}",
                    folder.display()
                )),
            ))
        };
    }
    if let Some(folder) = &target.out {
        for file in files {
            write(&folder.join(&file.name), &file.text)?;
        }
        output.line(&format!(
            "wrote {} files to {}",
            files.len(),
            folder.display()
        ))?;
        return Ok(ExitCode::SUCCESS);
    }
    // One stream is one source file: the package around it goes along with --out only.
    for file in files.iter().filter(|file| file.name != "Package.swift") {
        output.write(&file.text)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn is(path: &Path, text: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|found| found == text)
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, text))
        .map_err(|error| {
            let what = format!("cannot write {}: {error}", path.display());
            Failure::failed(what, Some("name another place with --out".into()))
        })
}

fn schema() -> Result<Value, Failure> {
    let files = unpacked("schema")?;
    let text = files
        .first()
        .map(|file| file.text.as_str())
        .unwrap_or_default();
    serde_json::from_str(text).map_err(|error| broken(&error.to_string()))
}

/// Two spaces and sorted keys, as the file of the repository.
fn newer_draft() -> Result<String, Failure> {
    let mut schema = to_2020_12(schema()?);
    schema.sort_all_objects();
    let text = serde_json::to_string_pretty(&schema).map_err(|error| broken(&error.to_string()))?;
    Ok(text + "\n")
}

/// What was packed into this program cannot be read: it is damaged.
fn broken(why: &str) -> Failure {
    Failure::failed(
        format!("this program's own copy of the contract cannot be read: {why}"),
        Some("install openclaw again".into()),
    )
}

fn compare(args: &CompareArgs, output: &Output) -> Result<ExitCode, Failure> {
    let path = if args.against.is_dir() {
        args.against.join("protocol.schema.json")
    } else {
        args.against.clone()
    };
    let read = |path: &Path| -> Result<Value, String> {
        let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
        serde_json::from_str(&text).map_err(|error| error.to_string())
    };
    let official = read(&path).map_err(|why| {
        Failure::failed(
            format!("cannot read {}: {why}", path.display()),
            Some("name an unpacked package: npm pack @openclaw/gateway-protocol, then tar -xf, then --against package".into()),
        )
    })?;
    let package = read(&path.with_file_name("package.json")).map_or_else(
        |_| "protocol.schema.json".to_owned(),
        |package| {
            let word = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
            format!("{} {}", word("name"), word("version"))
        },
    );
    let report = official::compare(&schema()?, &official);
    let table = report.markdown(&package);
    if let Some(file) = &args.check {
        if !is(file, &table) {
            return Err(Failure::failed(
                format!("{} is not this comparison", file.display()),
                Some(format!(
                    "run: openclaw protocol compare --against {} --out {}",
                    args.against.display(),
                    file.display()
                )),
            ));
        }
        output.line(&format!("{} is this comparison", file.display()))?;
    } else if let Some(file) = &args.out {
        write(file, &table)?;
        output.line(&format!("wrote {}", file.display()))?;
    } else {
        output.write(&table)?;
    }
    let unexplained = report.unexplained();
    if unexplained.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::failed(
        format!(
            "{} differences have no reason yet:\n{}",
            unexplained.len(),
            unexplained.join("\n")
        ),
        Some("mend them, or say why in protocol/src/compare/reasons.txt".into()),
    ))
}
