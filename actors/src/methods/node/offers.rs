//! What nodes tell of themselves besides their commands, and what they ask of the gateway. Their skills,
//! tools and workers are heard and not used; there is no canvas yet.

use actix::{Context, Handler};
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::node_side::{
    NodePluginSurfaceRefresh, NodePluginToolsUpdate, NodePluginToolsUpdateResult,
    NodeRunnerInventoryUpdate, NodeRunnerInventoryUpdateResult, NodeSkillsUpdate,
    NodeSkillsUpdateResult, SkillsBins, SkillsBinsResult,
};

use crate::call::{Call, Caller};
use crate::node::Nodes;

fn id(caller: &Caller) -> String {
    caller.device_id.clone().unwrap_or_default()
}

impl Handler<Call<NodePluginSurfaceRefresh>> for Nodes {
    type Result = ();

    fn handle(&mut self, call: Call<NodePluginSurfaceRefresh>, _: &mut Context<Self>) {
        let mut error = ErrorShape::unavailable(format!(
            "{} plugin surface unavailable",
            call.params.surface
        ));
        // Nothing comes of another try.
        error.retryable = None;
        call.reply.error(error);
    }
}

impl Handler<Call<NodePluginToolsUpdate>> for Nodes {
    type Result = ();

    fn handle(&mut self, call: Call<NodePluginToolsUpdate>, _: &mut Context<Self>) {
        call.reply.ok(&NodePluginToolsUpdateResult {
            node_id: id(&call.caller),
            tools: Vec::new(),
        });
    }
}

impl Handler<Call<NodeRunnerInventoryUpdate>> for Nodes {
    type Result = ();

    fn handle(&mut self, call: Call<NodeRunnerInventoryUpdate>, _: &mut Context<Self>) {
        call.reply.ok(&NodeRunnerInventoryUpdateResult {
            node_id: id(&call.caller),
        });
    }
}

impl Handler<Call<NodeSkillsUpdate>> for Nodes {
    type Result = ();

    fn handle(&mut self, call: Call<NodeSkillsUpdate>, _: &mut Context<Self>) {
        call.reply.ok(&NodeSkillsUpdateResult {
            node_id: id(&call.caller),
            skills: Vec::new(),
        });
    }
}

impl Handler<Call<SkillsBins>> for Nodes {
    type Result = ();

    fn handle(&mut self, call: Call<SkillsBins>, _: &mut Context<Self>) {
        call.reply.ok(&SkillsBinsResult::default());
    }
}
