//! What can be written about this machine as a node.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum as _};

use super::{FormArgs, TargetArgs};
use crate::node::{Cameras, CanvasPlace, LocationSource, MediaSource, Screen};

/// `openclaw node`.
#[derive(Debug, Clone, Args)]
pub struct NodeHostArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: NodeHostCommand,
}

/// The commands about this machine as a node.
#[derive(Debug, Clone, Subcommand)]
pub enum NodeHostCommand {
    /// Be a node in the foreground: connect, and carry out what the gateway asks for. It comes back by
    /// itself when the gateway restarts.
    Run(NodeRunHostArgs),
    /// Let systemd keep a node up, with the same flags: write its unit, start it, and start it at every login.
    Install(NodeInstallArgs),
    /// Stop it, and remove its unit. Its identity stays.
    Uninstall(NodeUninstallArgs),
}

/// `openclaw node run`. Only what is asked for and is here is offered, and nothing of it is used before
/// an owner approved it: `openclaw nodes pending` on the gateway's host.
#[derive(Debug, Clone, Args)]
pub struct NodeRunHostArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub target: TargetArgs,
    /// Pair with a one-time code: what `openclaw qr --access node --setup-code-only` prints on the gateway's
    /// host. It names the gateway, too.
    #[arg(
        long,
        value_name = "CODE",
        env = "OPENCLAW_SETUP_CODE",
        hide_env_values = true
    )]
    pub setup_code: Option<String>,
    /// What people call this node; the name of this machine if absent.
    #[arg(long, value_name = "NAME")]
    pub display_name: Option<String>,
    /// Do not let programs be looked for or run.
    #[arg(long)]
    pub no_programs: bool,
    /// Show pages, in Chromium: in a window where there is a display.
    #[arg(long, value_enum, value_name = "WHERE", num_args = 0..=1, require_equals = true, default_missing_value = "auto")]
    pub canvas: Option<CanvasPlace>,
    /// Take photos and clips, with ffmpeg: with this machine's cameras, or from FORMAT:INPUT as ffmpeg has
    /// them, such as v4l2:/dev/video2.
    #[arg(long, value_name = "SOURCE", num_args = 0..=1, require_equals = true, default_missing_value = "", value_parser = cameras)]
    pub camera: Option<Cameras>,
    /// Record the screen, with ffmpeg: the X display of this session, or FORMAT:INPUT.
    #[arg(long, value_name = "SOURCE", num_args = 0..=1, require_equals = true, default_missing_value = "", value_parser = screen)]
    pub screen: Option<Screen>,
    /// What is heard on clips and recordings: FORMAT:INPUT, such as pulse:default. Without it they are silent.
    #[arg(long, value_name = "SOURCE")]
    pub audio: Option<MediaSource>,
    /// Tell where this machine is: from gpsd on this machine, or from its HOST:PORT, or always LAT,LON.
    #[arg(
        long,
        value_name = "PLACE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = LocationSource::GPSD,
        allow_hyphen_values = true
    )]
    pub location: Option<LocationSource>,
    /// Folder of its identity, its token and its own rules (exec-approvals.json); `gateway/node` of the
    /// state directory if absent.
    #[arg(long, value_name = "FOLDER")]
    pub state_dir: Option<PathBuf>,
}

/// `openclaw node install`.
#[derive(Debug, Clone, Args)]
pub struct NodeInstallArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub run: NodeRunHostArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub how: NodeServiceArgs,
}

/// `openclaw node uninstall`.
#[derive(Debug, Clone, Args)]
pub struct NodeUninstallArgs {
    /// Folder of its identity, if it was installed with one.
    #[arg(long, value_name = "FOLDER")]
    pub state_dir: Option<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub how: NodeServiceArgs,
}

/// How a service is changed.
#[derive(Debug, Clone, Args)]
pub struct NodeServiceArgs {
    /// Show what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub form: FormArgs,
}

impl NodeRunHostArgs {
    /// The flags that say the same again, without a secret.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut option = |name: &str, value: Option<String>| {
            words.extend(value.map(|value| format!("--{name}={value}")));
        };
        option("url", self.target.url.clone());
        option("tls-fingerprint", self.target.tls_fingerprint.clone());
        option("ssh", self.target.ssh.clone());
        option("display-name", self.display_name.clone());
        let place = self
            .canvas
            .and_then(|place| Some(place.to_possible_value()?.get_name().to_owned()));
        option("canvas", place);
        let source = |source: &MediaSource| source.to_string();
        if let Some(cameras) = &self.camera {
            match cameras {
                Cameras::OfThisMachine => words.push("--camera".into()),
                Cameras::One(one) => words.push(format!("--camera={}", source(one))),
            }
        }
        if let Some(screen) = &self.screen {
            match screen {
                Screen::OfThisSession => words.push("--screen".into()),
                Screen::One(one) => words.push(format!("--screen={}", source(one))),
            }
        }
        words.extend(
            self.audio
                .as_ref()
                .map(|audio| format!("--audio={}", source(audio))),
        );
        words.extend(
            self.location
                .as_ref()
                .map(|place| format!("--location={}", place.word())),
        );
        if self.no_programs {
            words.push("--no-programs".into());
        }
        let folder = self.state_dir.as_ref();
        words.extend(folder.map(|folder| format!("--state-dir={}", folder.display())));
        words
    }
}

fn cameras(text: &str) -> Result<Cameras, String> {
    if text.is_empty() {
        return Ok(Cameras::OfThisMachine);
    }
    text.parse().map(Cameras::One)
}

fn screen(text: &str) -> Result<Screen, String> {
    if text.is_empty() {
        return Ok(Screen::OfThisSession);
    }
    text.parse().map(Screen::One)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::{Cli, Command};

    fn read(words: &[&str]) -> NodeRunHostArgs {
        let cli = Cli::try_parse_from([&["openclaw", "node", "run"], words].concat()).unwrap();
        let Command::Node(NodeHostArgs {
            command: NodeHostCommand::Run(args),
        }) = cli.command
        else {
            panic!("another command")
        };
        args
    }

    #[test]
    fn a_service_is_called_with_what_was_asked_for_but_the_secret() {
        for words in [
            &[
                "--canvas=auto",
                "--camera",
                "--screen",
                "--location=127.0.0.1:2947",
            ][..],
            &[
                "--url=wss://gw",
                "--display-name=Attic 1",
                "--canvas=headless",
                "--camera=v4l2:/dev/video2",
                "--screen=lavfi:testsrc",
                "--audio=pulse:default",
                "--location=-33.9,18.4,50",
                "--no-programs",
                "--state-dir=/srv/node",
            ][..],
            &[],
        ] {
            assert_eq!(read(words).words(), words);
        }
        let secret = read(&["--token", "s3cret", "--canvas", "--location"]);
        assert_eq!(
            secret.words(),
            ["--canvas=auto", "--location=127.0.0.1:2947"]
        );
    }
}
