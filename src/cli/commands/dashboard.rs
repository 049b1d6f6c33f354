//! `openclaw dashboard`: the address of the chat page, ready to open.

use std::fmt::Write as _;
use std::process::{Command, ExitCode, Stdio};

use serde_json::json;

use crate::cli::args::DashboardArgs;
use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::target::{Configured, Secret};

pub(crate) fn run(
    args: &DashboardArgs,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let loaded = environment.config()?;
    let configured = Configured::of(&loaded);
    let base = loaded.config.gateway.control_ui.base_path.as_deref();
    let page = page(&configured, base)?;
    if args.form.json {
        output.json(&json!({ "url": page.url }))?;
        return Ok(ExitCode::SUCCESS);
    }
    output.line(&page.url)?;
    if let Some(note) = page.note {
        output.note(note);
    }
    if !args.no_open && output.terminal {
        show(&page.url, environment, output);
    }
    Ok(ExitCode::SUCCESS)
}

/// The page's address and what else there is to know about it.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    url: String,
    note: Option<&'static str>,
}

fn page(configured: &Configured, base: Option<&str>) -> Result<Page, Failure> {
    let (gateway, secret) = configured.default_gateway();
    let gateway = gateway.ok_or_else(|| {
        Failure::configuration(
            "gateway.mode is \"remote\" and gateway.remote.url is not set".into(),
            Some("set it in the configuration".into()),
        )
    })?;
    let address = gateway.replacen("ws", "http", 1);
    let base = base.unwrap_or_default().trim_matches('/');
    let mut url = format!("{}/{base}", address.trim_end_matches('/'));
    if !base.is_empty() {
        url.push('/');
    }
    let note = match (secret, &configured.fault) {
        _ if configured.owner_only && !configured.remote => Some(
            "no secret goes into this address (gateway.auth.mode); a new browser waits for: openclaw devices approve <id>",
        ),
        (Some(Secret::Token(token)), _) => {
            url.push_str("#token=");
            url.push_str(&encode(token));
            None
        }
        (Some(Secret::Password(_)), _) => Some("the page asks for the gateway's password"),
        (None, Some(_)) => Some("the configured secret cannot be read here; the page asks for it"),
        (None, None) => Some("no token is known yet: the first `openclaw gateway` makes one"),
    };
    Ok(Page { url, note })
}

/// Percent-encodes what may not stand in a fragment as it is.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Opens the page where there is a desktop, else says how to reach it from one.
fn show(url: &str, environment: &Environment, output: &Output) {
    let opener = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    let desktop = cfg!(target_os = "macos")
        || ["DISPLAY", "WAYLAND_DISPLAY"]
            .iter()
            .any(|name| environment.variable(name).is_some());
    if !desktop {
        output.note("no desktop here; from another machine open a tunnel first: ssh -N -L 18789:127.0.0.1:18789 THIS-HOST");
        return;
    }
    let opened = Command::new(opener)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    if let Err(error) = opened {
        output.note(&format!(
            "cannot open it ({opener}: {error}); open the address above in a browser"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(secret: Option<Secret>) -> Configured {
        Configured {
            local_url: Some("ws://127.0.0.1:18789".into()),
            local_secret: secret,
            ..Configured::default()
        }
    }

    #[test]
    fn the_token_rides_in_the_fragment_which_no_server_sees() {
        let page = page(&configured(Some(Secret::Token("a/b+c=".into()))), None).unwrap();
        assert_eq!(page.url, "http://127.0.0.1:18789/#token=a%2Fb%2Bc%3D");
        assert_eq!(page.note, None);
    }

    #[test]
    fn a_password_is_never_in_an_address() {
        let page = page(
            &configured(Some(Secret::Password("pw".into()))),
            Some("/chat/"),
        )
        .unwrap();
        assert_eq!(page.url, "http://127.0.0.1:18789/chat/");
        assert!(page.note.unwrap().contains("password"));
    }

    #[test]
    fn a_remote_gateway_has_its_own_page() {
        let remote = Configured {
            remote: true,
            remote_url: Some("wss://gw.example.com".into()),
            remote_secret: Some(Secret::Token("t".into())),
            ..configured(None)
        };
        assert_eq!(
            page(&remote, None).unwrap().url,
            "https://gw.example.com/#token=t"
        );
        let nowhere = Configured {
            remote_url: None,
            ..remote
        };
        assert!(page(&nowhere, None).is_err());
    }

    #[test]
    fn before_the_first_start_it_says_so() {
        let page = page(&configured(None), None).unwrap();
        assert_eq!(page.url, "http://127.0.0.1:18789/");
        assert!(page.note.unwrap().contains("openclaw gateway"));
    }
}
