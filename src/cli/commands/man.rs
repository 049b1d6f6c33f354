//! `openclaw man`.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_mangen::Man;

use crate::cli::args::{Cli, ManArgs};
use crate::cli::failure::Failure;
use crate::cli::output::Output;

pub(crate) fn run(args: &ManArgs, output: &Output) -> Result<ExitCode, Failure> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let Some(folder) = &args.dir else {
        output.write(&page(&command)?)?;
        return Ok(ExitCode::SUCCESS);
    };
    let failed = |error: std::io::Error| {
        Failure::failed(
            format!("cannot write to `{}`: {error}", folder.display()),
            Some("name a folder that you may write to: openclaw man --dir FOLDER".into()),
        )
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut pages = Vec::new();
    collect(&command, &mut pages)?;
    for (name, text) in &pages {
        std::fs::write(folder.join(name), text).map_err(failed)?;
    }
    output.line(&format!("{} pages in {}", pages.len(), folder.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// The pages of a command and of those below it, by their file names.
fn collect(command: &clap::Command, pages: &mut Vec<(String, String)>) -> Result<(), Failure> {
    let name = command
        .get_display_name()
        .unwrap_or_else(|| command.get_name());
    pages.push((format!("{name}.1"), page(command)?));
    for below in command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
    {
        collect(below, pages)?;
    }
    Ok(())
}

fn page(command: &clap::Command) -> Result<String, Failure> {
    let mut text = Vec::new();
    Man::new(command.clone())
        .manual("openclaw")
        .render(&mut text)
        .map_err(|error| Failure::failed(format!("cannot write a page: {error}"), None))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_that_names_it() {
        let mut command = Cli::command().disable_help_subcommand(true);
        command.build();
        let mut pages = Vec::new();
        collect(&command, &mut pages).unwrap();
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for name in [
            "openclaw.1",
            "openclaw-migrate.1",
            "openclaw-cron-add.1",
            "openclaw-nodes-camera-snap.1",
        ] {
            assert!(names.contains(&name), "{names:?}");
        }
        assert!(pages.len() > 80, "{}", pages.len());
        for (name, text) in &pages {
            assert!(
                text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"),
                "{name}"
            );
        }
    }
}
