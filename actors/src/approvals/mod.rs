//! Exec approvals: what may run on this host, and what waits for a person's yes.
//!
//! Replaceable; what waits outlives a panic in its slot, and the lasting rules are in the store. A
//! yes is bound to what exactly was shown (a digest of program, arguments, folder, variables and
//! files), counts once, and ends with its time. After a restart nothing waits any more: the runs
//! that asked are gone too. **Invariant:** a lasting rule is committed before anything runs by it.

pub mod plan;
pub mod state;

use std::time::Duration;

use actix::{Actor, AsyncContext as _, Context, Handler, Message, ResponseFuture};
use openclaw_protocol::Scope;
use openclaw_protocol::events::{
    EXEC_APPROVAL_REQUESTED, EXEC_APPROVAL_RESOLVED, ExecApprovalResolvedEvent,
};
use openclaw_protocol::methods::approvals::ExecRequest;
use tokio::sync::oneshot;

use crate::audit::{AuditPort, AuditRow, Kind};
use crate::clock::{SharedClock, SharedEntropy};
use crate::event::{Audience, EventOut, Plain};
use crate::gateway::GatewayPort;
use crate::kept::Kept;
use crate::store::{Op, StoreError, StoreHandle, StoreReader, Table};
use crate::supervised;
use crate::supervision::{Rebuild, Tier};
use state::{Decision, Full, Rules, State, Told, Verdict};

/// The row of the lasting rules.
const RULES: &[u8] = b"rules";

/// What approvals work with.
#[derive(Clone)]
pub struct ApprovalsDeps {
    /// What waits, and the rules; survive a rebuild.
    pub state: Kept<State>,
    /// The way to the Gateway.
    pub gateway: GatewayPort,
    /// The store.
    pub store: StoreHandle,
    /// Who is told each decision.
    pub audit: AuditPort,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub entropy: SharedEntropy,
}

/// The owner of exec approvals.
pub struct Approvals {
    pub(crate) deps: ApprovalsDeps,
}

/// Reads the lasting rules.
///
/// # Errors
///
/// When the store cannot be read, or holds rules that cannot be understood: nobody may take them for
/// no rules.
pub fn load(reader: &StoreReader) -> Result<Option<Rules>, StoreError> {
    reader.get_json(Table::ExecApprovals, RULES)
}

/// The row of the lasting rules of another gateway (`exec-approvals.json`), whose form is the same.
///
/// # Errors
///
/// Why they are not understood: nobody may take them for other rules than they are.
pub fn import(file: &serde_json::Value) -> Result<Op, String> {
    let file = serde_json::from_value(file.clone())
        .map_err(|error| format!("it has another form than is known here: {error}"))?;
    Op::put_json(Table::ExecApprovals, RULES, &Rules { file }).map_err(|error| error.to_string())
}

impl Rebuild for Approvals {
    type Deps = ApprovalsDeps;
    const NAME: &'static str = "approvals";
    const TIER: Tier = Tier::Replaceable;
    const MAILBOX: usize = 1_024;

    fn build(deps: Self::Deps) -> Self {
        // Who waits for a half-written list is told that there is no decision, as it is dropped.
        deps.state
            .recover(|broken| State::new(broken.rules().cloned()));
        Self { deps }
    }

    fn deps(&self) -> Self::Deps {
        self.deps.clone()
    }
}

supervised!(Approvals);

impl Actor for Approvals {
    type Context = Context<Self>;
}

/// Asks whether something may run.
#[derive(Message)]
#[rtype(result = "Result<Answer, Full>")]
pub struct Ask {
    /// What would run, as people see it.
    pub request: ExecRequest,
    /// What exactly that is.
    pub digest: String,
    /// The program's file, where the command is one plain program.
    pub program: Option<String>,
    /// Whether who began the run may rely on the lasting rules.
    pub trusted: bool,
    /// How long it may wait.
    pub wait: Duration,
}

/// What may be done with it.
#[derive(Debug)]
pub enum Answer {
    /// It may run.
    Allowed,
    /// It may not, and why.
    Denied(&'static str),
    /// A person is asked: the number of the request, and who tells the decision. Dropped untold, there
    /// is none.
    Asked(String, oneshot::Receiver<Option<Decision>>),
}

impl Handler<Ask> for Approvals {
    type Result = Result<Answer, Full>;

    fn handle(&mut self, msg: Ask, ctx: &mut Self::Context) -> Self::Result {
        let agent = msg.request.agent_id.clone().unwrap_or_default();
        let verdict = self
            .deps
            .state
            .with(|state| state.judge(&agent, &msg.digest, msg.program.as_deref(), msg.trusted));
        match verdict {
            Verdict::Allowed => Ok(Answer::Allowed),
            Verdict::Denied(why) => {
                let what = what(&msg.request, Some(&msg.digest));
                let row = AuditRow::new(Kind::ExecRefused).code("rules");
                self.deps
                    .audit
                    .record(&row.reason(format!("{what}: {why}")));
                Ok(Answer::Denied(why))
            }
            Verdict::Ask => {
                let id = self.deps.entropy.uuid().to_string();
                // A lasting yes is an agent's: without one there is nothing to remember it by.
                let lasting = msg.request.agent_id.is_some().then_some(msg.digest);
                let told = self.ask(id.clone(), msg.request, lasting, msg.wait, ctx)?;
                Ok(Answer::Asked(id, told))
            }
        }
    }
}

/// Who asked no longer waits.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Withdraw(pub String);

impl Handler<Withdraw> for Approvals {
    type Result = ();

    fn handle(&mut self, msg: Withdraw, _: &mut Self::Context) {
        self.end(&msg.0, End::Withdrawn);
    }
}

impl Approvals {
    /// Puts a request before people.
    pub(crate) fn ask(
        &mut self,
        id: String,
        request: ExecRequest,
        digest: Option<String>,
        wait: Duration,
        ctx: &mut Context<Self>,
    ) -> Result<oneshot::Receiver<Told>, Full> {
        let now = self.now();
        let (pending, told) = self
            .deps
            .state
            .with(|state| state.ask(id.clone(), request, digest, now, wait))?;
        self.deps.gateway.emit(EventOut::new(
            EXEC_APPROVAL_REQUESTED,
            Audience::Operators(Scope::Approvals),
            Plain(pending),
        ));
        ctx.run_later(wait, move |approvals, _| approvals.end(&id, End::Expired));
        Ok(told)
    }

    /// Tells everyone the end of a request.
    pub(crate) fn end(&mut self, id: &str, end: End) {
        let decision = end.decision();
        let Some(ended) = self.deps.state.with(|state| state.end(id, decision)) else {
            return;
        };
        let row = end.to_audit().request(id);
        let row = row.reason(what(&ended.request, ended.digest.as_deref()));
        self.deps.audit.record(&row);
        let by = match end {
            End::Decided(_, by) => Some(by),
            End::Expired | End::Withdrawn => None,
        };
        self.deps.gateway.emit(EventOut::new(
            EXEC_APPROVAL_RESOLVED,
            Audience::Operators(Scope::Approvals),
            Plain(ExecApprovalResolvedEvent {
                id: id.to_owned(),
                decision: decision.map(|decision| decision.as_str().to_owned()).into(),
                resolved_by: by.into(),
                ts: self.now(),
            }),
        ));
    }

    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.deps.clock.now().get()).unwrap_or_default()
    }

    /// Writes the rules down, then puts them into effect.
    pub(crate) fn store(&self, rules: Rules) -> ResponseFuture<Result<(), StoreError>> {
        let op = Op::put_json(Table::ExecApprovals, RULES, &rules);
        let commit = match op {
            Ok(op) => self.deps.store.commit(vec![op]),
            Err(error) => return Box::pin(async move { Err(error) }),
        };
        let state = self.deps.state.clone();
        Box::pin(async move {
            commit.await?;
            state.with(|state| state.put(rules));
            Ok(())
        })
    }
}

/// How a request ends.
pub(crate) enum End {
    /// Somebody decided.
    Decided(Decision, String),
    /// Its time is over.
    Expired,
    /// Who asked waits no more.
    Withdrawn,
}

impl End {
    const fn decision(&self) -> Option<Decision> {
        match self {
            Self::Decided(decision, _) => Some(*decision),
            Self::Expired | Self::Withdrawn => None,
        }
    }

    fn to_audit(&self) -> AuditRow {
        match self {
            Self::Decided(decision, by) => {
                let kind = if decision.allows() {
                    Kind::ExecApproved
                } else {
                    Kind::ExecDenied
                };
                AuditRow::new(kind).code(decision.as_str()).by(by)
            }
            Self::Expired => AuditRow::new(Kind::ExecExpired).code("expired"),
            Self::Withdrawn => AuditRow::new(Kind::ExecExpired).code("withdrawn"),
        }
    }
}

/// A program as the audit trail names it: never its arguments, which may hold a secret.
pub fn what(request: &ExecRequest, digest: Option<&str>) -> String {
    let agent = request.agent_id.as_deref().unwrap_or("nobody");
    let Some(digest) = digest else {
        return "what a client asked for itself".to_owned();
    };
    let program = request
        .resolved_path
        .as_deref()
        .unwrap_or("a shell command");
    let digest = digest.get(..12).unwrap_or(digest);
    format!("{program} (sha256 {digest}) of agent {agent}")
}

/// The decision of a name, if it is one.
pub fn decision(name: &str) -> Option<Decision> {
    Decision::ALL
        .into_iter()
        .find(|decision| decision.as_str() == name)
}
