//! `openclaw gateway install|uninstall|start|stop|restart|status`.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getuid, kill_process};
use serde_json::json;

use super::steps::Steps;

use crate::cli::args::{ServiceArgs, ServiceCommand};
use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::run_time::block_on;
use crate::lock::{Holder, LOCK_FILE, Lock};
use crate::service::{
    KEPT, Manager, SYSTEM_STATE_DIR, Surroundings, UNIT, Wish, steps, systemctl, unit_file,
};

/// How long a gateway may take to stop: its runs, and then its connections.
const LONGEST_STOP: Duration = Duration::from_mins(1);
/// How often it is looked for meanwhile.
const LOOK: Duration = Duration::from_millis(50);

pub(crate) fn run(
    command: &ServiceCommand,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let (args, wish) = match command {
        ServiceCommand::Install(args) => (
            &args.service,
            Wish::Install {
                socket: args.socket,
            },
        ),
        ServiceCommand::Uninstall(args) => (args, Wish::Uninstall),
        ServiceCommand::Start(args) => (args, Wish::Start),
        ServiceCommand::Stop(args) => (args, Wish::Stop),
        ServiceCommand::Restart(args) => (args, Wish::Restart),
        ServiceCommand::Status(args) => return Cx::new(args, environment, output)?.status(),
        ServiceCommand::Call(args) => {
            return block_on(super::approvals::call(args, environment, output));
        }
        ServiceCommand::Probe(args) => {
            return block_on(super::probe::run(args, environment, output));
        }
        ServiceCommand::Discover(args) => return super::discover::run(args, output),
        ServiceCommand::Tls { command } => {
            return super::gateway::show(command, environment, output);
        }
    };
    let cx = Cx::new(args, environment, output)?;
    cx.carry_out(wish)?;
    Ok(ExitCode::SUCCESS)
}

struct Cx<'a> {
    args: &'a ServiceArgs,
    manager: Manager,
    around: Surroundings,
    environment: &'a Environment,
    output: &'a Output,
}

impl<'a> Cx<'a> {
    fn new(
        args: &'a ServiceArgs,
        environment: &'a Environment,
        output: &'a Output,
    ) -> Result<Self, Failure> {
        let manager = match (cfg!(target_os = "macos"), args.system) {
            (true, false) => Manager::Launchd,
            (true, true) => {
                let what = "on macOS there is the user's service only";
                return Err(Failure::usage(what.into()));
            }
            (false, true) => Manager::System,
            (false, false) => Manager::User,
        };
        let program = std::env::current_exe().map_err(|error| {
            Failure::failed(format!("cannot tell where this program is: {error}"), None)
        })?;
        let variables = KEPT
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), environment.variable(name)?)));
        let home = environment
            .variable("HOME")
            .unwrap_or_else(|| "/".to_owned());
        let around = Surroundings {
            program,
            home: home.into(),
            config_home: environment.variable("XDG_CONFIG_HOME").map(Into::into),
            user: getuid().as_raw(),
            variables: variables.collect(),
            // A configuration that cannot be read is told of when the gateway starts.
            port: environment
                .config()
                .map_or(18_789, |loaded| loaded.config.gateway.port),
        };
        Ok(Self {
            args,
            manager,
            around,
            environment,
            output,
        })
    }

    fn carry_out(&self, wish: Wish) -> Result<(), Failure> {
        let unit = unit_file(self.manager, &self.around);
        if !unit.exists() && !matches!(wish, Wish::Install { .. } | Wish::Uninstall) {
            return self.without_unit(wish, &unit);
        }
        let steps = steps(self.manager, wish, &self.around);
        let done = Steps {
            manager: self.manager,
            unit: UNIT,
            foreground: "openclaw gateway",
            json: self.args.form.json,
            output: self.output,
        };
        if self.args.dry_run {
            return done.show(&steps);
        }
        for step in &steps {
            done.step(step)?;
        }
        if self.args.form.json {
            return self.output.json(&json!({ "ok": true, "unit": unit }));
        }
        let linger = self.manager == Manager::User && matches!(wish, Wish::Install { .. });
        if linger {
            self.output.note(
                "it runs while you are logged in; to let it run always: loginctl enable-linger",
            );
        }
        self.output.line(match wish {
            Wish::Install { .. } => "installed and started; `openclaw status` shows it",
            Wish::Uninstall => "uninstalled; its state stays where it is",
            Wish::Start => "started",
            Wish::Stop => "stopped",
            Wish::Restart => "restarted",
        })
    }

    /// What can be done for a gateway that nobody keeps up.
    fn without_unit(&self, wish: Wish, unit: &Path) -> Result<(), Failure> {
        let holder = self.holder()?;
        let install = "let it be kept up: openclaw gateway install";
        match (wish, holder) {
            (Wish::Stop, Some(holder)) if !self.args.dry_run => {
                let pid = i32::try_from(holder.pid).ok().and_then(Pid::from_raw);
                let told = pid.map(|pid| kill_process(pid, Signal::TERM));
                match told {
                    Some(Ok(())) => {
                        self.until_ended(&holder)?;
                        if self.args.form.json {
                            return self.output.json(&json!({ "ok": true, "pid": holder.pid }));
                        }
                        self.output.line(&format!("stopped pid {}", holder.pid))
                    }
                    Some(Err(error)) => Err(Failure::failed(
                        format!("cannot stop pid {}: {error}", holder.pid),
                        Some("run this as its user, or as root".into()),
                    )),
                    None => Err(Failure::failed("its lock names no process".into(), None)),
                }
            }
            (Wish::Stop, None) => Err(Failure::failed("no gateway runs here".into(), None)),
            _ => Err(Failure::failed(
                format!(
                    "the gateway is not installed as a service (no `{}`)",
                    unit.display()
                ),
                Some(install.into()),
            )),
        }
    }

    /// Waits until a gateway let go of its lock: what follows, such as a backup that is put back, needs it gone.
    fn until_ended(&self, holder: &Holder) -> Result<(), Failure> {
        let begun = Instant::now();
        while self.holder()?.is_some_and(|now| now.pid == holder.pid) {
            let pid = holder.pid;
            if begun.elapsed() > LONGEST_STOP {
                return Err(Failure::failed(
                    format!("pid {pid} was told to stop, and still runs"),
                    Some(format!("end it at once: kill {pid}")),
                ));
            }
            if begun.elapsed() > Duration::from_secs(1) {
                let text =
                    format!("pid {pid} lets runs end, up to 20 s (a second `kill {pid}` does not)");
                self.output.progress(&text);
            }
            std::thread::park_timeout(LOOK);
        }
        self.output.progress("");
        Ok(())
    }

    fn status(&self) -> Result<ExitCode, Failure> {
        let unit = unit_file(self.manager, &self.around);
        let holder = self.holder()?;
        let active = unit.exists().then(|| self.active()).flatten();
        if self.args.form.json {
            self.output.json(&json!({
                "installed": unit.exists(), "unit": unit, "service": active,
                "running": holder.is_some(), "gateway": holder,
            }))?;
        } else {
            let installed = match (unit.exists(), &active) {
                (true, Some(active)) => format!("{} ({active})", unit.display()),
                (true, None) => unit.display().to_string(),
                (false, _) => "not installed: openclaw gateway install".to_owned(),
            };
            let runs = holder
                .as_ref()
                .map_or_else(|| "no".to_owned(), |holder| format!("yes: {holder}"));
            self.output
                .write(&format!("service  {installed}\nruns     {runs}\n"))?;
        }
        Ok(if holder.is_some() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(3)
        })
    }

    /// What the manager says of the unit, such as `active`.
    fn active(&self) -> Option<String> {
        let call = match self.manager {
            Manager::Launchd => return None,
            manager => systemctl(manager, &["is-active", UNIT]),
        };
        let said = Command::new(&call[0])
            .args(&call[1..])
            .stderr(Stdio::null())
            .output()
            .ok()?;
        let word = String::from_utf8(said.stdout).ok()?.trim().to_owned();
        (!word.is_empty()).then_some(word)
    }

    /// The gateway that has the state directory.
    fn holder(&self) -> Result<Option<Holder>, Failure> {
        let folder = match self.manager {
            // The host's service has a state directory of its own.
            Manager::System => Path::new(SYSTEM_STATE_DIR).join("gateway"),
            Manager::User | Manager::Launchd => self.environment.paths()?.gateway_dir,
        };
        let holder =
            Lock::holder(&folder.join(LOCK_FILE)).map_err(|error| Failure::config(&error))?;
        Ok(holder.filter(|holder| holder.command.is_none()))
    }
}
