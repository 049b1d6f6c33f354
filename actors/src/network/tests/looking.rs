//! What a look at the networks comes to, by table.

use std::time::Duration;

use super::super::ask::{AskError, Status};
use super::super::state::{Answers, Surroundings, Tailnet};
use super::ip;

fn found(tailnet: Tailnet, own: &[&str]) -> Surroundings {
    Surroundings {
        tailnet,
        interfaces: vec![ip("127.0.0.1"), ip("100.64.0.1")],
        own_tailnet: own.iter().map(|text| ip(text)).collect(),
    }
}

fn says(interface: bool) -> Status {
    Status {
        interface,
        // The second one is on no interface of this host.
        own: vec![ip("100.64.0.1"), ip("100.64.0.2")],
    }
}

#[test]
fn a_look_tells_how_this_host_is_in_its_tailnet() {
    use Tailnet::{Absent, Interface, NotLooked, Unclear, Userspace};
    let failed = || Err(AskError::Failed("slow".into()));
    let absent = || Err(AskError::Absent);
    for (before, status, tailnet, own) in [
        (NotLooked, Ok(says(true)), Interface, &["100.64.0.1"][..]),
        (Absent, Ok(says(true)), Interface, &["100.64.0.1"]),
        (Interface, Ok(says(false)), Userspace, &[]),
        (Userspace, absent(), Absent, &[]),
        (NotLooked, absent(), Absent, &[]),
        // What never answered is not trusted; what is slow for once has not changed.
        (NotLooked, failed(), Unclear, &[]),
        (Absent, failed(), Unclear, &[]),
        (Interface, failed(), Interface, &["100.64.0.1"]),
        (Userspace, failed(), Userspace, &[]),
    ] {
        let own_before: &[&str] = if before == Interface {
            &["100.64.0.1"]
        } else {
            &[]
        };
        let interfaces = vec![ip("127.0.0.1"), ip("100.64.0.1")];
        let after = found(before, own_before).after(Some(interfaces), status.clone());
        assert_eq!(after, found(tailnet, own), "{before:?} {status:?}");
    }
}

#[test]
fn an_own_address_is_one_only_while_an_interface_has_it() {
    let before = found(Tailnet::Interface, &["100.64.0.1"]);
    let gone = before.after(Some(vec![ip("127.0.0.1")]), Ok(says(true)));
    assert!(gone.own_tailnet.is_empty());
    // Interfaces that cannot be listed are those of before.
    assert_eq!(before.after(None, Ok(says(true))), before);
}

#[test]
fn a_slow_daemon_with_an_interface_of_tailscale_is_no_userspace_one() {
    let interfaces = vec![ip("127.0.0.1"), ip("fd7a:115c:a1e0::5")];
    let failed = Err(AskError::Failed("slow".into()));
    let found = Surroundings::default().after(Some(interfaces), failed);
    assert_eq!(found.tailnet, Tailnet::Interface);
}

#[test]
fn answers_are_kept_for_a_while_and_are_bounded() {
    let mut answers = Answers::default();
    let at = Duration::from_secs;
    answers.put(ip("100.64.0.9"), None, at(0));
    assert_eq!(answers.get(ip("100.64.0.9"), at(29)), Some(None));
    assert_eq!(answers.get(ip("100.64.0.9"), at(30)), None);
    assert_eq!(answers.get(ip("100.64.0.8"), at(0)), None);
    for n in 0..1_000_u32 {
        answers.put(std::net::Ipv4Addr::from(n).into(), None, at(1));
    }
    assert!(answers.len() <= 256);
}
