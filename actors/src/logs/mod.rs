//! The log file as clients read it. Owns nothing but the path; reads on the blocking pool.

pub mod tail;

use actix::{Actor, Context};

use crate::supervised;
use crate::supervision::{Rebuild, Tier};
use crate::views::Views;

/// The owner of `logs.tail`.
pub struct Logs {
    pub(crate) views: Views,
}

impl Rebuild for Logs {
    type Deps = Views;
    const NAME: &'static str = "logs";
    const TIER: Tier = Tier::Replaceable;
    const MAILBOX: usize = 64;

    fn build(views: Self::Deps) -> Self {
        Self { views }
    }

    fn deps(&self) -> Self::Deps {
        self.views.clone()
    }
}

supervised!(Logs);

impl Actor for Logs {
    type Context = Context<Self>;
}
