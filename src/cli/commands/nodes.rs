//! `openclaw nodes`.

use std::process::ExitCode;

use openclaw_client::Connection;
use openclaw_protocol::methods::node::{
    NodeDescribe, NodeDescribeParams, NodeList, NodeListResult, NodePairApprove,
    NodePairApproveParams, NodePairApproveResult, NodePairList, NodePairReject,
    NodePairRejectResult, NodePairRemove, NodePairRemoveResult, NodeRename, NodeRenameResult,
};
use openclaw_protocol::methods::system::EmptyParams;
use openclaw_protocol::{Method, Scope};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::devices::{needs_admin, wanted};
use super::node_use::Use;
use crate::cli::args::{DecideArgs, NodeApproveArgs, NodeArgs, NodesCommand, ReadArgs};
use crate::cli::connect::open;
use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::node_choice;
use crate::cli::output::Output;
use crate::cli::render::nodes as render;
use crate::cli::render::text::{plain, short};
use crate::cli::target::Target;

pub(crate) async fn run(
    command: &NodesCommand,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    if let Some(using) = Use::of(command)? {
        using.carry_out(environment, output).await?;
        return Ok(ExitCode::SUCCESS);
    }
    match command {
        NodesCommand::List(args) => list(args, environment, output).await?,
        NodesCommand::Pending(args) => pending(args, environment, output).await?,
        NodesCommand::Approve(args) => approve(args, environment, output).await?,
        NodesCommand::Reject(args) => reject(args, environment, output).await?,
        NodesCommand::Describe(args) => describe(args, environment, output).await?,
        NodesCommand::Rename(args) => {
            let method = NodeRename::NAME;
            let name = json!({ "displayName": args.name });
            let answer = change(&args.node, method, name, environment).await?;
            let said = |done: &NodeRenameResult| {
                let id = short(&done.node_id);
                format!("{id} is called {} now\n", plain(&done.display_name))
            };
            super::show(&answer, args.node.read.form.json, output, said)?;
        }
        NodesCommand::Remove(args) => {
            let answer = change(args, NodePairRemove::NAME, json!({}), environment).await?;
            let said = |done: &NodePairRemoveResult| format!("removed {}\n", short(&done.node_id));
            super::show(&answer, args.read.form.json, output, said)?;
        }
        NodesCommand::Invoke(_)
        | NodesCommand::Run(_)
        | NodesCommand::Notify(_)
        | NodesCommand::Camera(_)
        | NodesCommand::Screen(_)
        | NodesCommand::Location(_)
        | NodesCommand::Canvas(_) => {}
    }
    Ok(ExitCode::SUCCESS)
}

const SEE: &[Scope] = &[Scope::Read, Scope::Pairing];

async fn list(args: &ReadArgs, environment: &Environment, output: &Output) -> Result<(), Failure> {
    let target = environment.target(&args.target)?;
    let connection = open(&target, wanted(args, SEE)).await?;
    let nodes = ask::<NodeList>(&connection, &target, &EmptyParams {}).await?;
    let pairing = ask::<NodePairList>(&connection, &target, &EmptyParams {}).await?;
    connection.close().await;
    if args.form.json {
        let (pending, paired) = (&pairing.pending, &pairing.paired);
        return output.json(&json!({
            "ts": nodes.ts, "pending": pending, "paired": paired, "nodes": nodes.nodes,
        }));
    }
    let style = output.style(Environment::now_ms());
    output.write(&render::list(&nodes.nodes, &pairing.pending, &style))
}

async fn pending(
    args: &ReadArgs,
    environment: &Environment,
    output: &Output,
) -> Result<(), Failure> {
    let target = environment.target(&args.target)?;
    let connection = open(&target, wanted(args, &[Scope::Pairing])).await?;
    let list = ask::<NodePairList>(&connection, &target, &EmptyParams {}).await?;
    connection.close().await;
    if args.form.json {
        return output.json(&list.pending);
    }
    let style = output.style(Environment::now_ms());
    output.write(&render::pending(&list.pending, &style))
}

async fn describe(
    args: &NodeArgs,
    environment: &Environment,
    output: &Output,
) -> Result<(), Failure> {
    let target = environment.target(&args.read.target)?;
    let connection = open(&target, wanted(&args.read, SEE)).await?;
    let node_id = resolve(&connection, &target, args.wanted()).await?;
    let params = NodeDescribeParams { node_id };
    let answer = connection
        .client()
        .request_raw(NodeDescribe::NAME, &params)
        .await
        .map_err(|error| Failure::request(&error, &target))?;
    connection.close().await;
    let style = output.style(Environment::now_ms());
    super::show(&answer, args.read.form.json, output, |node| {
        render::describe(node, &style)
    })
}

/// Approves a request. Its sensitive commands have to be wanted in so many words.
async fn approve(
    args: &NodeApproveArgs,
    environment: &Environment,
    output: &Output,
) -> Result<(), Failure> {
    let read = &args.read;
    let target = environment.target(&read.target)?;
    let connection = open(&target, wanted(read, &[Scope::Pairing])).await?;
    let list = ask::<NodePairList>(&connection, &target, &EmptyParams {}).await?;
    connection.close().await;
    let request = node_choice::find(&list.pending, &args.request).map_err(unknown)?;
    let mut request = request.clone();
    let only = node_choice::only(&mut request, &args.only).map_err(unknown)?;
    let request = &request;
    let sensitive = node_choice::sensitive(&request.commands);
    // A command that was named is wanted.
    if !sensitive.is_empty() && !args.sensitive && only.is_none() {
        if !read.form.json {
            let style = output.style(Environment::now_ms());
            output.write(&render::request(request, &style))?;
        }
        return Err(Failure::failed(
            format!(
                "nothing approved: {} would be possible",
                sensitive.join(", ")
            ),
            Some(format!(
                "if you want that: openclaw nodes approve {} --sensitive; or name what you want with --only",
                plain(&request.request_id)
            )),
        ));
    }
    let scopes = node_choice::approve_scopes(request);
    let params = NodePairApproveParams {
        request_id: request.request_id.clone(),
        commands: only,
    };
    let connection = open(&target, wanted(read, &scopes)).await?;
    let answer = connection
        .client()
        .request_raw(NodePairApprove::NAME, &params)
        .await;
    connection.close().await;
    let answer = answer.map_err(|error| Failure::request(&error, &target))?;
    let style = output.style(Environment::now_ms());
    let said = |done: &NodePairApproveResult| render::approved(&done.node, &style);
    super::show(&answer, read.form.json, output, said)
}

async fn reject(
    args: &DecideArgs,
    environment: &Environment,
    output: &Output,
) -> Result<(), Failure> {
    let target = environment.target(&args.read.target)?;
    let connection = open(&target, wanted(&args.read, &[Scope::Pairing])).await?;
    let list = ask::<NodePairList>(&connection, &target, &EmptyParams {}).await?;
    let request = node_choice::find(&list.pending, &args.request).map_err(unknown)?;
    let params = json!({ "requestId": request.request_id });
    let method = NodePairReject::NAME;
    let answer = decide(connection, &target, &args.read, method, &params).await?;
    let said = |done: &NodePairRejectResult| {
        let id = short(&done.node_id);
        format!("rejected what {id} offers; what was approved before stays\n")
    };
    super::show(&answer, args.read.form.json, output, said)
}

/// Changes a node that a person named.
async fn change(
    args: &NodeArgs,
    method: &str,
    mut params: Value,
    environment: &Environment,
) -> Result<Box<RawValue>, Failure> {
    let target = environment.target(&args.read.target)?;
    let connection = open(&target, wanted(&args.read, SEE)).await?;
    params["nodeId"] = resolve(&connection, &target, args.wanted()).await?.into();
    decide(connection, &target, &args.read, method, &params).await
}

/// Calls a method, and as admin when the caller may not decide about other devices.
async fn decide(
    connection: Connection,
    target: &Target,
    read: &ReadArgs,
    method: &str,
    params: &Value,
) -> Result<Box<RawValue>, Failure> {
    let first = connection.client().request_raw(method, params).await;
    connection.close().await;
    let error = match first {
        Ok(answer) => return Ok(answer),
        Err(error) if needs_admin(&error) => error,
        Err(error) => return Err(Failure::request(&error, target)),
    };
    tracing::debug!(%error, "the pairing scope is not enough for this node");
    let admin = open(target, wanted(read, &[Scope::Pairing, Scope::Admin])).await?;
    let answer = admin.client().request_raw(method, params).await;
    admin.close().await;
    answer.map_err(|error| Failure::request(&error, target))
}

pub(super) async fn resolve(
    connection: &Connection,
    target: &Target,
    wanted: &str,
) -> Result<String, Failure> {
    let NodeListResult { nodes, .. } = ask::<NodeList>(connection, target, &EmptyParams {}).await?;
    node_choice::find_node(&nodes, wanted)
        .map(|node| node.node_id.clone())
        .map_err(unknown)
}

async fn ask<M>(
    connection: &Connection,
    target: &Target,
    params: &M::Params,
) -> Result<M::Result, Failure>
where
    M: Method<Params: serde::Serialize, Result: serde::de::DeserializeOwned>,
{
    connection
        .request::<M>(params)
        .await
        .map_err(|error| Failure::request(&error, target))
}

fn unknown(what: String) -> Failure {
    Failure::failed(what, Some("see `openclaw nodes list`".into()))
}
