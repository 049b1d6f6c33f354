//! A setup code as text and as a QR picture for the terminal.

use std::fmt::Write as _;

use openclaw_protocol::methods::device_setup::{DevicePairSetupCodeResult, SetupProfile};
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

use super::Style;
use super::text::{Tone, plain};
use super::time::lasted;

/// What to show of a new code.
pub fn render(code: &DevicePairSetupCodeResult, picture: bool, style: &Style) -> String {
    let what = match code.access {
        SetupProfile::Limited => "a phone or tablet",
        SetupProfile::Node => "a node",
    };
    let gives = match code.access {
        SetupProfile::Limited => {
            "a node, and an operator that may chat, approve and answer (no admin)"
        }
        SetupProfile::Node => "a node; its commands wait for your approval",
    };
    let good_for = lasted(code.expires_at_ms.saturating_sub(style.now_ms) + 999);
    let mut out = style.paint(
        Tone::Strong,
        &format!("Setup code for {what}: good once, for {good_for}"),
    );
    out.push_str("\n\n");
    if picture {
        match draw(&code.setup_code, style.width) {
            Some(drawn) => out.push_str(&drawn),
            None => out.push_str("(this terminal is too narrow for the QR code)\n"),
        }
        out.push('\n');
    }
    out.push_str(&plain(&code.setup_code));
    out.push_str("\n\n");
    let all = code
        .gateway_urls
        .as_ref()
        .map_or_else(|| code.gateway_url.clone(), |urls| urls.join(", "));
    for (name, text) in [
        ("scan", "with the app, or paste the code there".to_owned()),
        (
            "connects",
            format!("to {} (from {})", plain(&all), plain(&code.url_source)),
        ),
        ("gives", gives.to_owned()),
        ("then", "see it with `openclaw devices list`".to_owned()),
    ] {
        let name = style.paint(Tone::Faint, &format!("{name:<8}"));
        // Writing to a `String` cannot fail.
        let _ = writeln!(out, "  {name}  {text}");
    }
    out
}

/// Two modules per character, dark on light whatever the terminal's colours are: the light modules
/// are the drawn ones. `None` when it does not fit.
/// A QR picture in half blocks; `None` where the terminal is too narrow.
pub(crate) fn draw(text: &str, width: Option<u16>) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let columns = code.width() + 8;
    if width.is_some_and(|width| usize::from(width) < columns) {
        return None;
    }
    let mut drawn = code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .build();
    drawn.push('\n');
    Some(drawn)
}

#[cfg(test)]
mod tests {
    use openclaw_protocol::methods::device_setup::SetupAuth;

    use super::*;

    const NOW: u64 = 1_790_000_000_000;

    fn code() -> DevicePairSetupCodeResult {
        DevicePairSetupCodeResult {
            setup_id: "s".into(),
            setup_code: "eyJ1cmwiOiJ3czovLzE5Mi4xNjguMS4yMDoxODc4OSJ9".into(),
            join_url: None,
            qr_data_url: None,
            gateway_url: "ws://192.168.1.20:18789".into(),
            gateway_urls: None,
            auth: SetupAuth::Token,
            url_source: "gateway.bind=lan".into(),
            access: SetupProfile::Limited,
            expires_at_ms: NOW + 600_000,
        }
    }

    fn style(width: u16) -> Style {
        Style {
            colour: false,
            width: Some(width),
            now_ms: NOW,
        }
    }

    #[test]
    fn what_a_person_sees() {
        assert_eq!(
            render(&code(), false, &style(80)),
            "\
Setup code for a phone or tablet: good once, for 10 min

eyJ1cmwiOiJ3czovLzE5Mi4xNjguMS4yMDoxODc4OSJ9

  scan      with the app, or paste the code there
  connects  to ws://192.168.1.20:18789 (from gateway.bind=lan)
  gives     a node, and an operator that may chat, approve and answer (no admin)
  then      see it with `openclaw devices list`
"
        );
    }

    #[test]
    fn the_picture_fits_or_is_left_out() {
        let drawn = render(&code(), true, &style(80));
        assert!(drawn.contains('█'), "{drawn}");
        assert!(drawn.lines().all(|line| line.chars().count() <= 80));
        assert!(render(&code(), true, &style(20)).contains("too narrow"));
    }
}
