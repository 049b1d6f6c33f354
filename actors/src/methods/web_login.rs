//! `web.login.*`, `channels.link`: a phone links an account; owner: channels. The account's own connection
//! logs in, these only ask for it and show how far it has come.

use std::time::Duration;

use actix::Handler;
use openclaw_protocol::methods::web_login::{
    ChannelsLink, WebLoginResult, WebLoginStart, WebLoginWait,
};
use openclaw_protocol::{ErrorShape, Method};
use tokio::sync::watch;

use crate::call::Call;
use crate::channel::AccountRef;
use crate::channel::login::{Login, Step, Wish};
use crate::channel::settings::AccountSettings;
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
            .linkable::<WebLoginStart>(params.account_id.as_deref(), false)
        {
            Ok(who) => who,
            Err(error) => return reply.error(error),
        };
        let wish = Wish {
            force: params.force == Some(true),
            phone: None,
        };
        let wait = params.timeout_ms.map_or(FIRST, Duration::from_millis);
        let deps = self.deps.clone();
        actix_rt::spawn(async move { reply.settle(deps.log_in(&who, wish, wait).await) });
    }
}

impl Handler<Call<ChannelsLink>> for Channels {
    type Result = ();

    fn handle(&mut self, call: Call<ChannelsLink>, _: &mut Self::Context) {
        let Call { params, reply, .. } = call;
        let account = params.account_id.as_deref();
        let found = self.find::<ChannelsLink>(&params.channel, account);
        let phone = params.phone.as_deref();
        let asked = found.and_then(|who| {
            let phone = self.deps.phone(&who, phone)?;
            Ok((who, phone))
        });
        let (who, phone) = match asked {
            Ok(asked) => asked,
            Err(error) => return reply.error(error),
        };
        let wish = Wish {
            force: params.force == Some(true),
            phone,
        };
        let wait = params.timeout_ms.map_or(FIRST, Duration::from_millis);
        let deps = self.deps.clone();
        actix_rt::spawn(async move { reply.settle(deps.log_in(&who, wish, wait).await) });
    }
}

impl Handler<Call<WebLoginWait>> for Channels {
    type Result = ();

    fn handle(&mut self, call: Call<WebLoginWait>, _: &mut Self::Context) {
        let Call { params, reply, .. } = call;
        let who = match self
            .deps
            .linkable::<WebLoginWait>(params.account_id.as_deref(), true)
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
            reply.settle(shown(login.clone(), news, wait, deps.phone_place(&who)).await);
        });
    }
}

/// Waits for news, and says how far it has come.
async fn shown(
    mut login: watch::Receiver<Login>,
    news: impl Fn(&Login) -> bool,
    wait: Duration,
    place: &str,
) -> Result<WebLoginResult, ErrorShape> {
    let changed = login.wait_for(news);
    let _ = tokio::time::timeout(wait.min(LONGEST), changed)
        .await
        .is_ok();
    let step = login.borrow().step.clone();
    result(step, place)
}

/// `place` is where on the phone it is linked.
fn result(step: Step, place: &str) -> Result<WebLoginResult, ErrorShape> {
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
            ..said(&format!("scan this with the phone: {place}, Link a device"))
        },
        Step::Type(code) => {
            let code = halves(&code);
            WebLoginResult {
                message: format!(
                    "type this code into the phone ({place}, Link with phone number): {code}"
                ),
                code: Some(code),
                ..WebLoginResult::default()
            }
        }
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

/// A code as the phone shows it: `ABCD-1234`.
fn halves(code: &str) -> String {
    match (code.len(), code.get(..4), code.get(4..)) {
        (8, Some(one), Some(other)) => format!("{one}-{other}"),
        _ => code.to_owned(),
    }
}

impl ChannelsDeps {
    fn logins(&self, who: &AccountRef) -> watch::Receiver<Login> {
        self.shared.world.logins.watch(who)
    }

    /// Where on a phone the account is linked.
    fn phone_place(&self, who: &AccountRef) -> &'static str {
        let settings = self.shared.views.settings.load();
        let own = settings.channels.accounts.get(who);
        let setup = own.and_then(|own| own.setup.as_ref().ok());
        setup.and_then(|setup| setup.links()).unwrap_or("Settings")
    }

    /// The account that is meant, of those that a phone links: `channel/account` names one, `channel/` the
    /// channel's default one, and an account alone may be one of several channels. Of these it is the one
    /// whose login is under way, where that is asked for (`begun`), else one that needs a login, else the
    /// one of WhatsApp, which is what clients mean that know no other.
    fn linkable<M: Method>(
        &self,
        account: Option<&str>,
        begun: bool,
    ) -> Result<AccountRef, ErrorShape> {
        let settings = self.shared.views.settings.load();
        let is_linked =
            |own: &AccountSettings| matches!(&own.setup, Ok(setup) if setup.links().is_some());
        let accounts = settings.channels.accounts.iter();
        let links: Vec<&AccountRef> = accounts
            .filter(|(_, own)| is_linked(own))
            .map(|(who, _)| who)
            .collect();
        let invalid =
            |problem: String| ErrorShape::invalid(format!("invalid {} params: {problem}", M::NAME));
        if links.is_empty() {
            return Err(invalid(
                "no channel is configured that a phone links; add channels.whatsapp or channels.signal to openclaw.json".into(),
            ));
        }
        let wanted = account.map(str::trim).filter(|id| !id.is_empty());
        let (channel, account) = match wanted.and_then(|wanted| wanted.split_once('/')) {
            Some((channel, account)) => (Some(channel), Some(account).filter(|id| !id.is_empty())),
            None => (None, wanted),
        };
        let is_meant = |who: &&&AccountRef| {
            let default = settings.channels.defaults.get(&*who.channel);
            let account = account.or(default.map(String::as_str));
            channel.is_none_or(|channel| *who.channel == *channel)
                && account.is_none_or(|account| *who.account == *account)
        };
        let found = links.iter().filter(is_meant).max_by_key(|who| {
            let login = self.logins(who);
            let login = login.borrow();
            (
                begun && login.wish.is_some(),
                begun && login.step != Step::Idle,
                self.needs_login(who),
                &*who.channel == "whatsapp",
            )
        });
        found.map(|who| (*who).clone()).ok_or_else(|| {
            let names: Vec<String> = links.iter().map(ToString::to_string).collect();
            invalid(format!(
                "accountId \"{}\" is none that a phone links (there are: {})",
                wanted.unwrap_or_default(),
                names.join(", ")
            ))
        })
    }

    fn needs_login(&self, who: &AccountRef) -> bool {
        let account = self.accounts.with(|accounts| accounts.get(who));
        account.is_some_and(|account| account.status.load().linked == Some(false))
    }

    /// The digits of the phone's number, where somebody wants a code in place of a picture.
    fn phone(&self, who: &AccountRef, written: Option<&str>) -> Result<Option<String>, ErrorShape> {
        let settings = self.shared.views.settings.load();
        let own = settings.channels.accounts.get(who);
        let setup = own.and_then(|own| own.setup.as_ref().ok());
        let invalid = |problem: String| {
            ErrorShape::invalid(format!("invalid {} params: {problem}", ChannelsLink::NAME))
        };
        // What keeps it from running is told where it is started.
        if setup.is_some_and(|setup| setup.links().is_none()) {
            return Err(invalid(format!(
                "no phone links {who}; its secret is in the configuration: openclaw channels start {}",
                who.channel
            )));
        }
        let Some(written) = written else {
            return Ok(None);
        };
        if !setup.is_some_and(|setup| setup.links_by_code()) {
            return Err(invalid(format!(
                "{} is linked by a picture only; leave out phone (--phone)",
                who.channel
            )));
        }
        let digits: String = written.chars().filter(char::is_ascii_digit).collect();
        let is_plain = |c: char| c.is_ascii_digit() || "+ ()-.".contains(c);
        if !written.chars().all(is_plain) || !(7..=15).contains(&digits.len()) {
            return Err(invalid(format!(
                "phone \"{written}\" is no number with its country, such as +15551234567"
            )));
        }
        Ok(Some(digits))
    }

    /// Begins a login, and says how far it has come once there is something to show.
    async fn log_in(
        &self,
        who: &AccountRef,
        wish: Wish,
        wait: Duration,
    ) -> Result<WebLoginResult, ErrorShape> {
        if let Some(linked) = self.link(who, wish).await? {
            return Ok(linked);
        }
        let news = |login: &Login| login.step != Step::Starting;
        shown(self.logins(who), news, wait, self.phone_place(who)).await
    }

    /// Begins a login; what there is to say where none is needed.
    async fn link(
        &self,
        who: &AccountRef,
        wish: Wish,
    ) -> Result<Option<WebLoginResult>, ErrorShape> {
        let account = self.accounts.with(|accounts| accounts.get(who));
        if let Some(account) = account {
            let status = account.status.load();
            if !wish.force && account.is_connected() {
                let whom = status.identity.clone().unwrap_or_default();
                return Ok(Some(WebLoginResult {
                    connected: true,
                    message: format!("linked as {whom}; to link another phone, log out first"),
                    ..WebLoginResult::default()
                }));
            }
        }
        self.stop(who).await;
        self.shared.world.logins.begin(who, wish);
        self.start(who).await.map(|_| None)
    }
}
