//! `tools.effective`: the tools that a run of the caller would have in a session.

use actix::Handler;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::tools::{
    EffectiveGroup, EffectiveTool, ToolsEffective, ToolsEffectiveParams, ToolsEffectiveResult,
};

use crate::agent::AgentRunner;
use crate::agent::tools::Descriptor;
use crate::call::{Call, Caller};

impl Handler<Call<ToolsEffective>> for AgentRunner {
    type Result = ();

    fn handle(&mut self, call: Call<ToolsEffective>, _: &mut Self::Context) {
        let result = self.effective(&call.params, &call.caller);
        call.reply.settle(result);
    }
}

impl AgentRunner {
    fn effective(
        &self,
        params: &ToolsEffectiveParams,
        caller: &Caller,
    ) -> Result<ToolsEffectiveResult, ErrorShape> {
        const METHOD: &str = "tools.effective";
        let settings = self.deps.views.settings.load();
        let agent = params.agent_id.as_deref();
        let session = super::session(&settings, &params.session_key, agent, METHOD)?;
        let agent = super::agent(&settings, &session.agent, METHOD)?;
        let inventory = self.deps.tools.inventory(agent, caller.scopes);
        let tools: Vec<EffectiveTool> = inventory
            .iter()
            .map(|tool| row(&tool.descriptor()))
            .collect();
        let groups = (!tools.is_empty()).then(|| EffectiveGroup {
            id: "core".into(),
            label: "Built in".into(),
            source: "core".into(),
            tools,
        });
        Ok(ToolsEffectiveResult {
            agent_id: agent.id.clone(),
            profile: agent.tools.profile().as_str().into(),
            groups: groups.into_iter().collect(),
        })
    }
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
