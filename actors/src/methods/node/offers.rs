//! What nodes tell of themselves besides their commands, and what they ask of the gateway. Their skills,
//! tools and workers are heard and not used; the canvas is given a new address.

use std::collections::BTreeMap;

use actix::{Context, Handler};
use openclaw_protocol::methods::node_side::{
    NodePluginSurfaceRefresh, NodePluginSurfaceRefreshParams, NodePluginSurfaceRefreshResult,
    NodePluginToolsUpdate, NodePluginToolsUpdateResult, NodeRunnerInventoryUpdate,
    NodeRunnerInventoryUpdateResult, NodeSkillsUpdate, NodeSkillsUpdateResult, SkillsBins,
    SkillsBinsResult,
};
use openclaw_protocol::{ErrorShape, Generation};

use crate::call::{Call, Caller};
use crate::canvas::{CAP, address};
use crate::node::Nodes;
use crate::node::invoke::InvokeDeps;

fn id(caller: &Caller) -> String {
    caller.device_id.clone().unwrap_or_default()
}

impl Handler<Call<NodePluginSurfaceRefresh>> for Nodes {
    type Result = ();

    fn handle(&mut self, call: Call<NodePluginSurfaceRefresh>, _: &mut Context<Self>) {
        let NodePluginSurfaceRefreshParams { surface } = call.params;
        let InvokeDeps {
            views,
            entropy,
            clock,
            ..
        } = &self.deps.invoke;
        // Nodes of the older generation do not know such addresses.
        let known = surface == CAP && call.caller.generation == Generation::V4;
        let given = known.then(|| address::give(views, &call.caller, entropy, clock.now()));
        let Some(given) = given.flatten() else {
            let mut error =
                ErrorShape::unavailable(format!("{surface} plugin surface unavailable"));
            // Nothing comes of another try.
            error.retryable = None;
            return call.reply.error(error);
        };
        call.reply.ok(&NodePluginSurfaceRefreshResult {
            plugin_surface_urls: BTreeMap::from([(surface.clone(), given.url)]),
            surface,
            expires_at_ms: given.until.wire(),
        });
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
