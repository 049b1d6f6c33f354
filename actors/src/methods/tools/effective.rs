//! `tools.effective`: the tools that a run of the caller would have in a session.

use actix::Handler;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::tools::{
    EffectiveGroup, EffectiveTool, ToolsEffective, ToolsEffectiveParams, ToolsEffectiveResult,
};

use crate::agent::AgentRunner;
use crate::agent::tools::{Descriptor, Toolbox};
use crate::call::{Call, Caller};
use crate::settings::Settings;

impl Handler<Call<ToolsEffective>> for AgentRunner {
    type Result = ();

    fn handle(&mut self, call: Call<ToolsEffective>, _: &mut Self::Context) {
        let (params, caller) = (call.params, call.caller);
        super::answer(self, call.reply, move |tools, settings| {
            effective(tools, settings, &params, &caller)
        });
    }
}

fn effective(
    tools: &Toolbox,
    settings: &Settings,
    params: &ToolsEffectiveParams,
    caller: &Caller,
) -> Result<ToolsEffectiveResult, ErrorShape> {
    const METHOD: &str = "tools.effective";
    let agent = params.agent_id.as_deref();
    let session = super::session(settings, &params.session_key, agent, METHOD)?;
    let agent = super::agent(settings, &session.agent, METHOD)?;
    let inventory = tools.inventory(agent, caller.scopes);
    let rows: Vec<EffectiveTool> = inventory
        .iter()
        .map(|tool| row(&tool.descriptor()))
        .collect();
    let groups = (!rows.is_empty()).then(|| EffectiveGroup {
        id: "core".into(),
        label: "Built in".into(),
        source: "core".into(),
        tools: rows,
    });
    Ok(ToolsEffectiveResult {
        agent_id: agent.id.clone(),
        profile: agent.tools.profile().as_str().into(),
        groups: groups.into_iter().collect(),
    })
}

fn row(tool: &Descriptor) -> EffectiveTool {
    EffectiveTool {
        id: tool.name.clone(),
        label: tool.label.into(),
        description: tool.summary().to_owned(),
        raw_description: tool.description.clone(),
        source: "core".into(),
        risk: Some(tool.risk.as_str().into()),
    }
}
