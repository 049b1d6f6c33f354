//! Which tools an agent may use. Pure.

/// What a tool is about; `group:NAME` in the configuration names all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Files of the workspace.
    Files,
    /// Programs on this host.
    Runtime,
    /// The web.
    Web,
    /// Conversations.
    Sessions,
    /// Messages to people.
    Messaging,
    /// What runs by the clock.
    Automation,
    /// Paired devices.
    Nodes,
    /// Tools of MCP servers.
    Mcp,
}

impl Group {
    /// Every group, in the order in which lists show them.
    pub const ALL: [Self; 8] = [
        Self::Files,
        Self::Runtime,
        Self::Web,
        Self::Sessions,
        Self::Messaging,
        Self::Automation,
        Self::Nodes,
        Self::Mcp,
    ];

    /// The name in `group:NAME`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Files => "fs",
            Self::Runtime => "runtime",
            Self::Web => "web",
            Self::Sessions => "sessions",
            Self::Messaging => "messaging",
            Self::Automation => "automation",
            Self::Nodes => "nodes",
            Self::Mcp => "mcp",
        }
    }

    /// The name for people.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Files => "Files",
            Self::Runtime => "Runtime",
            Self::Web => "Web",
            Self::Sessions => "Sessions",
            Self::Messaging => "Messaging",
            Self::Automation => "Automation",
            Self::Nodes => "Nodes",
            Self::Mcp => "MCP",
        }
    }
}

/// What a set of tools begins with, before `allow` and `deny`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Profile {
    /// None of them.
    Minimal,
    /// Files, programs, the web, conversations.
    Coding,
    /// Conversations, and messages to people.
    Messaging,
    /// Everything.
    #[default]
    Full,
}

impl Profile {
    /// Every profile, the smallest first.
    pub const ALL: [Self; 4] = [Self::Minimal, Self::Coding, Self::Messaging, Self::Full];

    /// The name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Coding => "coding",
            Self::Messaging => "messaging",
            Self::Full => "full",
        }
    }

    /// The name for people.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Minimal => "Minimal",
            Self::Coding => "Coding",
            Self::Messaging => "Messaging",
            Self::Full => "Full",
        }
    }

    /// Whether a group is in it.
    pub const fn holds(self, group: Group) -> bool {
        match self {
            Self::Minimal => false,
            Self::Coding => matches!(
                group,
                Group::Files | Group::Runtime | Group::Web | Group::Sessions | Group::Automation
            ),
            Self::Messaging => matches!(group, Group::Sessions | Group::Messaging),
            Self::Full => true,
        }
    }
}

/// The rules of one place of the configuration. A name is a tool, `group:NAME`, or ends with `*`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layer {
    /// What it begins with; everything when unset.
    pub profile: Option<Profile>,
    /// What comes on top of the profile.
    pub also_allow: Vec<String>,
    /// Only these; everything when empty.
    pub allow: Vec<String>,
    /// Never these; wins over everything else.
    pub deny: Vec<String>,
}

/// The rules of an agent: every layer has to permit a tool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy(pub Vec<Layer>);

impl Policy {
    /// What the agent's tools begin with: the last layer that names it counts.
    pub fn profile(&self) -> Profile {
        let named = self.0.iter().rev().find_map(|layer| layer.profile);
        named.unwrap_or_default()
    }

    /// Whether the agent may use a tool.
    pub fn permits(&self, name: &str, group: Group) -> bool {
        self.0.iter().all(|layer| layer.permits(name, group))
    }
}

impl Layer {
    fn permits(&self, name: &str, group: Group) -> bool {
        let names = |rules: &[String]| rules.iter().any(|rule| matches(rule, name, group));
        let begins = self.profile.is_none_or(|profile| profile.holds(group));
        let allowed = self.allow.is_empty() || names(&self.allow);
        !names(&self.deny) && (names(&self.also_allow) || (begins && allowed))
    }
}

fn matches(rule: &str, name: &str, group: Group) -> bool {
    let rule = rule.trim().to_ascii_lowercase();
    let name = name.to_ascii_lowercase();
    if let Some(wanted) = rule.strip_prefix("group:") {
        // Upstream's word for all of its own tools.
        return wanted == group.as_str() || (wanted == "openclaw" && group != Group::Mcp);
    }
    match rule.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        // Upstream's older name of the same tool.
        None => rule == name || (rule == "bash" && name == "exec"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(profile: Option<Profile>, also: &[&str], allow: &[&str], deny: &[&str]) -> Layer {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Layer {
            profile,
            also_allow: names(also),
            allow: names(allow),
            deny: names(deny),
        }
    }

    fn permitted(layers: &[Layer]) -> Vec<&'static str> {
        const TOOLS: [(&str, Group); 6] = [
            ("read", Group::Files),
            ("write", Group::Files),
            ("exec", Group::Runtime),
            ("web_fetch", Group::Web),
            ("sessions_list", Group::Sessions),
            ("files__read", Group::Mcp),
        ];
        let policy = Policy(layers.to_vec());
        let permitted = TOOLS
            .iter()
            .filter(|(name, group)| policy.permits(name, *group));
        permitted.map(|(name, _)| *name).collect()
    }

    #[test]
    fn deny_wins_and_allow_names_all_that_is_left() {
        let all = [
            "read",
            "write",
            "exec",
            "web_fetch",
            "sessions_list",
            "files__read",
        ];
        assert_eq!(permitted(&[]), all);
        for (rules, want) in [
            (
                layer(None, &[], &[], &["group:runtime", "files__*"]),
                &["read", "write", "web_fetch", "sessions_list"][..],
            ),
            (
                layer(None, &[], &["read", "Exec"], &["exec"]),
                &["read"][..],
            ),
            (
                layer(None, &[], &["group:openclaw"], &["group:fs"]),
                &["exec", "web_fetch", "sessions_list"][..],
            ),
            (layer(None, &[], &[], &["*"]), &[][..]),
            (
                layer(None, &[], &[], &["bash"]),
                &["read", "write", "web_fetch", "sessions_list", "files__read"][..],
            ),
            (layer(Some(Profile::Minimal), &[], &[], &[]), &[][..]),
            (
                layer(Some(Profile::Messaging), &["read"], &[], &[]),
                &["read", "sessions_list"][..],
            ),
            (
                layer(
                    Some(Profile::Coding),
                    &[],
                    &["group:fs", "files__read"],
                    &[],
                ),
                &["read", "write"][..],
            ),
            (
                layer(Some(Profile::Minimal), &["exec"], &[], &["exec"]),
                &[][..],
            ),
        ] {
            assert_eq!(permitted(std::slice::from_ref(&rules)), want, "{rules:?}");
        }
    }

    #[test]
    fn an_agent_cannot_widen_what_all_agents_may_use() {
        let everyone = layer(None, &[], &[], &["exec"]);
        let own = layer(Some(Profile::Coding), &["exec"], &["exec", "read"], &[]);
        assert_eq!(permitted(&[everyone, own]), ["read"]);
    }
}
