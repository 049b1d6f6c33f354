//! `openclaw devices`.

use std::fmt::Write as _;

use openclaw_protocol::methods::device::{
    DevicePairListResult, DevicePairRenameResult, DeviceTokenRevoke, DeviceTokenRevokeResult,
    DeviceTokenRotate, DeviceTokenRotateResult, PairRequest, PairedDevice,
};
use openclaw_protocol::{Method as _, Scopes};
use serde_json::Value;

use super::Style;
use super::table::Columns;
use super::text::{Tone, plain, scopes, short};
use super::time::{ago, ago_or};

/// What to show of the lists of requests and devices.
pub fn render(list: &DevicePairListResult, style: &Style) -> String {
    let mut out = String::new();
    if !list.pending.is_empty() {
        out.push_str(&style.paint(Tone::Strong, "Waiting for approval"));
        out.push('\n');
        for request in &list.pending {
            out.push_str(&pending(request, &list.paired, style));
        }
        out.push('\n');
    }
    if list.paired.is_empty() {
        out.push_str("no paired devices\n");
        return out;
    }
    out.push_str(&style.paint(Tone::Strong, "Paired"));
    out.push('\n');
    out.push_str(&paired(&list.paired, style));
    out
}

/// A request: who, what for, from where, why, and the command that approves it, to be copied.
fn pending(request: &PairRequest, paired: &[PairedDevice], style: &Style) -> String {
    let who = name(
        request.display_name.as_ref(),
        request.client_id.as_ref(),
        &request.device_id,
    );
    let known = paired
        .iter()
        .find(|device| device.device_id == request.device_id);
    let mut out = format!(
        "  {}  {}\n",
        style.paint(Tone::Warn, &plain(&who)),
        style.paint(Tone::Faint, &ago(style.now_ms, request.ts))
    );
    let asked = request.scopes.as_deref().unwrap_or_default();
    let from = request.remote_ip.as_deref().unwrap_or("this host");
    let program = request.client_id.as_deref().unwrap_or("unknown program");
    let system = request.platform.as_deref().unwrap_or("unknown system");
    for (label, text) in [
        (
            "asks",
            wish(
                &roles(request.roles.as_deref(), request.role.as_deref()),
                asked,
            ),
        ),
        ("because", because(request, known)),
        ("from", format!("{from}, {program} on {system}")),
        ("device", short(&request.device_id)),
        (
            "approve",
            format!("openclaw devices approve {}", request.request_id),
        ),
    ] {
        let label = style.paint(Tone::Faint, &format!("{label:<8}"));
        // Writing to a `String` cannot fail.
        let _ = writeln!(out, "    {label} {}", plain(&text));
    }
    out
}

/// Why a device has to ask.
fn because(request: &PairRequest, known: Option<&PairedDevice>) -> String {
    let Some(device) = known else {
        return "it is new here".into();
    };
    if device.public_key != request.public_key {
        return "its key is another one than the paired one: approve only if you know why".into();
    }
    let asked = request.roles.as_deref().unwrap_or_default();
    if let Some(role) = asked.iter().find(|role| !device.roles.contains(role)) {
        return format!("it has no {role} role (or you ended it)");
    }
    let held = Scopes::parse(&device.scopes);
    let wanted = Scopes::parse(request.scopes.as_deref().unwrap_or_default());
    if !held.covers(wanted) {
        return format!("it wants more; it has {}", scopes(&device.scopes));
    }
    "it says that it is another kind of device now".into()
}

fn paired(devices: &[PairedDevice], style: &Style) -> String {
    let mut table = Columns::new(
        style,
        &["device", "id", "role", "scopes", "approved", "seen"],
    );
    for device in devices {
        let approved = format!(
            "{}{}",
            ago(style.now_ms, device.approved_at_ms),
            device
                .approved_via
                .as_ref()
                .map_or_else(String::new, |via| format!(" ({via})"))
        );
        let (seen, tone) = if device.connected == Some(true) {
            ("connected".to_owned(), Some(Tone::Good))
        } else {
            (ago_or(style.now_ms, device.last_seen_at_ms, "never"), None)
        };
        table.toned(&[
            (
                &name(
                    device.display_name.as_ref(),
                    device.client_id.as_ref(),
                    &device.device_id,
                ),
                None,
            ),
            (&short(&device.device_id), Some(Tone::Faint)),
            (&roles(Some(&device.roles), device.role.as_deref()), None),
            (&scopes(&device.scopes), None),
            (&approved, None),
            (&seen, tone),
        ]);
    }
    table.render()
}

fn name(display: Option<&String>, client: Option<&String>, id: &str) -> String {
    display.or(client).cloned().unwrap_or_else(|| short(id))
}

/// Roles with the scopes, where there are any: a node has none.
fn wish(roles: &str, asked: &[String]) -> String {
    if asked.is_empty() {
        return roles.to_owned();
    }
    format!("{roles}: {}", scopes(asked))
}

fn roles(roles: Option<&[String]>, first: Option<&str>) -> String {
    match (roles, first) {
        (Some(roles), _) if !roles.is_empty() => roles.join(", "),
        (_, Some(role)) => role.to_owned(),
        (Some(_), None) => "none".into(),
        (None, None) => "operator".into(),
    }
}

/// What was just approved, and how to take it back.
pub fn approved(device: &PairedDevice) -> String {
    format!(
        "approved {} ({}) as {} with scopes {}\nundo: openclaw devices remove {id}\n",
        plain(&name(
            device.display_name.as_ref(),
            device.client_id.as_ref(),
            &device.device_id
        )),
        short(&device.device_id),
        plain(&roles(Some(&device.roles), device.role.as_deref())),
        scopes(&device.scopes),
        id = short(&device.device_id),
    )
}

/// A new name.
pub fn renamed(done: &DevicePairRenameResult) -> String {
    format!(
        "{} is called {} now\n",
        short(&done.device_id),
        plain(&done.label)
    )
}

/// New tokens: the token itself where it is for this very device.
pub fn rotated(done: &DeviceTokenRotateResult) -> String {
    let device = short(&done.device_id);
    let role = plain(&done.role);
    let what = format!(
        "replaced the {role} tokens of {device} (scopes {}); its connections were closed\n",
        scopes(&done.scopes)
    );
    match &done.token {
        Some(token) => format!("{what}new token: {}\n", plain(token)),
        None => format!("{what}it gets a new one when it connects with the gateway's secret\n"),
    }
}

/// The end of a role.
pub fn revoked(done: &DeviceTokenRevokeResult) -> String {
    format!(
        "ended the {} role of {}; its connections were closed, and it has to be approved again\n",
        plain(&done.role),
        short(&done.device_id)
    )
}

/// Why the gateway denied a change that it does not explain, and what to do.
pub fn explain(method: &str, params: &Value, device: &PairedDevice) -> Option<(String, String)> {
    if method != DeviceTokenRotate::NAME && method != DeviceTokenRevoke::NAME {
        return None;
    }
    let role = params["role"].as_str().unwrap_or_default();
    let id = short(&device.device_id);
    if !device.roles.iter().any(|held| held == role) {
        let held = match device.roles.as_slice() {
            [] => "none".to_owned(),
            roles => plain(&roles.join(", ")),
        };
        return Some((
            format!("{id} has no active role `{}`; it has: {held}", plain(role)),
            "name one of its roles with --role; see `openclaw devices list`".into(),
        ));
    }
    Some((
        format!("{id} was not approved for that"),
        format!(
            "leave --scope out, or name scopes among: {}",
            device.scopes.join(" ")
        ),
    ))
}

/// The request that came last.
///
/// # Errors
///
/// Says that there is none.
pub fn latest(pending: &[PairRequest]) -> Result<&PairRequest, String> {
    pending
        .iter()
        .max_by_key(|request| request.ts)
        .ok_or_else(|| {
            "no request waits: it may have expired after 5 minutes; let the device connect again"
                .into()
        })
}

/// What to say to someone who did not name a request.
pub fn which_one(pending: &[PairRequest]) -> String {
    match pending {
        [] => "no request waits: it may have expired after 5 minutes; let the device connect again"
            .into(),
        [only] => format!(
            "which request? one waits: openclaw devices approve {}",
            only.request_id
        ),
        several => format!(
            "which request? {} wait; name one, or take the newest with --latest",
            several.len()
        ),
    }
}

/// Finds the request that a person means: its id, or a beginning that fits only one.
///
/// # Errors
///
/// Says that none fits, or which ones do.
pub fn find<'a>(pending: &'a [PairRequest], wanted: &str) -> Result<&'a PairRequest, String> {
    let matching = |exact: bool| {
        pending.iter().filter(move |request| {
            if exact {
                request.request_id == wanted
            } else {
                request.request_id.starts_with(wanted)
            }
        })
    };
    if let Some(request) = matching(true).next() {
        return Ok(request);
    }
    let found: Vec<&PairRequest> = matching(false).collect();
    match found.as_slice() {
        [only] if !wanted.is_empty() => Ok(only),
        [] => Err(format!(
            "no pending request `{wanted}`: it may have expired, or been decided already"
        )),
        _ => Err(format!("`{wanted}` fits {} pending requests", found.len())),
    }
}

/// The paired device whose id is `wanted`, or begins with it and is the only one.
///
/// # Errors
///
/// What to tell the person when none or several fit.
pub fn find_paired<'a>(
    paired: &'a [PairedDevice],
    wanted: &str,
) -> Result<&'a PairedDevice, String> {
    let fits = |device: &&PairedDevice| !wanted.is_empty() && device.device_id.starts_with(wanted);
    let found: Vec<&PairedDevice> = paired.iter().filter(fits).collect();
    match found.as_slice() {
        [only] => Ok(only),
        [] => Err(format!("no paired device `{wanted}`")),
        _ => Err(format!("`{wanted}` fits {} paired devices", found.len())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_790_000_000_000;

    fn style() -> Style {
        Style {
            colour: false,
            width: Some(140),
            now_ms: NOW,
        }
    }

    fn list() -> DevicePairListResult {
        serde_json::from_value(json!({
            "pending": [{
                "requestId": "0f1e2d3c-aaaa-bbbb-cccc-000000000001", "deviceId": "d".repeat(64), "publicKey": "k",
                "displayName": "Zoë's\u{1b}[2J phone", "role": "operator", "roles": ["operator"],
                "scopes": ["operator.read", "operator.write"], "remoteIp": "100.64.0.7", "clientId": "openclaw-ios", "platform": "iOS 18.4", "ts": NOW - 65_000,
            }],
            "paired": [
                { "deviceId": "a1b2c3d4e5f60718".repeat(4), "publicKey": "k", "clientId": "cli", "roles": ["operator"],
                    "scopes": ["operator.admin"], "createdAtMs": 1, "approvedAtMs": NOW - 7_200_000,
                    "approvedVia": "silent", "connected": true },
                { "deviceId": "b".repeat(64), "publicKey": "k", "displayName": "Kitchen iPad", "roles": ["node"],
                    "scopes": [], "createdAtMs": 1, "approvedAtMs": NOW - 86_400_000,
                    "approvedVia": "owner", "lastSeenAtMs": NOW - 600_000, "connected": false },
            ],
        }))
        .unwrap()
    }

    #[test]
    fn requests_and_devices() {
        assert_eq!(
            render(&list(), &style()),
            "\
Waiting for approval
  Zoë's\u{fffd}[2J phone  1 min ago
    asks     operator: read, write
    because  it is new here
    from     100.64.0.7, openclaw-ios on iOS 18.4
    device   dddddddddddd
    approve  openclaw devices approve 0f1e2d3c-aaaa-bbbb-cccc-000000000001

Paired
DEVICE        ID            ROLE      SCOPES  APPROVED          SEEN
cli           a1b2c3d4e5f6  operator  admin   2 h ago (silent)  connected
Kitchen iPad  bbbbbbbbbbbb  node      none    1 d ago (owner)   10 min ago
"
        );
        assert_eq!(
            render(&DevicePairListResult::default(), &style()),
            "no paired devices\n"
        );
    }

    #[test]
    fn a_request_can_be_copied_on_a_narrow_terminal_too() {
        let narrow = Style {
            width: Some(80),
            ..style()
        };
        let text = render(&list(), &narrow);
        assert!(
            text.contains("0f1e2d3c-aaaa-bbbb-cccc-000000000001"),
            "{text}"
        );
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(80), "{text}");
    }

    #[test]
    fn a_request_is_found_by_a_beginning_that_fits_only_one() {
        let request = |id: &str| PairRequest {
            request_id: id.into(),
            ..PairRequest::default()
        };
        let pending = [request("abc-1"), request("abd-2"), request("ab")];
        let found = |wanted| find(&pending, wanted).map(|request| request.request_id.as_str());
        assert_eq!(found("abc"), Ok("abc-1"));
        assert_eq!(found("ab"), Ok("ab"));
        assert!(found("a").unwrap_err().contains("fits 3"));
        assert!(found("x").unwrap_err().contains("expired"));
        assert!(find(&pending[..1], "").is_err());
    }

    #[test]
    fn an_approval_says_who_got_what() {
        assert_eq!(
            approved(&list().paired[0]),
            "approved cli (a1b2c3d4e5f6) as operator with scopes admin\nundo: openclaw devices remove a1b2c3d4e5f6\n"
        );
    }

    #[test]
    fn the_reason_of_a_request_is_said() {
        let list = list();
        let device = PairedDevice {
            roles: vec!["operator".into()],
            scopes: vec!["operator.read".into()],
            ..list.paired[0].clone()
        };
        let request = |roles: &[&str], scopes: &[&str]| PairRequest {
            roles: Some(roles.iter().map(|role| (*role).to_owned()).collect()),
            scopes: Some(scopes.iter().map(|scope| (*scope).to_owned()).collect()),
            public_key: "k".into(),
            ..PairRequest::default()
        };
        let said = |request: &PairRequest| because(request, Some(&device));
        let more = request(&["operator"], &["operator.admin"]);
        assert_eq!(said(&more), "it wants more; it has read");
        assert!(said(&request(&["node"], &[])).contains("no node role"));
        assert!(said(&request(&["operator"], &[])).contains("another kind"));
        let other_key = PairRequest {
            public_key: "other".into(),
            ..more
        };
        assert!(said(&other_key).contains("another one"));
    }

    #[test]
    fn the_newest_request_is_the_latest() {
        let request = |id: &str, ts| PairRequest {
            request_id: id.into(),
            ts,
            ..PairRequest::default()
        };
        let pending = [request("a", 1), request("b", 3), request("c", 2)];
        assert_eq!(latest(&pending).unwrap().request_id, "b");
        assert!(latest(&[]).is_err());
        assert!(which_one(&pending).contains("--latest"));
        assert!(which_one(&pending[..1]).contains("approve a"));
    }

    #[test]
    fn a_denied_change_is_explained() {
        let device = &list().paired[1];
        let params = json!({ "role": "operator" });
        let (what, remedy) = explain("device.token.rotate", &params, device).unwrap();
        assert!(
            what.contains("has no active role `operator`; it has: node"),
            "{what}"
        );
        assert!(remedy.contains("--role"));
        assert_eq!(explain("device.pair.remove", &params, device), None);
    }
}
