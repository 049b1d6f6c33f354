//! `tools.catalog`: every tool that there is.

use actix::Handler;
use openclaw_protocol::methods::tools::{
    CatalogGroup, CatalogTool, ToolProfileRow, ToolsCatalog, ToolsCatalogResult,
};

use crate::agent::AgentRunner;
use crate::agent::tools::{Descriptor, Group, Profile, Toolbox};
use crate::call::Call;

impl Handler<Call<ToolsCatalog>> for AgentRunner {
    type Result = ();

    fn handle(&mut self, call: Call<ToolsCatalog>, _: &mut Self::Context) {
        let wanted = call.params.agent_id;
        super::answer(self, call.reply, move |tools, settings| {
            let id = wanted.as_ref().unwrap_or(&settings.default_agent);
            let agent = super::agent(settings, id, "tools.catalog")?;
            Ok(ToolsCatalogResult {
                agent_id: agent.id.clone(),
                profiles: Profile::ALL.into_iter().map(profile).collect(),
                groups: groups(tools),
            })
        });
    }
}

fn profile(profile: Profile) -> ToolProfileRow {
    ToolProfileRow {
        id: profile.as_str().into(),
        label: profile.label().into(),
    }
}

fn groups(tools: &Toolbox) -> Vec<CatalogGroup> {
    let all: Vec<Descriptor> = tools.all().iter().map(|tool| tool.descriptor()).collect();
    let group = |group: Group| {
        let tools: Vec<CatalogTool> = all
            .iter()
            .filter(|tool| tool.group == group)
            .map(row)
            .collect();
        (!tools.is_empty()).then(|| CatalogGroup {
            id: group.as_str().into(),
            label: group.label().into(),
            source: "core".into(),
            tools,
        })
    };
    Group::ALL.into_iter().filter_map(group).collect()
}

fn row(tool: &Descriptor) -> CatalogTool {
    let holds = |profile: &Profile| profile.holds(tool.group);
    let profiles = Profile::ALL.into_iter().filter(holds);
    CatalogTool {
        id: tool.name.clone(),
        label: tool.label.into(),
        description: tool.summary().to_owned(),
        source: "core".into(),
        risk: Some(tool.risk.as_str().into()),
        default_profiles: profiles.map(|profile| profile.as_str().into()).collect(),
    }
}
