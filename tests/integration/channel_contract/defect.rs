//! A channel whose translator panics when it is told to, and is that channel otherwise.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use openclaw_actors::channel::{
    Act, Attached, ChannelError, ChannelSetup, Facts, Later, Link, Piece, SendFailure, Target,
    Transport, World,
};
use tokio::sync::Notify;

/// The channel.
pub(crate) struct Defective {
    inner: Arc<dyn ChannelSetup>,
    panics: Arc<Notify>,
}

impl Defective {
    /// This one, which panics at each of these.
    pub(crate) fn new(inner: Arc<dyn ChannelSetup>, panics: Arc<Notify>) -> Self {
        Self { inner, panics }
    }
}

impl fmt::Debug for Defective {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(out)
    }
}

impl ChannelSetup for Defective {
    fn facts(&self) -> &'static Facts {
        self.inner.facts()
    }

    fn fingerprint(&self) -> String {
        self.inner.fingerprint()
    }

    fn open(&self, world: &World) -> Result<Rc<dyn Transport>, ChannelError> {
        let inner = self.inner.open(world)?;
        let panics = Arc::clone(&self.panics);
        Ok(Rc::new(Broken { inner, panics }))
    }

    fn target(&self, written: &str) -> Result<Target, String> {
        self.inner.target(written)
    }
}

struct Broken {
    inner: Rc<dyn Transport>,
    panics: Arc<Notify>,
}

impl Transport for Broken {
    fn receive<'a>(&'a self, link: &'a Link) -> Later<'a, ChannelError> {
        Box::pin(async move {
            tokio::select! {
                error = self.inner.receive(link) => error,
                () = self.panics.notified() => panic!("a defect of the translator"),
            }
        })
    }

    fn send<'a>(&'a self, piece: &'a Piece) -> Later<'a, Result<String, SendFailure>> {
        self.inner.send(piece)
    }

    fn act<'a>(
        &'a self,
        to: &'a Target,
        act: &'a Act,
    ) -> Later<'a, Result<Option<String>, SendFailure>> {
        self.inner.act(to, act)
    }

    fn fetch<'a>(&'a self, file: &'a Attached, most: u64) -> Later<'a, Result<Vec<u8>, String>> {
        self.inner.fetch(file, most)
    }

    fn typing(&self, to: &Target) {
        self.inner.typing(to);
    }
}
