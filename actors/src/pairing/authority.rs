//! What the caller of a pairing method may decide.

use openclaw_protocol::{ErrorShape, Generation, Role, Scope, Scopes};

use super::records::Pending;
use crate::call::Caller;

/// The caller of a pairing method, as far as its authority goes.
#[derive(Debug, Clone)]
pub(crate) struct Authority {
    /// Its scopes.
    pub(crate) scopes: Scopes,
    /// Its proven device.
    pub(crate) device_id: Option<String>,
    /// The generation that it speaks.
    pub(crate) generation: Generation,
    /// A name for the log.
    pub(crate) name: String,
}

impl Authority {
    /// The authority of a connection.
    pub(crate) fn of(caller: &Caller) -> Self {
        Self {
            scopes: caller.scopes,
            device_id: caller.device_id.clone(),
            generation: caller.generation,
            name: caller.principal(),
        }
    }

    pub(crate) fn is_admin(&self) -> bool {
        self.scopes.grants(Scope::Admin)
    }

    /// Whether it may see and decide about this device: an admin about every one, a paired device
    /// about itself only.
    pub(crate) fn reaches(&self, device: &str) -> bool {
        self.is_admin() || self.device_id.as_deref().is_none_or(|own| own == device)
    }

    /// Whether it may approve a request: nobody gives what they do not hold.
    pub(crate) fn may_approve(&self, device: &str, request: &Pending) -> Result<(), ErrorShape> {
        if self.is_admin() {
            return Ok(());
        }
        if !self.reaches(device) || request.roles.contains(&Role::Node) {
            return Err(ErrorShape::invalid("device pairing approval denied"));
        }
        match request.scopes.missing_from(self.scopes).iter().next() {
            Some(scope) => Err(ErrorShape::invalid(format!(
                "missing scope: {}",
                scope.as_str()
            ))),
            None => Ok(()),
        }
    }
}
