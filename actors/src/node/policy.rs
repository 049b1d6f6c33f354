//! Which commands of a node are in effect: those that it declares, that an owner approved and that
//! the configuration does not deny. Pure.
//!
//! A declaration is a claim of the node and gives nothing by itself; what is missing in it gives
//! nothing either. **Invariant:** what is in effect is a part of what is declared and a part of what
//! was approved, and nothing of it is denied.

use std::collections::{BTreeMap, BTreeSet};

use openclaw_protocol::Scope;
use openclaw_protocol::node_command::{self, Reach, matches};
use serde::{Deserialize, Serialize};

/// Most capabilities that count; further ones of a declaration are left out.
pub const MAX_CAPS: usize = 64;
/// Most commands that count.
pub const MAX_COMMANDS: usize = 256;
/// Most permissions that count.
pub const MAX_PERMISSIONS: usize = 64;
/// Longest name that counts, bytes.
pub const MAX_NAME: usize = 96;

/// What a node offers, or what an owner approved of it. Bounded to about 40 kB.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Surface {
    /// Capabilities: families of commands, and pages that the gateway may serve to it.
    pub caps: BTreeSet<String>,
    /// Commands.
    pub commands: BTreeSet<String>,
    /// Permissions that it has, or has not, on its own system.
    pub permissions: BTreeMap<String, bool>,
}

/// A name that can be shown, configured and compared: no blanks, nothing that is not ASCII.
fn name(text: &str) -> Option<String> {
    let text = text.trim();
    let fits = !text.is_empty()
        && text.len() <= MAX_NAME
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| text.to_owned())
}

impl Surface {
    /// What a node declares, within bounds; what is no proper name is left out.
    pub fn declared(
        caps: &[String],
        commands: &[String],
        permissions: Option<&BTreeMap<String, bool>>,
    ) -> Self {
        let names = |texts: &[String], most: usize| -> BTreeSet<String> {
            let names: BTreeSet<String> = texts.iter().filter_map(|text| name(text)).collect();
            names.into_iter().take(most).collect()
        };
        Self {
            caps: names(caps, MAX_CAPS),
            commands: names(commands, MAX_COMMANDS),
            permissions: permissions
                .into_iter()
                .flatten()
                .filter_map(|(key, granted)| Some((name(key)?, *granted)))
                .take(MAX_PERMISSIONS)
                .collect(),
        }
    }

    /// Whether there is nothing to approve: a permission that is not granted gives nothing.
    pub fn gives_nothing(&self) -> bool {
        self.caps.is_empty()
            && self.commands.is_empty()
            && !self.permissions.values().any(|granted| *granted)
    }

    /// Whether everything that this surface gives was approved.
    pub fn is_within(&self, approved: &Self) -> bool {
        self.caps.is_subset(&approved.caps)
            && self.commands.is_subset(&approved.commands)
            && self
                .permissions
                .iter()
                .all(|(key, granted)| !granted || approved.permissions.get(key) == Some(&true))
    }

    /// The part of this surface that was approved.
    #[must_use]
    pub fn limited_to(&self, approved: &Self) -> Self {
        Self {
            caps: self.caps.intersection(&approved.caps).cloned().collect(),
            commands: self
                .commands
                .intersection(&approved.commands)
                .cloned()
                .collect(),
            permissions: self
                .permissions
                .iter()
                .filter_map(|(key, granted)| {
                    let approved = approved.permissions.get(key)?;
                    Some((key.clone(), *granted && *approved))
                })
                .collect(),
        }
    }

    /// Permissions as the wire has them: absent rather than empty.
    pub fn wire_permissions(&self) -> Option<BTreeMap<String, bool>> {
        (!self.permissions.is_empty()).then(|| self.permissions.clone())
    }
}

/// `gateway.nodes.commands` with its older names: what the configuration says about commands,
/// besides the owner's approval.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandPolicy {
    allow: Vec<String>,
    deny: Vec<String>,
}

impl CommandPolicy {
    /// The policy of these lists. An entry is a command, or ends in `*` for all that begin with it.
    pub fn new<'a>(
        allow: impl IntoIterator<Item = &'a str>,
        deny: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let trimmed = |text: &str| text.trim().to_owned();
        let kept = |text: &String| !text.is_empty();
        Self {
            allow: allow.into_iter().map(trimmed).filter(kept).collect(),
            deny: deny.into_iter().map(trimmed).filter(kept).collect(),
        }
    }

    /// Whether a command never runs, whoever approved it.
    pub fn denies(&self, command: &str) -> bool {
        self.deny.iter().any(|pattern| matches(pattern, command))
    }

    /// What of a declaration may be approved at all.
    #[must_use]
    pub fn offered(&self, declared: &Surface) -> Surface {
        let mut offered = declared.clone();
        offered.commands.retain(|command| !self.denies(command));
        offered
    }

    /// The commands of a declaration that the configuration denies.
    pub fn denied(&self, declared: &Surface) -> Vec<String> {
        let denied = |command: &&String| self.denies(command);
        declared.commands.iter().filter(denied).cloned().collect()
    }

    /// What is in effect.
    #[must_use]
    pub fn effective(&self, declared: &Surface, approved: Option<&Surface>) -> Surface {
        approved.map_or_else(Surface::default, |approved| {
            self.offered(declared).limited_to(approved)
        })
    }

    /// How much a command gives away. The configuration vouches for commands that are not of the
    /// protocol, and lowers nothing that is known.
    pub fn reach(&self, command: &str) -> Reach {
        let vouched = || self.allow.iter().any(|pattern| matches(pattern, command));
        match node_command::meaning(command) {
            Some(known) => known.reach,
            None if vouched() => Reach::Ordinary,
            None => node_command::reach(command),
        }
    }

    /// The scope that a caller needs to have this command carried out. What reaches the whole machine
    /// takes an admin; but programs wait for an owner's yes each, and which there are is no secret from
    /// those who may ask for them.
    pub fn invoke_scope(&self, command: &str) -> Scope {
        const ASKED: [&str; 3] = ["system.run", "system.run.prepare", "system.which"];
        let asked = ASKED.iter().any(|name| matches(name, command));
        if asked || self.reach(command) < Reach::Machine {
            Scope::Write
        } else {
            Scope::Admin
        }
    }

    /// The scopes that an owner needs to approve this surface.
    pub fn approve_scopes(&self, surface: &Surface) -> Vec<Scope> {
        let reach = surface
            .commands
            .iter()
            .map(|command| self.reach(command))
            .max();
        node_command::approve_scopes(reach, &surface.permissions)
    }

    /// The commands of a surface that need the owner's explicit yes.
    pub fn sensitive<'a>(&self, surface: &'a Surface) -> Vec<&'a str> {
        surface
            .commands
            .iter()
            .map(String::as_str)
            .filter(|command| self.reach(command) > Reach::Ordinary)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn commands(names: &[&str]) -> Surface {
        Surface {
            commands: set(names),
            ..Surface::default()
        }
    }

    #[test]
    fn what_is_in_effect() {
        for (declared, approved, deny, expected) in [
            // Nothing without an approval, nothing without a declaration.
            (&["canvas.hide"][..], None, &[][..], &[][..]),
            (&[], Some(&["canvas.hide"][..]), &[], &[]),
            (
                &["canvas.hide"],
                Some(&["canvas.hide"]),
                &[],
                &["canvas.hide"],
            ),
            // A new command waits, the approved one goes on.
            (
                &["canvas.hide", "camera.snap"],
                Some(&["canvas.hide"]),
                &[],
                &["canvas.hide"],
            ),
            // Deny wins over the approval, in any case and by its beginning.
            (
                &["camera.snap", "camera.clip", "canvas.hide"],
                Some(&["camera.snap", "camera.clip", "canvas.hide"]),
                &["CAMERA.*"],
                &["canvas.hide"],
            ),
            (
                &["camera.snap", "canvas.hide"],
                Some(&["camera.snap", "canvas.hide"]),
                &["*"],
                &[],
            ),
        ] {
            let policy = CommandPolicy::new([], deny.iter().copied());
            let approved = approved.map(commands);
            assert_eq!(
                policy.effective(&commands(declared), approved.as_ref()),
                commands(expected),
                "{declared:?} {approved:?} {deny:?}"
            );
        }
    }

    #[test]
    fn deny_wins_over_allow() {
        let policy = CommandPolicy::new(["camera.snap", " "], [" camera.snap ", ""]);
        assert!(policy.denies("camera.snap") && !policy.denies("camera.list"));
        assert_eq!(
            policy.denied(&commands(&["camera.snap", "camera.list"])),
            ["camera.snap"]
        );
    }

    #[test]
    fn the_configuration_vouches_for_unknown_commands_only() {
        let policy = CommandPolicy::new(["garage.*", "system.run", "camera.*"], []);
        assert_eq!(policy.reach("garage.open"), Reach::Ordinary);
        assert_eq!(policy.reach("door.open"), Reach::Machine);
        assert_eq!(policy.reach("system.run"), Reach::Machine);
        assert_eq!(policy.reach("camera.snap"), Reach::Sensitive);
        assert_eq!(
            policy.approve_scopes(&commands(&["garage.open"])),
            [Scope::Pairing, Scope::Write]
        );
        assert_eq!(
            policy.approve_scopes(&commands(&["garage.open", "door.open"])),
            [Scope::Pairing, Scope::Admin]
        );
        assert_eq!(policy.approve_scopes(&commands(&[])), [Scope::Pairing]);
        for (command, scope) in [
            ("garage.open", Scope::Write),
            ("door.open", Scope::Admin),
            ("system.run", Scope::Write),
            ("system.which", Scope::Write),
            ("system.run.anything", Scope::Admin),
            ("system.execApprovals.set", Scope::Admin),
            ("camera.snap", Scope::Write),
            ("file.write", Scope::Admin),
        ] {
            assert_eq!(policy.invoke_scope(command), scope, "{command}");
        }
        assert_eq!(
            policy.sensitive(&commands(&["camera.snap", "canvas.hide", "garage.open"])),
            ["camera.snap"]
        );
    }

    #[test]
    fn a_permission_counts_when_both_sides_grant_it() {
        let map = |entries: &[(&str, bool)]| Surface {
            permissions: entries
                .iter()
                .map(|(key, granted)| ((*key).to_owned(), *granted))
                .collect(),
            ..Surface::default()
        };
        let approved = map(&[("camera", true), ("screen", false)]);
        let declared = map(&[("camera", true), ("screen", true), ("location", false)]);
        assert_eq!(
            declared.limited_to(&approved),
            map(&[("camera", true), ("screen", false)])
        );
        assert!(!declared.is_within(&approved));
        let less = map(&[("camera", false), ("location", false)]);
        assert!(less.is_within(&approved) && less.gives_nothing());
    }

    #[test]
    fn a_declaration_is_cleaned_and_bounded() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let long = "x".repeat(MAX_NAME + 1);
        let given: Vec<String> =
            texts(&[" a.b ", "", "  ", "a b", "é", "a\u{1b}[2J", &long, "a.b"]);
        let surface = Surface::declared(&given, &given, None);
        assert_eq!(
            (&surface.caps, &surface.commands),
            (&set(&["a.b"]), &set(&["a.b"]))
        );
        let many: Vec<String> = (0..MAX_COMMANDS + 10).map(|n| format!("c{n:04}")).collect();
        let surface = Surface::declared(&many, &many, None);
        assert_eq!(surface.caps.len(), MAX_CAPS);
        assert_eq!(surface.commands.len(), MAX_COMMANDS);
    }

    fn names() -> impl Strategy<Value = Vec<String>> {
        let name = prop_oneof![
            prop::sample::select(vec![
                "camera.snap",
                "camera.list",
                "Camera.Snap",
                "canvas.hide",
                "system.run",
                "garage.open",
            ])
            .prop_map(str::to_owned),
            "[a-cA-C.*]{0,4}",
        ];
        prop::collection::vec(name, 0..8)
    }

    fn surfaces() -> impl Strategy<Value = Surface> {
        let permissions = prop::collection::btree_map("[a-c]", any::<bool>(), 0..3);
        (names(), names(), permissions)
            .prop_map(|(caps, commands, map)| Surface::declared(&caps, &commands, Some(&map)))
    }

    proptest! {
        #[test]
        fn nothing_is_in_effect_that_was_not_declared_approved_and_left_undenied(
            declared in surfaces(),
            approved in prop::option::of(surfaces()),
            allow in names(),
            deny in names(),
        ) {
            let policy = CommandPolicy::new(
                allow.iter().map(String::as_str),
                deny.iter().map(String::as_str),
            );
            let effective = policy.effective(&declared, approved.as_ref());
            let approved = approved.unwrap_or_default();
            prop_assert!(effective.commands.is_subset(&declared.commands));
            prop_assert!(effective.commands.is_subset(&approved.commands));
            prop_assert!(effective.caps.is_subset(&declared.caps));
            prop_assert!(effective.caps.is_subset(&approved.caps));
            for command in &effective.commands {
                prop_assert!(!deny.iter().any(|entry| entry.eq_ignore_ascii_case(command)));
                prop_assert!(!policy.denies(command));
            }
            for (key, granted) in &effective.permissions {
                prop_assert!(
                    !granted
                        || (declared.permissions.get(key) == Some(&true)
                            && approved.permissions.get(key) == Some(&true))
                );
            }
            // Nothing else is missing either.
            for command in declared.commands.intersection(&approved.commands) {
                prop_assert!(policy.denies(command) || effective.commands.contains(command));
            }
            prop_assert!(effective.is_within(&approved) && effective.is_within(&declared));
        }
    }
}
