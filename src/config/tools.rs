//! `tools`: which tools agents may use.

use openclaw_actors::agent::tools::{Layer, Policy, Profile};
use openclaw_actors::channel::settings::Reach;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `tools`, for all agents; `agents.list[].tools` for one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Tools {
    /// What agents begin with: `minimal`, `coding`, `messaging` or `full`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<ToolProfile>,
    /// Only these tools, or `group:NAME`, or names that end with `*`.
    pub allow: Vec<String>,
    /// Tools on top of the profile.
    pub also_allow: Vec<String>,
    /// Never these; wins over everything else.
    pub deny: Vec<String>,
    /// Where the tool `message` may send to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageTool>,
}

/// `tools.message`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct MessageTool {
    /// Whether a run that a chat began may send to other chats.
    pub cross_context: CrossContext,
}

/// `tools.message.crossContext`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct CrossContext {
    /// On the same channel; yes when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_within_provider: Option<bool>,
    /// On other channels; no when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_across_providers: Option<bool>,
}

/// A named set of tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ToolProfile {
    /// None.
    Minimal,
    /// Files, programs, the web, conversations.
    Coding,
    /// Conversations.
    Messaging,
    /// Everything.
    Full,
}

impl Tools {
    /// The rules as actors judge by them.
    fn layer(&self) -> Layer {
        Layer {
            profile: self.profile.map(|profile| match profile {
                ToolProfile::Minimal => Profile::Minimal,
                ToolProfile::Coding => Profile::Coding,
                ToolProfile::Messaging => Profile::Messaging,
                ToolProfile::Full => Profile::Full,
            }),
            also_allow: self.also_allow.clone(),
            allow: self.allow.clone(),
            deny: self.deny.clone(),
        }
    }

    /// Where the tool `message` may send to.
    pub fn reach(&self) -> Reach {
        let own = self.message.as_ref().map(|message| &message.cross_context);
        Reach {
            other_chats: own.and_then(|own| own.allow_within_provider) != Some(false),
            other_channels: own.and_then(|own| own.allow_across_providers) == Some(true),
        }
    }

    /// The rules of an agent: its profile takes the place of the one for all, everything else of both
    /// has to permit a tool.
    pub fn policy(&self, own: &Self) -> Policy {
        let mut everyone = self.layer();
        if own.profile.is_some() {
            everyone.profile = None;
            everyone.also_allow.clear();
        }
        Policy(vec![everyone, own.layer()])
    }
}

#[cfg(test)]
mod tests {
    use openclaw_actors::agent::tools::Group;

    use super::*;

    #[test]
    fn an_agents_profile_replaces_and_its_denials_add() {
        let tools = |text: &str| -> Tools { serde_json::from_str(text).unwrap() };
        let everyone = tools(r#"{"profile": "minimal", "deny": ["exec"]}"#);
        let plain = everyone.policy(&Tools::default());
        assert!(!plain.permits("read", Group::Files));
        let own = tools(r#"{"profile": "coding", "deny": ["write"]}"#);
        let policy = everyone.policy(&own);
        assert!(policy.permits("read", Group::Files));
        assert!(!policy.permits("write", Group::Files));
        assert!(!policy.permits("exec", Group::Runtime));
    }
}
