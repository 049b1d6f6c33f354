//! What becomes of a connect.

use openclaw_protocol::client::{ClientId, ClientMode};
use openclaw_protocol::{ErrorCode, Generation, Role, Scope, Scopes};
use serde_json::json;

use super::*;
use crate::audit::{AuditRow, Kind};
use crate::pairing::effects::PairEvent;
use crate::pairing::state::{MAX_PENDING, PENDING_TTL};
use crate::pairing::tokens::MAX_TOKENS;

#[test]
fn a_local_device_is_paired_without_asking_and_told_only_that() {
    let mut machine = Machine::new();
    let step = machine.step(&local(1));
    let admission = step.answer.unwrap();
    assert_eq!(
        (admission.scopes, admission.method.as_str()),
        (read(), "token")
    );
    assert_eq!(admission.token.unwrap().issued_at_ms, 1_000_000);
    assert!(matches!(step.effects.events[..], [PairEvent::Resolved(_)]));
    let noted = step.effects.notes.iter().map(AuditRow::kind);
    assert_eq!(
        noted.collect::<Vec<_>>(),
        [Kind::TokenIssued, Kind::PairingApproved]
    );
    assert_eq!(step.effects.ops.len(), 1, "one row holds all of it");
    let listed = machine.state.devices["device-1"].to_wire("device-1");
    assert_eq!(listed.approved_via.as_deref(), Some("silent"));
    assert_eq!(listed.tokens.unwrap().len(), 1);
}

#[test]
fn a_remote_device_waits_and_is_told_how_it_gets_in() {
    let mut machine = Machine::new();
    let step = machine.step(&remote(1));
    let error = step.answer.unwrap_err();
    assert_eq!(error.code, ErrorCode::NotPaired);
    assert_eq!(
        error.message,
        "pairing required: device is not approved yet"
    );
    let details = error.details.unwrap();
    let id = details["requestId"].as_str().unwrap();
    assert!(
        details["remediationHint"]
            .as_str()
            .unwrap()
            .contains(&format!("openclaw devices approve {id}"))
    );
    for (field, value) in [
        ("code", json!("PAIRING_REQUIRED")),
        ("reason", json!("not-paired")),
        ("deviceId", json!("device-1")),
        ("requestedRole", json!("operator")),
        ("requestedScopes", json!(["operator.read"])),
    ] {
        assert_eq!(details[field], value, "{field}");
    }
    assert!(details.get("approvedRoles").is_none());
    let [PairEvent::Requested(request)] = &step.effects.events[..] else {
        panic!("{:?}", step.effects.events);
    };
    assert_eq!(request.request_id, id);
    assert_eq!(step.effects.ops.len(), 1);
}

#[test]
fn a_v3_client_gets_the_two_words_that_it_knows() {
    let mut machine = Machine::new();
    let error = machine
        .admit(&Admit {
            generation: Generation::V3,
            ..remote(1)
        })
        .unwrap_err();
    assert_eq!(error.message, "pairing required");
    let details = error.details.unwrap();
    assert_eq!(
        details.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["requestId"]
    );
}

#[test]
fn asking_again_for_no_more_is_the_same_request_without_noise() {
    let mut machine = Machine::new();
    let first = machine.refused(&remote(1))["requestId"].clone();
    machine.wait(200);
    let again = machine.step(&remote(1));
    assert_eq!(
        again.answer.unwrap_err().details.unwrap()["requestId"],
        first
    );
    assert!(again.effects.ops.is_empty() && again.effects.events.is_empty());
    machine.wait(200);
    assert_eq!(
        machine.refused(&remote(1))["requestId"],
        first,
        "a refresh prolongs it"
    );
    machine.wait(PENDING_TTL.as_secs());
    assert_ne!(
        machine.refused(&remote(1))["requestId"],
        first,
        "it ended silently"
    );
}

#[test]
fn asking_for_more_takes_the_place_of_the_older_request() {
    let mut machine = Machine::new();
    let first = machine.refused(&remote(1))["requestId"].clone();
    let step = machine.step(&Admit {
        scopes: Scopes::of(&[Scope::Approvals]),
        ..remote(1)
    });
    let [PairEvent::Resolved(old), PairEvent::Requested(new)] = &step.effects.events[..] else {
        panic!("{:?}", step.effects.events);
    };
    assert_eq!(old.request_id, first.as_str().unwrap());
    assert_eq!(
        new.scopes.as_deref().unwrap(),
        ["operator.read", "operator.approvals"]
    );
    assert_eq!(machine.state.pending.len(), 1);
    let v3 = machine.refused(&Admit {
        scopes: admin(),
        generation: Generation::V3,
        ..remote(1)
    });
    assert_eq!(
        v3["requestId"], new.request_id,
        "a v3 client reuses what waits"
    );
}

#[test]
fn every_gap_has_its_own_reason() {
    let mut machine = Machine::new();
    machine.admit(&local(1)).unwrap();
    let gaps = [
        (
            Admit {
                scopes: admin(),
                ..remote(1)
            },
            "scope-upgrade",
        ),
        (
            Admit {
                role: Role::Node,
                scopes: Scopes::NONE,
                ..local(1)
            },
            "role-upgrade",
        ),
        (
            Admit {
                client: ClientInfo {
                    platform: "windows".into(),
                    ..remote(1).client
                },
                ..remote(1)
            },
            "metadata-upgrade",
        ),
    ];
    for (ask, reason) in gaps {
        let details = machine.refused(&ask);
        assert_eq!(details["reason"], reason);
        assert_eq!(details["approvedRoles"], json!(["operator"]), "{reason}");
        assert_eq!(
            details["approvedScopes"],
            json!(["operator.read"]),
            "{reason}"
        );
    }
    assert_eq!(machine.state.pending.len(), 1, "one request per device");
}

#[test]
fn another_key_is_another_device_even_on_this_machine() {
    let mut machine = Machine::new();
    machine.admit(&local(1)).unwrap();
    let mut other = local(1);
    other.device.public_key = "another".into();
    let details = machine.refused(&other);
    assert_eq!(details["reason"], "not-paired");
    assert!(
        details.get("approvedScopes").is_none(),
        "the other key's trust is not shown"
    );
    let token = machine.token(&local(1));
    let error = machine.admit(&by_token(other, &token)).unwrap_err();
    assert_eq!(error.message, "otherwise");
}

#[test]
fn scopes_grow_silently_only_on_this_machine_and_by_the_secret() {
    let mut machine = Machine::new();
    let token = machine.token(&local(1));
    let more = |ask: Admit| Admit {
        scopes: admin(),
        ..ask
    };
    assert_eq!(machine.refused(&more(remote(1)))["reason"], "scope-upgrade");
    assert_eq!(
        machine.refused(&by_token(more(local(1)), &token))["code"],
        "AUTH_SCOPE_MISMATCH"
    );
    assert_eq!(machine.admit(&more(local(1))).unwrap().scopes, admin());
}

#[test]
fn a_token_opens_its_own_device_role_and_scopes_only() {
    let mut machine = Machine::new();
    let token = machine.token(&Admit {
        scopes: Scopes::of(&[Scope::Write]),
        ..local(1)
    });
    machine.admit(&local(2)).unwrap();
    let fewer = machine.admit(&by_token(remote(1), &token)).unwrap();
    assert_eq!(
        (fewer.scopes, fewer.method.as_str()),
        (read(), "device-token")
    );
    assert_eq!(fewer.token.unwrap().token, token, "it is echoed");
    let none = machine.admit(&by_token(
        Admit {
            scopes: Scopes::NONE,
            ..remote(1)
        },
        &token,
    ));
    assert_eq!(none.unwrap().scopes, Scopes::NONE);
    for stranger in [
        by_token(remote(2), &token),
        by_token(remote(3), &token),
        by_token(remote(1), "no such token"),
        by_token(
            Admit {
                role: Role::Node,
                scopes: Scopes::NONE,
                ..remote(1)
            },
            &token,
        ),
    ] {
        assert_eq!(machine.admit(&stranger).unwrap_err().message, "otherwise");
    }
}

#[test]
fn a_device_that_asks_for_nothing_gets_a_token_for_nothing() {
    let mut machine = Machine::new();
    machine.admit(&local(1)).unwrap();
    let token = machine.token(&Admit {
        scopes: Scopes::NONE,
        ..local(1)
    });
    assert_eq!(
        machine.refused(&by_token(remote(1), &token))["code"],
        "AUTH_SCOPE_MISMATCH"
    );
}

#[test]
fn connects_at_the_same_time_share_a_token_and_all_of_them_can_return() {
    let mut machine = Machine::new();
    let tokens: Vec<_> = (0..20).map(|_| machine.token(&local(1))).collect();
    for token in &tokens {
        machine.admit(&by_token(remote(1), token)).unwrap();
    }
    let again = machine.step(&local(1));
    assert!(again.effects.ops.is_empty(), "a reconnect costs no commit");
}

#[test]
fn the_least_recently_used_of_too_many_tokens_goes() {
    let mut machine = Machine::new();
    let mut tokens = Vec::new();
    for _ in 0..=MAX_TOKENS {
        tokens.push(machine.token(&local(1)));
        machine.wait(61);
        if let Some(first) = tokens.first() {
            machine.admit(&by_token(remote(1), first)).unwrap();
        }
    }
    let mut works = |token| machine.admit(&by_token(remote(1), token)).is_ok();
    assert!(works(&tokens[0]), "it was in use");
    assert!(!works(&tokens[1]), "it was not");
    assert!(works(&tokens[MAX_TOKENS]));
}

#[test]
fn the_text_of_a_token_is_forgotten_and_never_written() {
    let mut machine = Machine::new();
    let step = machine.step(&local(1));
    let token = step.answer.unwrap().token.unwrap().token;
    assert!(!format!("{:?}", step.effects.ops).contains(&token));
    assert!(!format!("{:?}", machine.state).contains(&token));
    machine.wait(61);
    machine.state.flush(machine.now);
    let grant = &machine.state.devices["device-1"].roles[&Role::Operator];
    assert!(grant.tokens[0].fresh.is_none());
}

#[test]
fn tokens_of_a_silent_approval_end_with_the_shared_secret() {
    let mut machine = Machine::new();
    let mark = |secret: &str| {
        let mode = crate::gate::AuthMode::Token(secret.to_owned().into());
        let gate = crate::gate::GateSettings::new(mode);
        crate::pairing::records::SecretMark::of(&gate, b"salt").unwrap()
    };
    let (old, new) = (mark("old"), mark("new"));
    let (now, entropy) = (machine.now, machine.entropy.clone());
    let mut admit = |ask: &Admit, mark| machine.state.admit(ask, Some(mark), now, &*entropy).answer;
    let token = admit(&local(1), &old).unwrap().token.unwrap().token;
    assert!(admit(&by_token(remote(1), &token), &old).is_ok());
    assert!(admit(&by_token(remote(1), &token), &new).is_err());
    let fresh = admit(&local(1), &new).unwrap().token.unwrap().token;
    assert_ne!(fresh, token);
    assert!(admit(&by_token(remote(1), &fresh), &new).is_ok());
}

#[test]
fn an_updated_app_and_an_alias_of_a_platform_are_the_same_device() {
    let mut machine = Machine::new();
    machine.admit(&local(1)).unwrap();
    let mut updated = remote(1);
    updated.client.platform = "macOS 26.0".into();
    updated.client.device_family = None;
    machine.admit(&updated).unwrap();
    let host = |platform: &str| {
        let mut ask = local(2);
        ask.client.id = ClientId::NodeHost;
        ask.client.mode = ClientMode::Node;
        ask.client.platform = platform.into();
        ask
    };
    machine.admit(&host("darwin")).unwrap();
    machine.admit(&host("macOS")).unwrap();
    assert_eq!(
        machine.refused(&host("linux"))["reason"],
        "metadata-upgrade"
    );
}

#[test]
fn requests_are_bounded_and_the_stalest_goes() {
    let mut machine = Machine::new();
    let first = machine.refused(&remote(0))["requestId"].clone();
    for n in 1..=u8::try_from(MAX_PENDING).unwrap() {
        machine.wait(1);
        let step = machine.step(&remote(n));
        if usize::from(n) == MAX_PENDING {
            let [PairEvent::Resolved(gone), PairEvent::Requested(_)] = &step.effects.events[..]
            else {
                panic!("{:?}", step.effects.events);
            };
            assert_eq!(gone.request_id, first.as_str().unwrap());
        }
    }
    assert_eq!(machine.state.pending.len(), MAX_PENDING);
}
