//! Accounts that are linked to a person's phone: what was asked for, and what the person has to do next.
//!
//! Written by the account's transport, read by whoever shows it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use super::AccountRef;

/// What somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wish {
    /// Also where a device is linked already: it is forgotten first.
    pub force: bool,
    /// By a code that is typed into the phone of this number, in place of a picture.
    pub phone: Option<String>,
}

/// How far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Step {
    /// Nobody asked.
    #[default]
    Idle,
    /// The platform is asked.
    Starting,
    /// A phone has to scan what this says, as a picture.
    Scan(String),
    /// This has to be typed into the phone.
    Type(String),
    /// It is linked, as this.
    Linked(String),
    /// It came to nothing: why, with what to do.
    Failed(String),
}

/// A login.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Login {
    /// What is asked for, until that is done or failed.
    pub wish: Option<Wish>,
    /// How far it has come.
    pub step: Step,
}

/// The logins of all accounts.
#[derive(Debug, Default)]
pub struct Logins(Mutex<BTreeMap<AccountRef, watch::Sender<Login>>>);

impl Logins {
    fn with<R>(&self, who: &AccountRef, work: impl FnOnce(&watch::Sender<Login>) -> R) -> R {
        let mut logins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        work(logins.entry(who.clone()).or_default())
    }

    /// Somebody asks for one.
    pub fn begin(&self, who: &AccountRef, wish: Wish) {
        let login = Login {
            wish: Some(wish),
            step: Step::Starting,
        };
        self.with(who, |slot| slot.send_replace(login));
    }

    /// What is asked for.
    pub fn wish(&self, who: &AccountRef) -> Option<Wish> {
        self.with(who, |slot| slot.borrow().wish.clone())
    }

    /// The device before is forgotten: not once more.
    pub fn forgotten(&self, who: &AccountRef) {
        self.with(who, |slot| {
            slot.send_if_modified(|login| {
                if let Some(wish) = &mut login.wish {
                    wish.force = false;
                }
                false
            })
        });
    }

    /// It has come so far. What is said where nobody asked is not kept.
    pub fn step(&self, who: &AccountRef, step: Step) {
        self.with(who, |slot| {
            slot.send_if_modified(|login| {
                if login.wish.is_none() || login.step == step {
                    return false;
                }
                if matches!(step, Step::Linked(_) | Step::Failed(_)) {
                    login.wish = None;
                }
                login.step = step;
                true
            })
        });
    }

    /// How far it has come, now and later.
    pub fn watch(&self, who: &AccountRef) -> watch::Receiver<Login> {
        self.with(who, watch::Sender::subscribe)
    }
}
