//! What has to be the same in the registry, on its disk and in the reference.

use std::collections::{BTreeMap, BTreeSet};

use super::super::*;
use super::reference::{PENDING, Waiting};
use super::{Both, name};

impl Both {
    pub(super) fn check(&mut self) {
        self.machine.state.expire(self.machine.now);
        self.machine.state.expire_setups(self.machine.now);
        let reopened = self.disk.reopened(self.machine.now);
        assert_eq!(
            trust(&self.machine.state),
            self.expected(|waiting| waiting.refreshed)
        );
        assert_eq!(trust(&reopened), self.expected(|waiting| waiting.stored));
        let hashes = |state: &PairingState| -> Vec<String> {
            let grants = state
                .devices
                .values()
                .flat_map(|device| device.roles.values());
            grants
                .flat_map(|grant| grant.tokens.iter().map(|token| token.hash.clone()))
                .collect()
        };
        assert_eq!(hashes(&self.machine.state), hashes(&reopened));
        let grants = self
            .machine
            .state
            .devices
            .values()
            .flat_map(|device| device.roles.values());
        for grant in grants {
            assert!(grant.tokens.len() <= 4);
            let covered = grant
                .tokens
                .iter()
                .all(|token| grant.scopes.covers(token.scopes));
            assert!(covered, "a token gives more than its role");
        }
    }

    fn expected(&self, refreshed: impl Fn(&Waiting) -> i64) -> Trust {
        let model = &self.model;
        Trust {
            roles: model
                .devices
                .iter()
                .flat_map(|(device, roles)| {
                    roles.iter().map(|(role, given)| {
                        ((name(*device), *role), (given.scopes, given.revoked))
                    })
                })
                .collect(),
            waiting: model
                .waiting
                .iter()
                .filter(|(_, waiting)| model.now - refreshed(waiting) < PENDING)
                .map(|(device, waiting)| {
                    let waiting = (waiting.id.clone(), waiting.roles.clone(), waiting.scopes);
                    (name(*device), waiting)
                })
                .collect(),
            codes: model
                .codes
                .iter()
                .filter(|code| !code.gone)
                .map(|code| (code.id.clone(), (code.bound.map(name), code.told)))
                .collect(),
        }
    }
}

/// Everything that decisions depend on, apart from tokens.
#[derive(Debug, PartialEq)]
struct Trust {
    roles: BTreeMap<(String, Role), (Scopes, bool)>,
    waiting: BTreeMap<String, (String, BTreeSet<Role>, Scopes)>,
    codes: BTreeMap<String, (Option<String>, bool)>,
}

fn trust(state: &PairingState) -> Trust {
    Trust {
        roles: state
            .devices
            .iter()
            .flat_map(|(id, device)| {
                device.roles.iter().map(|(role, grant)| {
                    (
                        (id.clone(), *role),
                        (grant.scopes, grant.revoked_at_ms.is_some()),
                    )
                })
            })
            .collect(),
        waiting: state
            .pending
            .iter()
            .map(|(id, pending)| {
                let waiting = (
                    pending.request_id.clone(),
                    pending.roles.clone(),
                    pending.scopes,
                );
                (id.clone(), waiting)
            })
            .collect(),
        codes: state
            .setups
            .iter()
            .map(|(id, setup)| {
                let bound = setup.bound.as_ref().map(|bound| bound.device_id.clone());
                (id.clone(), (bound, setup.completed_at_ms.is_some()))
            })
            .collect(),
    }
}
