//! IRC: Debian's ngircd.
//!
//! What a stream of lines cannot do is not in its table: nothing of it comes twice or in another order,
//! and who connects too often is only told so (`refusals_at_the_door_keep_their_class`).

use std::sync::Arc;
use std::time::Duration;

use openclaw_actors::channel::ChannelSetup;
use openclaw_actors::channel::irc::{IrcSetup, Timing};

use super::{Pace, Peer};
use crate::harness::faults::{Break, Faults};
use crate::harness::line_proxy::LineProxy;
use crate::harness::ngircd::{Listener, Ngircd};

pub(crate) struct Platform {
    _server: Ngircd,
    proxy: LineProxy,
    ann: Listener,
}

impl Peer for Platform {
    const CHANNEL: &'static str = "irc";
    const ENDS: &'static [Break] = &[
        Break::Refuse,
        Break::Hang,
        Break::HalfOpen,
        Break::CloseMidBody,
    ];
    const BEARS: &'static [Break] = &[Break::Dribble];
    const SENDS: &'static [Break] = &[
        Break::Refuse,
        Break::Hang,
        Break::HalfOpen,
        Break::CloseMidBody,
    ];
    const KEEPS: bool = false;
    /// Pings of half an hour; a whole day is in the tests of the session.
    const QUIET: usize = 30;

    async fn start() -> Self {
        let server = Ngircd::patient().await;
        let revoked = ":irc.test 464 * :Invalid password\r\nERROR :Bad password\r\n";
        let proxy = LineProxy::start(server.port, "PRIVMSG ", revoked).await;
        let ann = Listener::come(server.port, "ann").await;
        Self {
            _server: server,
            proxy,
            ann,
        }
    }

    fn setup(&self, pace: Pace) -> Arc<dyn ChannelSetup> {
        let quiet = Duration::from_millis(if pace == Pace::Quiet { 50 } else { 500 });
        Arc::new(IrcSetup {
            host: "127.0.0.1".into(),
            port: self.proxy.port,
            tls: false,
            nick: "helper".into(),
            username: "helper".into(),
            realname: "Helper".into(),
            password: None,
            channels: Vec::new(),
            keys: std::collections::BTreeMap::new(),
            nickserv: None,
            timing: Timing {
                welcome: pace.limit() * 2,
                quiet,
                // ngircd makes who has just come wait for some seconds.
                answer: pace.limit() * 2,
                chores: Duration::from_secs(1),
            },
        })
    }

    fn people(&self) -> &'static [&'static str] {
        &["ann!*@127.0.0.1"]
    }

    fn recipient(&self) -> String {
        "ann".into()
    }

    fn faults(&self) -> &Faults {
        &self.proxy.faults
    }

    async fn write(&self, texts: &[&str]) {
        for text in texts {
            self.ann.say("helper", text).await;
        }
    }

    fn arrived(&self) -> Vec<String> {
        self.ann.heard()
    }
}
