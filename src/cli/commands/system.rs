//! `openclaw system`.

use std::process::ExitCode;

use openclaw_protocol::methods::common::Nullable;
use openclaw_protocol::methods::heartbeat::{
    HeartbeatEvent, LastHeartbeat, SetHeartbeats, SetHeartbeatsParams, SetHeartbeatsResult, Wake,
    WakeMode, WakeParams,
};
use openclaw_protocol::methods::system::{EmptyParams, SystemPresence};
use openclaw_protocol::presence::PresenceEntry;
use openclaw_protocol::{Method, Scope};
use serde_json::value::RawValue;

use crate::cli::args::{HeartbeatCommand, ReadArgs, SystemCommand, SystemEventArgs, WakeWhen};
use crate::cli::connect::{Wanted, open};
use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::render::system as render;

pub(crate) async fn run(
    command: &SystemCommand,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let cx = Cx {
        environment,
        output,
    };
    match command {
        SystemCommand::Event(args) => cx.event(args).await?,
        SystemCommand::Presence(args) => cx.presence(args).await?,
        SystemCommand::Heartbeat(args) => match &args.command {
            HeartbeatCommand::Last(args) => cx.last(args).await?,
            HeartbeatCommand::Enable(args) => cx.switch(args, true).await?,
            HeartbeatCommand::Disable(args) => cx.switch(args, false).await?,
        },
    }
    Ok(ExitCode::SUCCESS)
}

struct Cx<'a> {
    environment: &'a Environment,
    output: &'a Output,
}

impl Cx<'_> {
    /// One request on a connection of its own.
    async fn ask<M: Method>(
        &self,
        args: &ReadArgs,
        scope: Scope,
        params: &M::Params,
    ) -> Result<Box<RawValue>, Failure>
    where
        M::Params: serde::Serialize,
    {
        let target = self.environment.target(&args.target)?;
        let wanted = Wanted {
            scopes: &[scope],
            limit: args.wait.timeout,
        };
        let connection = open(&target, wanted).await?;
        let answer = connection.client().request_raw(M::NAME, params).await;
        let answer = answer.map_err(|error| Failure::request(&error, &target))?;
        connection.close().await;
        Ok(answer)
    }

    async fn event(&self, args: &SystemEventArgs) -> Result<(), Failure> {
        let params = WakeParams {
            mode: match args.mode {
                WakeWhen::Now => WakeMode::Now,
                WakeWhen::NextHeartbeat => WakeMode::NextHeartbeat,
            },
            text: args.text.clone(),
            session_key: None,
            agent_id: args.agent.clone(),
        };
        let answer = self.ask::<Wake>(&args.read, Scope::Write, &params).await?;
        if args.read.form.json {
            return self.output.raw(&answer);
        }
        self.output.write("The agent is told.\n")
    }

    async fn last(&self, args: &ReadArgs) -> Result<(), Failure> {
        let answer = self
            .ask::<LastHeartbeat>(args, Scope::Read, &EmptyParams {})
            .await?;
        let style = self.output.style(Environment::now_ms());
        super::show(
            &answer,
            args.form.json,
            self.output,
            |last: &Nullable<HeartbeatEvent>| render::last(last.0.as_ref(), &style),
        )
    }

    async fn switch(&self, args: &ReadArgs, enabled: bool) -> Result<(), Failure> {
        let params = SetHeartbeatsParams { enabled };
        let answer = self
            .ask::<SetHeartbeats>(args, Scope::Admin, &params)
            .await?;
        super::show(
            &answer,
            args.form.json,
            self.output,
            |set: &SetHeartbeatsResult| {
                if set.enabled {
                    "Heartbeats run.\n".to_owned()
                } else {
                    "Heartbeats are stopped, also after a restart. `openclaw system heartbeat enable` lets them run again.\n".to_owned()
                }
            },
        )
    }

    async fn presence(&self, args: &ReadArgs) -> Result<(), Failure> {
        let answer = self
            .ask::<SystemPresence>(args, Scope::Read, &EmptyParams {})
            .await?;
        let style = self.output.style(Environment::now_ms());
        super::show(
            &answer,
            args.form.json,
            self.output,
            |present: &Vec<PresenceEntry>| render::presence(present, &style),
        )
    }
}
