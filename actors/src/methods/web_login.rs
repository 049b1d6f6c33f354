//! `web.login.*`: a phone links an account by a picture; owner: channels. The account's own connection
//! logs in, these only ask for it and show how far it has come.

use std::time::Duration;

use actix::Handler;
use openclaw_protocol::methods::web_login::{WebLoginResult, WebLoginStart, WebLoginWait};
use openclaw_protocol::{ErrorShape, Method};
use tokio::sync::watch;

use crate::call::Call;
use crate::channel::AccountRef;
use crate::channel::login::{Login, Step, Wish};
use crate::channel::supervisor::{Channels, ChannelsDeps};
use crate::pairing::qr;

/// How long the first picture is waited for, unless said.
const FIRST: Duration = Duration::from_secs(30);
/// Longest wait.
const LONGEST: Duration = Duration::from_mins(2);

impl Handler<Call<WebLoginStart>> for Channels {
    type Result = ();

    fn handle(&mut self, call: Call<WebLoginStart>, _: &mut Self::Context) {
        let Call { params, reply, .. } = call;
        let who = match self
            .deps
            .linkable::<WebLoginStart>(params.account_id.as_deref())
        {
            Ok(who) => who,
            Err(error) => return reply.error(error),
        };
        let deps = self.deps.clone();
        let wait = params.timeout_ms.map_or(FIRST, Duration::from_millis);
        actix_rt::spawn(async move {
            let begun = deps.link(&who, params.force == Some(true)).await;
            reply.settle(match begun {
                Ok(Some(linked)) => Ok(linked),
                Ok(None) => {
                    let news = |login: &Login| login.step != Step::Starting;
                    shown(deps.logins(&who), news, wait).await
                }
                Err(error) => Err(error),
            });
        });
    }
}

impl Handler<Call<WebLoginWait>> for Channels {
    type Result = ();

    fn handle(&mut self, call: Call<WebLoginWait>, _: &mut Self::Context) {
        let Call { params, reply, .. } = call;
        let who = match self
            .deps
            .linkable::<WebLoginWait>(params.account_id.as_deref())
        {
            Ok(who) => who,
            Err(error) => return reply.error(error),
        };
        let deps = self.deps.clone();
        let wait = params.timeout_ms.map_or(LONGEST, Duration::from_millis);
        actix_rt::spawn(async move {
            let login = deps.logins(&who);
            // Without a picture to compare with, the one of this moment is known.
            let known = login.borrow().step.clone();
            let news = |login: &Login| match (&login.step, &params.current_qr_data_url) {
                (Step::Linked(_) | Step::Failed(_) | Step::Idle, _) => true,
                (Step::Scan(text), Some(shown)) => qr::data_url(text).ok().as_ref() != Some(shown),
                (Step::Starting, _) => false,
                (step, _) => *step != known,
            };
            reply.settle(shown(login.clone(), news, wait).await);
        });
    }
}

/// Waits for news, and says how far it has come.
async fn shown(
    mut login: watch::Receiver<Login>,
    news: impl Fn(&Login) -> bool,
    wait: Duration,
) -> Result<WebLoginResult, ErrorShape> {
    let changed = login.wait_for(news);
    let _ = tokio::time::timeout(wait.min(LONGEST), changed)
        .await
        .is_ok();
    let step = login.borrow().step.clone();
    result(step)
}

fn result(step: Step) -> Result<WebLoginResult, ErrorShape> {
    let said = |message: &str| WebLoginResult {
        message: message.to_owned(),
        ..WebLoginResult::default()
    };
    Ok(match step {
        Step::Idle => WebLoginResult {
            failed: Some(true),
            ..said("no login is under way; begin one with web.login.start")
        },
        Step::Starting => said("the platform is asked for a code; it may take a moment"),
        Step::Scan(text) => WebLoginResult {
            qr_data_url: Some(qr::data_url(&text)?),
            qr_text: Some(text),
            ..said("scan this with the phone: WhatsApp, Settings, Linked devices, Link a device")
        },
        Step::Type(code) => said(&format!(
            "type this code into the phone (WhatsApp, Settings, Linked devices, Link with phone number): {code}"
        )),
        Step::Linked(who) => WebLoginResult {
            connected: true,
            ..said(&format!("linked as {who}"))
        },
        Step::Failed(why) => WebLoginResult {
            failed: Some(true),
            ..said(&why)
        },
    })
}

impl ChannelsDeps {
    fn logins(&self, who: &AccountRef) -> watch::Receiver<Login> {
        self.shared.world.logins.watch(who)
    }

    /// The account that is meant, of those that a phone links.
    fn linkable<M: Method>(&self, account: Option<&str>) -> Result<AccountRef, ErrorShape> {
        let settings = self.shared.views.settings.load();
        let links = settings
            .channels
            .accounts
            .iter()
            .filter(|(_, own)| matches!(&own.setup, Ok(setup) if setup.links()));
        let links: Vec<&AccountRef> = links.map(|(who, _)| who).collect();
        let invalid =
            |problem: String| ErrorShape::invalid(format!("invalid {} params: {problem}", M::NAME));
        let Some(first) = links.first() else {
            return Err(invalid(
                "no channel is configured that a phone links; add channels.whatsapp to openclaw.json".into(),
            ));
        };
        let wanted = account.map(str::trim).filter(|id| !id.is_empty());
        let default = || settings.channels.defaults.get(&*first.channel);
        let Some(wanted) = wanted.or_else(|| default().map(String::as_str)) else {
            return Ok((*first).clone());
        };
        let found = links.iter().find(|who| &*who.account == wanted);
        found.map(|who| (*who).clone()).ok_or_else(|| {
            let names: Vec<String> = links.iter().map(ToString::to_string).collect();
            invalid(format!(
                "accountId \"{wanted}\" is none that a phone links (there are: {})",
                names.join(", ")
            ))
        })
    }

    /// Begins a login; what there is to say where none is needed.
    async fn link(
        &self,
        who: &AccountRef,
        force: bool,
    ) -> Result<Option<WebLoginResult>, ErrorShape> {
        let account = self.accounts.with(|accounts| accounts.get(who));
        if let Some(account) = account {
            let status = account.status.load();
            if !force && account.is_connected() {
                let whom = status.identity.clone().unwrap_or_default();
                return Ok(Some(WebLoginResult {
                    connected: true,
                    message: format!("linked as {whom}; to link another phone, log out first"),
                    ..WebLoginResult::default()
                }));
            }
        }
        self.stop(who).await;
        let wish = Wish {
            force,
            ..Wish::default()
        };
        self.shared.world.logins.begin(who, wish);
        self.start(who).await.map(|_| None)
    }
}
