//! What waits for a decision, and the lasting rules. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use openclaw_protocol::methods::approvals::{
    ExecAllowed, ExecRequest, ExecRules, MAX_AGENTS, MAX_RULES, PendingExecApproval,
    ResolvedExecRules,
};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use tokio::sync::oneshot;

/// Most requests that wait.
const MAX_PENDING: usize = 64;
/// Most that wait for one decision.
const MAX_WAITERS: usize = 32;
/// Decisions that are remembered for those who ask a moment late.
const MAX_DECIDED: usize = 100;

/// A person's decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// This once.
    AllowOnce,
    /// This, exactly, from now on.
    AllowAlways,
    /// No.
    Deny,
}

impl Decision {
    /// Every decision.
    pub const ALL: [Self; 3] = [Self::AllowOnce, Self::AllowAlways, Self::Deny];

    /// The wire name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllowOnce => "allow-once",
            Self::AllowAlways => "allow-always",
            Self::Deny => "deny",
        }
    }

    /// Whether it may run.
    pub const fn allows(self) -> bool {
        matches!(self, Self::AllowOnce | Self::AllowAlways)
    }
}

/// What a waiter is told: a decision, or that there is none.
pub type Told = Option<Decision>;

/// What the rules say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may run.
    Allowed,
    /// It may not.
    Denied(&'static str),
    /// A person decides.
    Ask,
}

/// Too much waits already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{MAX_PENDING} programs wait for a decision already; decide them first (exec.approval.list)"
)]
pub struct Full;

/// The lasting rules as they are stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// The rules.
    pub file: ExecRules,
}

impl Rules {
    /// Changes with the rules.
    pub fn hash(&self) -> String {
        let text = serde_json::to_vec(&self.file).unwrap_or_default();
        super::plan::hex(&sha2::Sha256::digest(text))
    }
}

struct Pending {
    shown: PendingExecApproval,
    digest: Option<String>,
    waiters: Vec<oneshot::Sender<Told>>,
}

/// A request that ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// When it was asked and when its time would have been over.
    pub times: (u64, u64),
    /// The decision.
    pub decision: Told,
}

/// What a request was that waits no more.
#[derive(Debug)]
pub struct Ended {
    /// What would run.
    pub request: ExecRequest,
    /// What exactly; `None` of what a client asked for itself.
    pub digest: Option<String>,
}

/// What waits, and the rules.
#[derive(Default)]
pub struct State {
    rules: Option<Rules>,
    pending: BTreeMap<String, Pending>,
    decided: Vec<(String, Decided)>,
}

/// What somebody finds who asks for a decision.
pub enum Wait {
    /// It is there.
    Decided(Decided),
    /// It will be.
    Waiting((u64, u64), oneshot::Receiver<Told>),
    /// Nobody knows it.
    Unknown,
}

impl State {
    /// Nothing waits.
    pub fn new(rules: Option<Rules>) -> Self {
        Self {
            rules,
            ..Self::default()
        }
    }

    /// The lasting rules, if there ever were any.
    pub const fn rules(&self) -> Option<&Rules> {
        self.rules.as_ref()
    }

    /// Puts rules into effect.
    pub fn put(&mut self, rules: Rules) {
        self.rules = Some(rules);
    }

    /// The rules of an agent; words that are not known mean the safest.
    pub fn resolved(&self, agent: Option<&str>) -> ResolvedExecRules {
        let file = self.rules.as_ref().map(|rules| &rules.file);
        let defaults = file.and_then(|file| file.defaults.as_ref());
        let own = agent.and_then(|agent| file?.agents.as_ref()?.get(agent));
        let security = own
            .and_then(|own| own.security.as_deref())
            .or_else(|| defaults?.security.as_deref())
            .unwrap_or("allowlist");
        let ask = own
            .and_then(|own| own.ask.as_deref())
            .or_else(|| defaults?.ask.as_deref())
            .unwrap_or("on-miss");
        let known = |word: &str, words: [&'static str; 3], safest: &'static str| {
            let found = words.into_iter().find(|known| *known == word);
            found.unwrap_or(safest).to_owned()
        };
        ResolvedExecRules {
            security: known(security, ["deny", "allowlist", "full"], "deny"),
            ask: known(ask, ["off", "on-miss", "always"], "always"),
            ask_fallback: "deny".into(),
            auto_allow_skills: false,
        }
    }

    /// What the rules say of a program. One that was begun by somebody who may not rely on them is
    /// always asked for.
    pub fn judge(
        &self,
        agent: &str,
        digest: &str,
        program: Option<&str>,
        trusted: bool,
    ) -> Verdict {
        let rules = self.resolved(Some(agent));
        if rules.security == "deny" {
            return Verdict::Denied("programs are switched off for this agent (exec.approvals)");
        }
        if !trusted || rules.ask == "always" {
            return Verdict::Ask;
        }
        if rules.security == "full" || self.is_listed(agent, digest, program) {
            return Verdict::Allowed;
        }
        if rules.ask == "off" {
            return Verdict::Denied(
                "it is not on the allowlist, and nobody is asked (exec.approvals)",
            );
        }
        Verdict::Ask
    }

    fn is_listed(&self, agent: &str, digest: &str, program: Option<&str>) -> bool {
        let list = |agent: &str| {
            let agents = self.rules.as_ref()?.file.agents.as_ref()?;
            agents.get(agent)?.allowlist.as_ref()
        };
        let listed = |entry: &ExecAllowed| {
            if entry.source.is_some() {
                return entry.id.as_deref() == Some(&digest_id(digest));
            }
            entry.arg_pattern.is_none()
                && program.is_some_and(|program| glob(&entry.pattern, program))
        };
        [agent, "*"]
            .into_iter()
            .filter_map(list)
            .flatten()
            .any(listed)
    }

    /// Lets a request wait.
    ///
    /// # Errors
    ///
    /// [`Full`].
    pub fn ask(
        &mut self,
        id: String,
        request: ExecRequest,
        digest: Option<String>,
        now: u64,
        wait: Duration,
    ) -> Result<(PendingExecApproval, oneshot::Receiver<Told>), Full> {
        if self.pending.len() >= MAX_PENDING || self.pending.contains_key(&id) {
            return Err(Full);
        }
        let (tell, told) = oneshot::channel();
        let mut request = request;
        let decisions: &[Decision] = if digest.is_some() {
            &Decision::ALL
        } else {
            // What a client asks for is bound by that client, and cannot be remembered here.
            &[Decision::AllowOnce, Decision::Deny]
        };
        request.allowed_decisions = decisions
            .iter()
            .map(|decision| decision.as_str().to_owned())
            .collect();
        let shown = PendingExecApproval {
            id: id.clone(),
            request,
            created_at_ms: now,
            expires_at_ms: now + u64::try_from(wait.as_millis()).unwrap_or(u64::MAX >> 1),
        };
        let pending = Pending {
            shown: shown.clone(),
            digest,
            waiters: vec![tell],
        };
        self.pending.insert(id, pending);
        Ok((shown, told))
    }

    /// What waits, the oldest first.
    pub fn pending(&self) -> Vec<PendingExecApproval> {
        let mut all: Vec<_> = self.pending.values().map(|one| one.shown.clone()).collect();
        all.sort_by_key(|one| one.created_at_ms);
        all
    }

    /// One that waits.
    pub fn get(&self, id: &str) -> Option<&PendingExecApproval> {
        self.pending.get(id).map(|one| &one.shown)
    }

    /// Waits for a decision with the others.
    pub fn wait(&mut self, id: &str) -> Wait {
        if let Some(one) = self.pending.get_mut(id) {
            one.waiters.retain(|waiter| !waiter.is_closed());
            if one.waiters.len() < MAX_WAITERS {
                let (tell, told) = oneshot::channel();
                one.waiters.push(tell);
                return Wait::Waiting((one.shown.created_at_ms, one.shown.expires_at_ms), told);
            }
        }
        match self.decided.iter().rev().find(|(known, _)| known == id) {
            Some((_, decided)) => Wait::Decided(decided.clone()),
            None => Wait::Unknown,
        }
    }

    /// The rules with what an `allow-always` of a request adds; `None` when it adds nothing.
    pub fn with_always(&self, id: &str, now: u64) -> Option<Rules> {
        let one = self.pending.get(id)?;
        let digest = one.digest.as_deref()?;
        let request = &one.shown.request;
        let agent = request.agent_id.clone()?;
        let mut rules = self.rules.clone().unwrap_or_default();
        let agents = rules.file.agents.get_or_insert_default();
        if agents.len() >= MAX_AGENTS && !agents.contains_key(&agent) {
            return None;
        }
        let list = agents
            .entry(agent)
            .or_default()
            .allowlist
            .get_or_insert_default();
        list.retain(|entry| entry.id.as_deref() != Some(&digest_id(digest)));
        // The oldest decision makes room; what a person wrote stays.
        if list.len() >= MAX_RULES {
            let oldest = list.iter().position(|entry| entry.source.is_some())?;
            list.remove(oldest);
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds fit a double for ages"
        )]
        list.push(ExecAllowed {
            id: Some(digest_id(digest)),
            pattern: request
                .resolved_path
                .clone()
                .unwrap_or_else(|| "=command".into()),
            source: Some("allow-always".into()),
            command_text: Some(request.command.clone()),
            last_used_at: Some(now as f64),
            ..ExecAllowed::default()
        });
        Some(rules)
    }

    /// Ends a request, and says what it was; `None` when it waits no more.
    pub fn end(&mut self, id: &str, decision: Told) -> Option<Ended> {
        let one = self.pending.remove(id)?;
        for waiter in one.waiters {
            // Who no longer waits needs no answer.
            let _ = waiter.send(decision);
        }
        let decided = Decided {
            times: (one.shown.created_at_ms, one.shown.expires_at_ms),
            decision,
        };
        self.decided.push((id.to_owned(), decided));
        if self.decided.len() > MAX_DECIDED {
            self.decided.remove(0);
        }
        Some(Ended {
            request: one.shown.request,
            digest: one.digest,
        })
    }
}

fn digest_id(digest: &str) -> String {
    format!("sha256:{digest}")
}

/// Whether a path is what a pattern says; `*` stands for any part of one name, `**` for any names.
fn glob(pattern: &str, path: &str) -> bool {
    fn parts(pattern: &[&str], path: &[&str]) -> bool {
        match (pattern.split_first(), path.split_first()) {
            (None, None) => true,
            (Some((&"**", rest)), _) => {
                parts(rest, path) || (!path.is_empty() && parts(pattern, &path[1..]))
            }
            (Some((wanted, rest)), Some((name, more))) => {
                part(wanted.as_bytes(), name.as_bytes()) && parts(rest, more)
            }
            _ => false,
        }
    }
    fn part(wanted: &[u8], name: &[u8]) -> bool {
        match (wanted.split_first(), name.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => {
                part(rest, name) || (!name.is_empty() && part(wanted, &name[1..]))
            }
            (Some((a, rest)), Some((b, more))) => a == b && part(rest, more),
            _ => false,
        }
    }
    // A way back up would lead out of the folder that a pattern names.
    let goes_up = |path: &str| path.split('/').any(|part| matches!(part, "." | ".."));
    // A name without a folder would allow whatever carries it.
    pattern.starts_with('/')
        && !goes_up(path)
        && pattern.matches('*').count() <= 8
        && parts(
            &pattern.split('/').collect::<Vec<_>>(),
            &path.split('/').collect::<Vec<_>>(),
        )
}

#[cfg(test)]
mod tests {
    use openclaw_protocol::methods::approvals::{ExecAgentRules, ExecDefaults};

    use super::*;

    fn request() -> ExecRequest {
        ExecRequest {
            command: "git status".into(),
            agent_id: Some("main".into()),
            resolved_path: Some("/usr/bin/git".into()),
            ..ExecRequest::default()
        }
    }

    fn with(security: Option<&str>, ask: Option<&str>, patterns: &[&str]) -> State {
        let allowed = |pattern: &&str| ExecAllowed {
            pattern: (*pattern).to_owned(),
            ..ExecAllowed::default()
        };
        let own = ExecAgentRules {
            allowlist: Some(patterns.iter().map(allowed).collect()),
            ..ExecAgentRules::default()
        };
        let defaults = ExecDefaults {
            security: security.map(str::to_owned),
            ask: ask.map(str::to_owned),
            ..ExecDefaults::default()
        };
        State::new(Some(Rules {
            file: ExecRules {
                defaults: Some(defaults),
                agents: Some([("main".to_owned(), own)].into()),
                ..ExecRules::default()
            },
        }))
    }

    #[test]
    fn a_pattern_ends_where_its_folder_ends() {
        for (pattern, path, fits) in [
            ("/opt/tools/**", "/opt/tools/a/b", true),
            ("/opt/tools/**", "/opt/tools/../../bin/sh", false),
            ("/opt/*/bin/a", "/opt/../bin/a", false),
            ("/opt/*/bin/a", "/opt/x/bin/a", true),
            ("**", "/bin/sh", false),
        ] {
            assert_eq!(glob(pattern, path), fits, "{pattern} {path}");
        }
    }

    #[test]
    fn what_the_rules_say() {
        let git = Some("/usr/bin/git");
        let judge = |state: &State, trusted| state.judge("main", "d", git, trusted);
        assert_eq!(judge(&State::default(), true), Verdict::Ask);
        for (security, ask, patterns, trusted, want) in [
            (None, None, &["/usr/bin/git"][..], true, Verdict::Allowed),
            (None, None, &["/usr/**"][..], true, Verdict::Allowed),
            (
                None,
                None,
                &["git", "*", "**", "/usr/bin/gi"][..],
                true,
                Verdict::Ask,
            ),
            (None, None, &["/usr/bin/git"][..], false, Verdict::Ask),
            (
                None,
                Some("always"),
                &["/usr/bin/git"][..],
                true,
                Verdict::Ask,
            ),
            (Some("full"), None, &[][..], true, Verdict::Allowed),
            (Some("full"), None, &[][..], false, Verdict::Ask),
            (Some("full"), Some("sometimes"), &[][..], true, Verdict::Ask),
        ] {
            assert_eq!(
                judge(&with(security, ask, patterns), trusted),
                want,
                "{security:?} {ask:?} {patterns:?} {trusted}"
            );
        }
        for (security, ask) in [("deny", "off"), ("everything", "off"), ("allowlist", "off")] {
            let state = with(Some(security), Some(ask), &[]);
            assert!(
                matches!(judge(&state, true), Verdict::Denied(_)),
                "{security}"
            );
        }
    }

    #[test]
    fn a_decision_is_told_once_and_remembered_for_late_askers() {
        let mut state = State::default();
        let wait = Duration::from_mins(2);
        let (shown, mut told) = state
            .ask("a".into(), request(), Some("d".into()), 1_000, wait)
            .unwrap();
        assert_eq!(shown.expires_at_ms, 121_000);
        assert!(state.end("a", Some(Decision::AllowOnce)).is_some());
        assert_eq!(told.try_recv(), Ok(Some(Decision::AllowOnce)));
        assert!(
            state.end("a", Some(Decision::Deny)).is_none(),
            "it is decided"
        );
        assert!(matches!(
            state.wait("a"),
            Wait::Decided(Decided {
                decision: Some(Decision::AllowOnce),
                ..
            })
        ));
        assert!(matches!(state.wait("b"), Wait::Unknown));
        // A yes to one thing says nothing of the next.
        assert_eq!(state.judge("main", "d", None, true), Verdict::Ask);
    }

    #[test]
    fn always_means_exactly_what_was_shown() {
        let mut state = State::default();
        state
            .ask(
                "a".into(),
                request(),
                Some("d".into()),
                0,
                Duration::from_mins(2),
            )
            .unwrap();
        let rules = state.with_always("a", 5).unwrap();
        state.put(rules);
        let git = Some("/usr/bin/git");
        assert_eq!(state.judge("main", "d", git, true), Verdict::Allowed);
        assert_eq!(state.judge("main", "other", git, true), Verdict::Ask);
        assert_eq!(state.judge("another", "d", git, true), Verdict::Ask);
        assert_eq!(state.judge("main", "d", git, false), Verdict::Ask);
    }

    #[test]
    fn only_so_many_wait() {
        let mut state = State::default();
        let wait = Duration::from_mins(2);
        for number in 0..MAX_PENDING {
            state
                .ask(number.to_string(), request(), None, 0, wait)
                .unwrap();
        }
        assert!(state.ask("more".into(), request(), None, 0, wait).is_err());
        assert_eq!(state.pending().len(), MAX_PENDING);
        state.end("0", None);
        assert!(
            state.ask("1".into(), request(), None, 0, wait).is_err(),
            "an id that waits is taken"
        );
        state.ask("more".into(), request(), None, 0, wait).unwrap();
    }
}
