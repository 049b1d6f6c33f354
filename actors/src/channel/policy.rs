//! Who may write to an account. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{ChatKind, Inbound};
use crate::commands;

/// What becomes of direct messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DmPolicy {
    /// A stranger gets a code that the owner approves.
    #[default]
    Pairing,
    /// Only those who are named.
    Allowlist,
    /// Everyone.
    Open,
    /// Nobody.
    Disabled,
}

impl DmPolicy {
    /// Its name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pairing => "pairing",
            Self::Allowlist => "allowlist",
            Self::Open => "open",
            Self::Disabled => "disabled",
        }
    }
}

/// What becomes of messages in groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GroupPolicy {
    /// From everyone there.
    Open,
    /// From those who are named.
    #[default]
    Allowlist,
    /// From nobody.
    Disabled,
}

/// People, by the platform's ids of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllowList {
    everyone: bool,
    ids: BTreeSet<String>,
}

impl AllowList {
    /// The list in these entries; `*` is everyone, a prefix with the channel's name is dropped.
    pub fn of<'a>(channel: &str, entries: impl IntoIterator<Item = &'a str>) -> Self {
        let mut list = Self::default();
        for entry in entries {
            match plain_id(channel, entry) {
                "*" => list.everyone = true,
                "" => {}
                id => {
                    list.ids.insert(id.to_lowercase());
                }
            }
        }
        list
    }

    /// Whether somebody is named, or meant by a mask (`*!*@example.org`).
    pub fn names(&self, id: &str) -> bool {
        let id = id.to_lowercase();
        let is_mask = |entry: &&String| entry.contains('!') && entry.contains('*');
        self.ids.contains(&id)
            || (self.ids.iter())
                .filter(is_mask)
                .any(|mask| matches(mask, &id))
    }

    /// Whether somebody is meant.
    pub fn admits(&self, id: &str) -> bool {
        self.everyone || self.names(id)
    }

    /// Whether it names nobody at all.
    pub fn is_empty(&self) -> bool {
        !self.everyone && self.ids.is_empty()
    }

    /// Whether it names everyone.
    pub const fn is_everyone(&self) -> bool {
        self.everyone
    }

    /// Its entries.
    pub fn entries(&self) -> Vec<String> {
        let everyone = self.everyone.then(|| "*".to_owned());
        everyone
            .into_iter()
            .chain(self.ids.iter().cloned())
            .collect()
    }
}

/// Whether an id is of this form, where `*` stands for any text.
fn matches(mask: &str, id: &str) -> bool {
    let Some((head, rest)) = mask.split_once('*') else {
        return mask == id;
    };
    let Some(mut id) = id.strip_prefix(head) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = id.find(part) else {
            return false;
        };
        id = &id[at + part.len()..];
    }
    id.ends_with(last)
}

/// An id without the prefix that people write before it (`telegram:123`, `tg:123`).
pub fn plain_id<'a>(channel: &str, entry: &'a str) -> &'a str {
    let entry = entry.trim();
    let short = match channel {
        "telegram" => "tg",
        other => other,
    };
    for prefix in [channel, short] {
        if let Some((head, tail)) = entry.split_once(':')
            && head.eq_ignore_ascii_case(prefix)
        {
            return tail.trim();
        }
    }
    entry
}

/// The rules of one group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupRule {
    /// Whether it is listened to at all; yes when unset.
    pub enabled: Option<bool>,
    /// Whether only messages that name us count.
    pub require_mention: Option<bool>,
    /// Who may write there, in place of the account's list.
    pub allow_from: Option<AllowList>,
    /// Roles whose members may write there too, as if each of them was named.
    pub roles: BTreeSet<String>,
    /// What becomes of messages there, in place of the account's policy.
    pub policy: Option<GroupPolicy>,
    /// What every run there begins with.
    pub system_prompt: Option<String>,
}

/// Who may write to an account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// Of direct messages.
    pub dm: DmPolicy,
    /// People.
    pub allow_from: AllowList,
    /// Of groups.
    pub group: GroupPolicy,
    /// People in groups; `allow_from` when unset.
    pub group_allow_from: Option<AllowList>,
    /// Groups by id, or `*`; where there is any, no other group is listened to.
    pub groups: BTreeMap<String, GroupRule>,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is answered.
    Take {
        /// Whether its writer is named or approved: may give commands and use tools.
        trusted: bool,
    },
    /// Its writer is asked to be approved; the message itself is not read.
    Pair,
    /// It is dropped.
    Ignore(&'static str),
}

impl Policy {
    /// The rule of a group, that of all rooms of its server (`<server>/*`), or that of all groups.
    pub fn group_rule(&self, chat: &str, space: Option<&str>) -> Option<&GroupRule> {
        let own = self.groups.get(chat);
        own.or_else(|| self.groups.get(&format!("{}/*", space?)))
            .or_else(|| self.groups.get("*"))
    }

    /// What becomes of a message whose writer was approved (`paired`), or may give commands anywhere
    /// (`owner`).
    pub fn decide(&self, message: &Inbound, paired: bool, owner: bool) -> Verdict {
        match message.kind {
            ChatKind::Direct => self.direct(&message.sender.id, paired, owner),
            ChatKind::Group => self.in_group(message, owner),
        }
    }

    fn direct(&self, sender: &str, paired: bool, owner: bool) -> Verdict {
        let named = self.allow_from.names(sender) || owner;
        match self.dm {
            DmPolicy::Disabled => Verdict::Ignore("direct messages are disabled (dmPolicy)"),
            _ if named => Verdict::Take { trusted: true },
            DmPolicy::Pairing if paired => Verdict::Take { trusted: true },
            DmPolicy::Pairing => Verdict::Pair,
            // Open is said twice, or it is a mistake.
            DmPolicy::Open | DmPolicy::Allowlist if self.allow_from.is_everyone() => {
                Verdict::Take { trusted: false }
            }
            DmPolicy::Open => {
                Verdict::Ignore("dmPolicy is open, but allowFrom does not hold \"*\"")
            }
            DmPolicy::Allowlist => Verdict::Ignore("the sender is not in allowFrom"),
        }
    }

    fn in_group(&self, message: &Inbound, owner: bool) -> Verdict {
        let rule = self.group_rule(&message.chat.chat, message.space.as_deref());
        if rule.is_none() && !self.groups.is_empty() {
            return Verdict::Ignore("the group is not in groups");
        }
        let fallback = GroupRule::default();
        let rule = rule.unwrap_or(&fallback);
        if rule.enabled == Some(false) {
            return Verdict::Ignore("the group is disabled");
        }
        // Approvals of direct messages never count in groups.
        let people = rule
            .allow_from
            .as_ref()
            .or(self.group_allow_from.as_ref())
            .unwrap_or(&self.allow_from);
        let sender = &message.sender.id;
        let has_role = (message.roles.iter()).any(|role| rule.roles.contains(role));
        let trusted = people.names(sender) || has_role || owner;
        let admitted = match rule.policy.unwrap_or(self.group) {
            GroupPolicy::Disabled => return Verdict::Ignore("groups are disabled (groupPolicy)"),
            GroupPolicy::Open => true,
            GroupPolicy::Allowlist => trusted || people.admits(sender),
        };
        if !admitted {
            return Verdict::Ignore("the sender is not in groupAllowFrom");
        }
        let command = trusted && commands::parse(&message.text).is_some();
        if rule.require_mention != Some(false) && !message.mentioned && !command {
            return Verdict::Ignore("the message does not name us (requireMention)");
        }
        Verdict::Take { trusted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::tests::message;

    fn policy(dm: DmPolicy, allow: &[&str]) -> Policy {
        Policy {
            dm,
            allow_from: AllowList::of("telegram", allow.iter().copied()),
            ..Policy::default()
        }
    }

    const YES: Verdict = Verdict::Take { trusted: true };
    const STRANGER: Verdict = Verdict::Take { trusted: false };

    #[test]
    fn direct_messages_follow_their_policy() {
        let dm = |policy: &Policy, paired| policy.decide(&message("7", "hi"), paired, false);
        let ignored = |verdict| matches!(verdict, Verdict::Ignore(_));
        assert_eq!(dm(&policy(DmPolicy::Pairing, &[]), false), Verdict::Pair);
        assert_eq!(dm(&policy(DmPolicy::Pairing, &[]), true), YES);
        assert_eq!(dm(&policy(DmPolicy::Pairing, &["tg:7"]), false), YES);
        assert!(ignored(dm(&policy(DmPolicy::Allowlist, &["8"]), true)));
        assert_eq!(dm(&policy(DmPolicy::Allowlist, &["7"]), false), YES);
        assert!(ignored(dm(&policy(DmPolicy::Open, &[]), false)));
        assert_eq!(dm(&policy(DmPolicy::Open, &["*"]), false), STRANGER);
        assert!(ignored(dm(&policy(DmPolicy::Disabled, &["7"]), true)));
        // `*` is not an approval where strangers are to be asked for.
        assert_eq!(dm(&policy(DmPolicy::Pairing, &["*"]), false), Verdict::Pair);
    }

    #[test]
    fn rooms_of_a_server_follow_its_rule() {
        let mut group = message("7", "hi");
        group.kind = ChatKind::Group;
        group.chat.chat = "20".into();
        group.space = Some("9".into());
        let open = GroupRule {
            require_mention: Some(false),
            allow_from: Some(AllowList::of("discord", ["*", "8"])),
            ..GroupRule::default()
        };
        let closed = GroupRule {
            enabled: Some(false),
            ..GroupRule::default()
        };
        let mut policy = policy(DmPolicy::Pairing, &["7"]);
        policy.groups.insert("9/*".into(), open);
        assert_eq!(policy.decide(&group, false, false), STRANGER);
        group.sender.id = "8".into();
        assert_eq!(policy.decide(&group, false, false), YES);
        policy.groups.insert("20".into(), closed);
        let ignored = |verdict| matches!(verdict, Verdict::Ignore(_));
        assert!(ignored(policy.decide(&group, false, false)));
        group.chat.chat = "21".into();
        group.space = Some("10".into());
        assert!(
            ignored(policy.decide(&group, false, false)),
            "another server"
        );
    }

    #[test]
    fn a_role_of_a_server_is_as_good_as_a_name_where_it_is_configured() {
        let mut group = message("7", "hi");
        group.kind = ChatKind::Group;
        group.chat.chat = "20".into();
        group.space = Some("9".into());
        let mut policy = policy(DmPolicy::Pairing, &[]);
        let rule = GroupRule {
            allow_from: Some(AllowList::default()),
            roles: BTreeSet::from(["55".to_owned()]),
            ..GroupRule::default()
        };
        policy.groups.insert("9/*".into(), rule);
        let ignored = |verdict| matches!(verdict, Verdict::Ignore(_));
        assert!(ignored(policy.decide(&group, false, false)));
        group.roles = vec!["54".into()];
        assert!(ignored(policy.decide(&group, false, false)));
        group.roles.push("55".into());
        assert_eq!(policy.decide(&group, false, false), YES);
        group.space = Some("10".into());
        assert!(
            ignored(policy.decide(&group, false, false)),
            "another server"
        );
    }

    #[test]
    fn a_mask_means_everybody_of_its_form() {
        let list = AllowList::of("irc", ["ann!*@*.Example.org", "bob!bob@host"]);
        assert!(list.names("Ann!~a@one.example.org") && list.names("bob!bob@host"));
        for other in [
            "ann!a@example.org.evil",
            "annie!a@one.example.org",
            "bob!bob@host2",
            "ann",
        ] {
            assert!(!list.names(other), "{other}");
        }
        let all = AllowList::of("irc", ["*!*@*"]);
        assert!(all.names("x!y@z") && !all.names("7") && !all.is_everyone());
    }

    #[test]
    fn groups_are_closed_until_somebody_is_named() {
        let mut group = message("7", "hi");
        group.kind = ChatKind::Group;
        group.chat.chat = "-100".into();
        let ignored = |policy: &Policy, group: &Inbound, paired| {
            matches!(policy.decide(group, paired, false), Verdict::Ignore(_))
        };
        let closed = policy(DmPolicy::Pairing, &[]);
        group.mentioned = true;
        assert!(
            ignored(&closed, &group, true),
            "a pairing is no pass into a group"
        );
        let named = policy(DmPolicy::Pairing, &["7"]);
        assert_eq!(named.decide(&group, false, false), YES);
        group.mentioned = false;
        assert!(ignored(&named, &group, false), "it was not named");
        group.text = "/status".into();
        assert_eq!(
            named.decide(&group, false, false),
            YES,
            "a command is meant"
        );

        let mut open = policy(DmPolicy::Pairing, &[]);
        open.group = GroupPolicy::Open;
        assert!(
            ignored(&open, &group, false),
            "a stranger's command is text"
        );
        open.groups.insert(
            "*".into(),
            GroupRule {
                require_mention: Some(false),
                ..GroupRule::default()
            },
        );
        assert_eq!(open.decide(&group, false, false), STRANGER);
        let other = open.groups.remove("*").unwrap();
        open.groups.insert("-200".into(), other);
        assert!(ignored(&open, &group, false), "only listed groups");
    }
}
