//! What is announced, and how an announcement reads. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use mdns_sd::ResolvedService;
use serde::Serialize;

use crate::config::Config;
use crate::config::discovery::MdnsMode;
use crate::config::gateway::Bind;

/// Most bytes of a name: a label of DNS.
const LABEL: usize = 63;
/// Most keys of an announcement that are shown.
const KEYS: usize = 32;

/// What the announcement of a gateway is made from.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// This host's name.
    pub(crate) host: String,
    /// The gateway's port.
    pub(crate) port: u16,
    /// Fingerprint of the certificate, with TLS.
    pub(crate) fingerprint: Option<String>,
    /// This program.
    pub(crate) program: Option<String>,
}

/// An announcement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// What people read.
    pub(super) name: String,
    /// This host in `local`.
    pub(super) host: String,
    /// The gateway's port.
    pub(super) port: u16,
    /// The one address that is announced; `None` for all of the network's.
    pub(super) only_on: Option<IpAddr>,
    /// Hints for programs; no secret is among them.
    pub(super) txt: Vec<(&'static str, String)>,
}

/// Decides what is announced; `None` for nothing.
pub(super) fn plan(
    config: &Config,
    env: impl Fn(&str) -> Option<String>,
    facts: &Facts,
) -> Option<Plan> {
    let gateway = &config.gateway;
    let only_on = super::only_on(config);
    let in_network = match gateway.bind {
        Bind::Lan => true,
        Bind::Custom => only_on.is_some() || gateway.custom_bind_host.as_deref() == Some("0.0.0.0"),
        Bind::Loopback | Bind::Auto | Bind::Tailnet => false,
    };
    let mode = config.discovery.mdns.mode;
    let mode = mode.unwrap_or(if in_network {
        MdnsMode::Minimal
    } else {
        MdnsMode::Off
    });
    let disabled = env("OPENCLAW_DISABLE_BONJOUR");
    let disabled = disabled.is_some_and(|word| {
        let word = word.to_ascii_lowercase();
        ["1", "true", "yes", "on"].contains(&word.as_str())
    });
    if mode == MdnsMode::Off || disabled {
        return None;
    }
    let label = label(&facts.host);
    let host = format!("{label}.local");
    let name: String = format!("{label} (OpenClaw)").chars().take(LABEL).collect();
    let mut txt = vec![
        ("role", "gateway".to_owned()),
        ("transport", "gateway".to_owned()),
        ("displayName", name.clone()),
        ("lanHost", host.clone()),
        ("gatewayPort", facts.port.to_string()),
    ];
    if let Some(fingerprint) = &facts.fingerprint {
        txt.push(("gatewayTls", "1".to_owned()));
        txt.push(("gatewayTlsSha256", fingerprint.clone()));
    }
    if in_network {
        txt.push(("gatewayDirectReachable", "1".to_owned()));
    }
    if mode == MdnsMode::Full {
        let port = env("OPENCLAW_SSH_PORT").unwrap_or_else(|| "22".to_owned());
        txt.push(("sshPort", port));
        let program = env("OPENCLAW_CLI_PATH").or_else(|| facts.program.clone());
        txt.extend(program.map(|program| ("cliPath", program)));
    }
    // One longer than a string of DNS would refuse them all.
    txt.retain(|(key, value)| u8::try_from(key.len() + 1 + value.len()).is_ok());
    Some(Plan {
        name,
        host,
        port: facts.port,
        only_on,
        txt,
    })
}

/// The first label of a host's name, of letters that every resolver takes.
fn label(host: &str) -> String {
    let first = host.split('.').next().unwrap_or_default();
    let safe = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let label: String = first.chars().map(safe).take(LABEL - 11).collect();
    let label = label.trim_matches('-');
    if label.is_empty() {
        "openclaw".to_owned()
    } else {
        label.to_owned()
    }
}

/// A gateway that was announced, as it says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Beacon {
    /// Its name.
    pub(crate) instance_name: String,
    /// The name of its host.
    pub(crate) host: String,
    /// Its port: that of the service, not of a hint.
    pub(crate) port: u16,
    /// The addresses of its host, IPv4 first.
    pub(crate) addresses: Vec<IpAddr>,
    /// Where clients would connect; the first address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ws_url: Option<String>,
    /// Whether it says that it speaks TLS.
    pub(crate) tls: bool,
    /// Its hints.
    pub(crate) txt: BTreeMap<String, String>,
}

impl Beacon {
    pub(super) fn of(service: &ResolvedService) -> Self {
        let name = service.fullname.strip_suffix(&format!(".{}", super::KIND));
        let hints = service.txt_properties.iter().take(KEYS);
        let txt: BTreeMap<String, String> = hints
            .map(|hint| (hint.key().to_owned(), hint.val_str().to_owned()))
            .collect();
        let addresses = service.addresses.iter();
        let addresses = addresses.map(mdns_sd::ScopedIp::to_ip_addr).collect();
        let name = unescaped(name.unwrap_or(&service.fullname));
        let host = service.host.trim_end_matches('.').to_owned();
        Self::new(name, host, service.port, addresses, txt)
    }

    fn new(
        instance_name: String,
        host: String,
        port: u16,
        mut addresses: Vec<IpAddr>,
        txt: BTreeMap<String, String>,
    ) -> Self {
        addresses.sort_by_key(|address| (address.is_ipv6(), *address));
        let tls = txt.get("gatewayTls").is_some_and(|word| word == "1");
        let scheme = if tls { "wss" } else { "ws" };
        let first = addresses.first();
        let ws_url = first.map(|ip| format!("{scheme}://{}", SocketAddr::new(*ip, port)));
        Self {
            instance_name,
            host,
            port,
            addresses,
            ws_url,
            tls,
            txt,
        }
    }
}

/// A name without the backslashes of DNS.
fn unescaped(name: &str) -> String {
    let mut out = String::new();
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn facts(fingerprint: Option<&str>) -> Facts {
        Facts {
            host: "my attic.example".to_owned(),
            port: 18789,
            fingerprint: fingerprint.map(str::to_owned),
            program: Some("/usr/bin/openclaw".to_owned()),
        }
    }

    fn planned(config: Value, env: &[(&str, &str)], fingerprint: Option<&str>) -> Option<Plan> {
        let config: Config = serde_json::from_value(config).unwrap();
        let env = |name: &str| {
            let found = env.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        plan(&config, env, &facts(fingerprint))
    }

    #[test]
    fn it_is_announced_where_others_reach_it_or_where_that_is_wanted() {
        let at = |bind: &str, mode: Option<&str>| {
            let gateway = json!({ "bind": bind, "customBindHost": "192.168.1.2" });
            let mdns = mode.map_or_else(|| json!({}), |mode| json!({ "mode": mode }));
            let config = json!({ "gateway": gateway, "discovery": { "mdns": mdns } });
            planned(config, &[], None)
        };
        assert_eq!(at("lan", None).unwrap().only_on, None);
        let one = at("custom", None).unwrap().only_on;
        assert_eq!(one, Some("192.168.1.2".parse().unwrap()));
        for quiet in ["loopback", "tailnet", "auto"] {
            assert_eq!(at(quiet, None), None, "{quiet}");
        }
        assert_eq!(at("lan", Some("off")), None);
        let local = at("loopback", Some("full")).unwrap();
        assert!(
            !local
                .txt
                .iter()
                .any(|(key, _)| *key == "gatewayDirectReachable")
        );
        let lan = json!({ "gateway": { "bind": "lan" } });
        let off = [("OPENCLAW_DISABLE_BONJOUR", "1")];
        assert_eq!(planned(lan, &off, None), None);
    }

    #[test]
    fn hints_are_few_and_no_secrets() {
        let token = "a-token-that-is-long-enough-to-be-strong";
        let config = |mode: &str| {
            let gateway = json!({ "bind": "lan", "auth": { "token": token } });
            json!({ "gateway": gateway, "discovery": { "mdns": { "mode": mode } } })
        };
        let keys = |mode: &str, print| {
            let plan = planned(config(mode), &[], print).unwrap();
            assert!(!format!("{plan:?}").contains(token));
            assert_eq!(plan.name, "my-attic (OpenClaw)");
            assert_eq!(plan.host, "my-attic.local");
            plan.txt
                .iter()
                .map(|(key, _)| *key)
                .collect::<Vec<_>>()
                .join(" ")
        };
        let few = "role transport displayName lanHost gatewayPort";
        assert_eq!(
            keys("minimal", None),
            format!("{few} gatewayDirectReachable")
        );
        assert_eq!(
            keys("full", Some("AA:BB")),
            format!("{few} gatewayTls gatewayTlsSha256 gatewayDirectReachable sshPort cliPath")
        );
    }

    #[test]
    fn where_a_gateway_is_comes_from_the_service_and_not_from_its_hints() {
        let hints = [
            ("gatewayPort", "1"),
            ("lanHost", "evil.example"),
            ("gatewayTls", "1"),
        ];
        let txt = hints.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let addresses = ["fd00::2", "192.168.1.2"].map(|ip| ip.parse().unwrap());
        let beacon = Beacon::new(
            unescaped("Attic\\.1 \\\\o"),
            "attic.local".to_owned(),
            18789,
            addresses.to_vec(),
            txt.into(),
        );
        assert_eq!(beacon.ws_url.as_deref(), Some("wss://192.168.1.2:18789"));
        assert_eq!(beacon.instance_name, "Attic.1 \\o");
    }

    #[test]
    fn a_hosts_name_becomes_a_label() {
        for (host, expected) in [
            ("pi", "pi"),
            ("pi.example.org", "pi"),
            ("", "openclaw"),
            ("_", "openclaw"),
            ("Höhle", "H-hle"),
        ] {
            assert_eq!(label(host), expected);
        }
    }
}
