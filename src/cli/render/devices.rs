//! `openclaw devices`.

use openclaw_protocol::methods::device::{DevicePairListResult, PairRequest, PairedDevice};

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
        out.push_str(&pending(&list.pending, style));
        out.push_str("approve one with `openclaw devices approve REQUEST`\n\n");
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

fn pending(requests: &[PairRequest], style: &Style) -> String {
    let mut table = Columns::new(
        style,
        &["request", "device", "from", "asks for", "scopes", "asked"],
    );
    for request in requests {
        let from = request.remote_ip.as_deref().unwrap_or("this host");
        table.row(&[
            &request.request_id,
            &name(
                request.display_name.as_ref(),
                request.client_id.as_ref(),
                &request.device_id,
            ),
            from,
            &roles(request.roles.as_deref(), request.role.as_deref()),
            &scopes(request.scopes.as_deref().unwrap_or_default()),
            &ago(style.now_ms, request.ts),
        ]);
    }
    table.keep_whole(0).render()
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

fn roles(roles: Option<&[String]>, first: Option<&str>) -> String {
    match (roles, first) {
        (Some(roles), _) if !roles.is_empty() => roles.join(", "),
        (_, Some(role)) => role.to_owned(),
        _ => "operator".into(),
    }
}

/// One line about a device that was just approved.
pub fn approved(device: &PairedDevice) -> String {
    format!(
        "approved {} ({}) as {} with scopes {}",
        plain(&name(
            device.display_name.as_ref(),
            device.client_id.as_ref(),
            &device.device_id
        )),
        short(&device.device_id),
        plain(&roles(Some(&device.roles), device.role.as_deref())),
        scopes(&device.scopes)
    )
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
pub fn find_paired(paired: &[PairedDevice], wanted: &str) -> Result<String, String> {
    let fits = |device: &&PairedDevice| !wanted.is_empty() && device.device_id.starts_with(wanted);
    let found: Vec<&PairedDevice> = paired.iter().filter(fits).collect();
    match found.as_slice() {
        [only] => Ok(only.device_id.clone()),
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
                "scopes": ["operator.read", "operator.write"], "remoteIp": "100.64.0.7", "ts": NOW - 65_000,
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
REQUEST                               DEVICE           FROM        ASKS FOR  SCOPES       ASKED
0f1e2d3c-aaaa-bbbb-cccc-000000000001  Zoë's\u{fffd}[2J phone  100.64.0.7  operator  read, write  1 min ago
approve one with `openclaw devices approve REQUEST`

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
            "approved cli (a1b2c3d4e5f6) as operator with scopes admin"
        );
    }
}
