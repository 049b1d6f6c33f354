//! What a schema cannot say: values that depend on each other or have a form of their own.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::error::Issue;
use super::gateway::{AuthMode, Bind, Gateway, SshVerify};
use super::place::{push_index, push_key};
use super::{Config, bindings, heartbeat, session};

/// Every rule that `config` breaks.
pub(crate) fn check(config: &Config) -> Vec<Issue> {
    let mut issues = Vec::new();
    check_gateway(&config.gateway, &mut issues);
    check_agents(config, &mut issues);
    heartbeat::check(&config.agents, &mut issues);
    session::check(&config.session, &config.cron, &mut issues);
    bindings::check(&config.bindings, &config.agents, &mut issues);
    check_providers(config, &mut issues);
    config.hooks.check(&mut issues);
    issues
}

fn check_gateway(gateway: &Gateway, issues: &mut Vec<Issue>) {
    let mut wrong = |path: &str, message: &str| issues.push(Issue::new(path, message));
    match (gateway.bind, gateway.custom_bind_host.as_deref()) {
        (Bind::Custom, None) => wrong(
            "gateway.customBindHost",
            "is missing; bind \"custom\" needs an IP address",
        ),
        (Bind::Custom, Some(host)) if host.parse::<IpAddr>().is_err() => {
            wrong(
                "gateway.customBindHost",
                "is not an IP address such as 192.168.1.10",
            );
        }
        _ => {}
    }
    if gateway.auth.mode == Some(AuthMode::TrustedProxy) {
        let header = gateway
            .auth
            .trusted_proxy
            .as_ref()
            .map_or("", |proxy| proxy.user_header.trim());
        if header.is_empty() {
            wrong(
                "gateway.auth.trustedProxy.userHeader",
                "is missing; mode \"trusted-proxy\" needs it",
            );
        }
    }
    if let Some(url) = &gateway.remote.url
        && !(url.starts_with("ws://") || url.starts_with("wss://"))
    {
        wrong("gateway.remote.url", "must begin with ws:// or wss://");
    }
    if let Some(base) = &gateway.control_ui.base_path
        && !is_base_path(base)
    {
        wrong(
            "gateway.controlUi.basePath",
            "must begin with / and hold only letters, digits, - _ . ~ and single slashes",
        );
    }
    let ssh = match &gateway.nodes.pairing.ssh_verify {
        Some(SshVerify::Settings { cidrs, .. }) => cidrs.as_slice(),
        _ => &[],
    };
    let networks = [
        ("gateway.trustedProxies", gateway.trusted_proxies.as_slice()),
        (
            "gateway.nodes.pairing.autoApproveCidrs",
            gateway.nodes.pairing.auto_approve_cidrs.as_slice(),
        ),
        ("gateway.nodes.pairing.sshVerify.cidrs", ssh),
    ];
    for (path, list) in networks {
        for (index, network) in list
            .iter()
            .enumerate()
            .filter(|(_, network)| !is_network(network))
        {
            let message = format!("{network:?} is not an address or a network such as 10.0.0.0/8");
            issues.push(Issue::new(push_index(path, index), message));
        }
    }
}

fn check_agents(config: &Config, issues: &mut Vec<Issue>) {
    let mut seen = BTreeSet::new();
    for (index, entry) in config.agents.list.iter().enumerate() {
        let place = format!("{}.id", push_index("agents.list", index));
        match &entry.id {
            None => issues.push(Issue::new(place, "is missing")),
            Some(id) if !seen.insert(id) => {
                issues.push(Issue::new(place, format!("{id:?} is there twice")));
            }
            Some(_) => {}
        }
    }
}

fn check_providers(config: &Config, issues: &mut Vec<Issue>) {
    for (id, provider) in &config.models.providers {
        let base = push_key("models.providers", id);
        if provider
            .base_url
            .as_deref()
            .is_some_and(|url| !is_http(url))
        {
            issues.push(Issue::new(
                format!("{base}.baseUrl"),
                "must begin with http:// or https://",
            ));
        }
        for (index, model) in provider.models.iter().enumerate() {
            let place = push_index(&format!("{base}.models"), index);
            if model.id.trim().is_empty() {
                issues.push(Issue::new(format!("{place}.id"), "is missing"));
            }
            if model.base_url.as_deref().is_some_and(|url| !is_http(url)) {
                issues.push(Issue::new(
                    format!("{place}.baseUrl"),
                    "must begin with http:// or https://",
                ));
            }
        }
    }
}

/// An address without a scheme is allowed: the model client adds the one that fits the host.
fn is_http(url: &str) -> bool {
    let scheme = url
        .split_once("://")
        .map(|(scheme, _)| scheme.to_ascii_lowercase());
    !url.trim().is_empty() && scheme.is_none_or(|scheme| scheme == "http" || scheme == "https")
}

/// A path that means the same in an address, in a page and to the router.
fn is_base_path(base: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.~".contains(c);
    let part = |part: &str| !matches!(part, "" | "." | "..") && part.chars().all(fine);
    let inner = base
        .strip_prefix('/')
        .map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    base.is_empty() || base == "/" || inner.is_some_and(|inner| inner.split('/').all(part))
}

/// An address, or an address with a prefix length that fits it.
fn is_network(text: &str) -> bool {
    let (address, prefix) = text
        .trim()
        .split_once('/')
        .map_or((text.trim(), None), |(a, p)| (a, Some(p)));
    let Ok(address) = address.parse::<IpAddr>() else {
        return false;
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    prefix.is_none_or(|prefix| prefix.parse::<u8>().is_ok_and(|length| length <= most))
}
