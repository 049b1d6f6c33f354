//! What `tailscale serve` is to be told, by what it says that it serves already; and what a person does
//! about it when it refuses. Pure.
//!
//! The documents are those of `tailscale serve status --json` (its `ServeConfig`).

use std::collections::BTreeMap;

use serde::Deserialize;

/// The port of HTTPS in the tailnet; Funnel allows 443, 8443 and 10000.
const PORT: &str = "443";

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// It is as it should be, at this address.
    Nothing(String),
    /// The route has to be made, or made anew.
    Make,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ServeConfig {
    #[serde(rename = "TCP")]
    tcp: Option<BTreeMap<String, TcpHandler>>,
    web: Option<BTreeMap<String, WebServer>>,
    allow_funnel: Option<BTreeMap<String, bool>>,
    foreground: Option<BTreeMap<String, ServeConfig>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct TcpHandler {
    #[serde(rename = "TCPForward")]
    forward: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct WebServer {
    handlers: Option<BTreeMap<String, Handler>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Handler {
    path: String,
    proxy: String,
    text: String,
}

impl Handler {
    /// What it serves, for people.
    fn target(&self) -> &str {
        [&self.proxy, &self.path, &self.text]
            .into_iter()
            .find(|text| !text.is_empty())
            .map_or("something", String::as_str)
    }
}

/// Decides. Nothing of somebody else is ever replaced.
///
/// # Errors
///
/// Who has the port, and how it is freed; or that the document is none.
pub(super) fn decide(document: &[u8], target: &str, funnel: bool) -> Result<Step, String> {
    // A daemon that serves nothing says `null` or `{}`.
    let config: Option<ServeConfig> = serde_json::from_slice(document)
        .map_err(|error| format!("`tailscale serve status --json` is no such document: {error}"))?;
    let config = config.unwrap_or_default();
    let has_port =
        |config: &ServeConfig| config.tcp.as_ref().and_then(|tcp| tcp.get(PORT)).is_some();
    if config
        .foreground
        .iter()
        .flatten()
        .any(|(_, one)| has_port(one))
    {
        return Err("a `tailscale serve` or `tailscale funnel` that runs in the foreground has the port 443; end it".to_owned());
    }
    let off = "tailscale serve --https=443 off";
    if let Some(tcp) = config.tcp.as_ref().and_then(|tcp| tcp.get(PORT))
        && !tcp.forward.is_empty()
    {
        return Err(format!(
            "tailscale forwards its port 443 to {}; free it ({off}), or set gateway.tailscale.mode to \"off\"",
            tcp.forward
        ));
    }
    for (place, server) in config.web.iter().flatten() {
        let Some(host) = place.strip_suffix(":443") else {
            continue;
        };
        let Some(root) = server.handlers.as_ref().and_then(|all| all.get("/")) else {
            continue;
        };
        if plain(&root.proxy) != plain(target) {
            return Err(format!(
                "tailscale serves {} at https://{host}/ already; free it ({off}), or set gateway.tailscale.mode to \"off\"",
                root.target()
            ));
        }
        let public = config.allow_funnel.as_ref().and_then(|all| all.get(place));
        if public.copied().unwrap_or_default() == funnel {
            return Ok(Step::Nothing(format!("https://{host}/")));
        }
    }
    Ok(Step::Make)
}

/// An address without what makes no difference.
fn plain(address: &str) -> String {
    address
        .trim_end_matches('/')
        .replace("//localhost:", "//127.0.0.1:")
}

/// The address that `tailscale serve --bg` or `tailscale funnel --bg` says that it serves at.
pub(super) fn address(said: &str) -> Option<String> {
    said.lines()
        .map(str::trim)
        .find(|line| line.starts_with("https://") && line.ends_with('/'))
        .map(str::to_owned)
}

/// What to do about what the program said when it failed or hung.
pub(super) fn remedy(said: &str) -> String {
    let lower = said.to_ascii_lowercase();
    let has = |text: &str| lower.contains(text);
    let line = said
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or("it says nothing");
    let line: String = line.chars().filter(|c| !c.is_control()).take(300).collect();
    let link = said
        .split_whitespace()
        .find(|word| word.starts_with("https://login.tailscale.com/"));
    if let Some(link) = link {
        format!("{line} Open {link}, then start the gateway again")
    } else if has("access denied") {
        format!("{line}; let this user change it: sudo tailscale set --operator=$USER")
    } else if has("failed to connect to local tailscale") || has("not running") {
        format!("{line}; start it: sudo systemctl start tailscaled")
    } else if has("logged out") || has("needslogin") || has("not logged in") || has("stopped") {
        format!("{line}; connect this host: sudo tailscale up")
    } else {
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: &str = "http://127.0.0.1:18789";

    fn served(proxy: &str, funnel: &str) -> String {
        format!(
            r#"{{"TCP":{{"443":{{"HTTPS":true}}}},"Web":{{"pi.tail1.ts.net:443":{{"Handlers":{{"/":{{"Proxy":"{proxy}"}}}}}}}}{funnel}}}"#
        )
    }

    fn decided(document: &str, funnel: bool) -> Result<Step, String> {
        decide(document.as_bytes(), TARGET, funnel)
    }

    #[test]
    fn a_route_is_made_once_and_only_where_nothing_else_is() {
        let public = r#","AllowFunnel":{"pi.tail1.ts.net:443":true}"#;
        let there = Ok(Step::Nothing("https://pi.tail1.ts.net/".to_owned()));
        for (document, funnel, expected) in [
            ("null".to_owned(), false, Ok(Step::Make)),
            ("{}".to_owned(), true, Ok(Step::Make)),
            (served(TARGET, ""), false, there.clone()),
            (served("http://localhost:18789/", ""), false, there.clone()),
            (served(TARGET, public), true, there),
            // What was for the internet comes back into the tailnet, and the other way.
            (served(TARGET, public), false, Ok(Step::Make)),
            (served(TARGET, ""), true, Ok(Step::Make)),
            // Another port, another path.
            (
                served("http://127.0.0.1:3000", "").replace("443", "8443"),
                false,
                Ok(Step::Make),
            ),
            (
                served("http://127.0.0.1:3000", "").replace("\"/\"", "\"/wiki\""),
                false,
                Ok(Step::Make),
            ),
        ] {
            assert_eq!(decided(&document, funnel), expected, "{document}");
        }
    }

    #[test]
    fn what_is_somebody_elses_is_named_and_left_alone() {
        let foreground = format!(r#"{{"Foreground":{{"s1":{}}}}}"#, served(TARGET, ""));
        for (document, text) in [
            (served("http://127.0.0.1:3000", ""), "http://127.0.0.1:3000"),
            (
                served("", "").replace("\"Proxy\":\"\"", "\"Path\":\"/srv\""),
                "/srv",
            ),
            (
                r#"{"TCP":{"443":{"TCPForward":"127.0.0.1:22"}}}"#.to_owned(),
                "127.0.0.1:22",
            ),
            (foreground, "foreground"),
            ("what".to_owned(), "no such document"),
        ] {
            let error = decided(&document, false).unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn the_address_is_read_and_what_it_refuses_has_a_remedy() {
        let said = "Available within your tailnet:\n\nhttps://pi.tail1.ts.net/\n|-- proxy http://127.0.0.1:18789\n\nServe started and running in the background.\n";
        assert_eq!(address(said).as_deref(), Some("https://pi.tail1.ts.net/"));
        assert_eq!(address("nothing"), None);
        for (said, text) in [
            (
                "\nServe is not enabled on your tailnet.\nTo enable, visit:\n\n         https://login.tailscale.com/f/serve?node=n1\n",
                "Open https://login.tailscale.com/f/serve?node=n1",
            ),
            (
                "sending serve config: Access denied: serve config denied",
                "tailscale set --operator",
            ),
            (
                "failed to connect to local tailscaled; it doesn't appear to be running",
                "systemctl start tailscaled",
            ),
            ("Logged out.", "tailscale up"),
            (
                "Funnel not available; HTTPS must be enabled. See https://tailscale.com/s/https.",
                "https://tailscale.com/s/https",
            ),
            ("", "says nothing"),
        ] {
            assert!(remedy(said).contains(text), "{}", remedy(said));
        }
    }
}
