//! The gateway in the local network: announced as `_openclaw-gw._tcp` by multicast DNS, and looked for.
//!
//! Nothing of it proves anything: everybody in a network can announce anything. What is found is shown to
//! a person, and no pin, no secret and no connection follows from it.

mod beacon;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use mdns_sd::{IfKind, ServiceDaemon, ServiceEvent, ServiceInfo};

use crate::config::Config;
use crate::config::gateway::Bind;
use beacon::Beacon;
pub(crate) use beacon::Facts;

/// The kind of service.
const KIND: &str = "_openclaw-gw._tcp.local.";
/// Most gateways that are listed.
const MAX_FOUND: usize = 256;
/// Longest wait for the goodbye.
const GOODBYE: Duration = Duration::from_millis(500);

/// An announcement; it lasts until [`Announced::end`].
pub(crate) struct Announced {
    daemon: ServiceDaemon,
    name: String,
}

/// Announces the gateway where the configuration says so. What fails is logged: a gateway that is not found
/// by itself is reached by its address.
pub(crate) fn announce(
    config: &Config,
    env: impl Fn(&str) -> Option<String>,
    facts: &Facts,
) -> Option<Announced> {
    let plan = beacon::plan(config, env, facts)?;
    match register(&plan) {
        Ok(announced) => {
            tracing::info!(name = plan.name, "announced in the local network by mDNS");
            Some(announced)
        }
        Err(error) => {
            tracing::warn!(%error, "cannot be announced in the local network (discovery.mdns.mode \"off\" leaves it)");
            None
        }
    }
}

fn register(plan: &beacon::Plan) -> mdns_sd::Result<Announced> {
    let daemon = ServiceDaemon::new()?;
    daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6])?;
    let address = plan.only_on.map_or_else(String::new, |ip| ip.to_string());
    let mut info = ServiceInfo::new(
        KIND,
        &plan.name,
        &format!("{}.", plan.host),
        address.as_str(),
        plan.port,
        plan.txt.as_slice(),
    )?;
    if let Some(ip) = plan.only_on {
        info.set_interfaces(vec![IfKind::Addr(ip)]);
    } else {
        // The gateway listens on 0.0.0.0, which takes no IPv6.
        daemon.disable_interface(IfKind::IPv6)?;
        info = info.enable_addr_auto();
    }
    let name = info.get_fullname().to_owned();
    daemon.register(info)?;
    Ok(Announced { daemon, name })
}

impl Announced {
    /// Says goodbye, so that lists forget it at once.
    pub(crate) async fn end(self) {
        let goodbye = tokio::task::spawn_blocking(move || {
            // Whoever does not hear it forgets the gateway two minutes later.
            if let Ok(said) = self.daemon.unregister(&self.name) {
                let _ = said.recv_timeout(GOODBYE);
            }
            let _ = self.daemon.shutdown();
        });
        let _ = goodbye.await;
    }
}

/// Which address of a configuration is announced; `None` for all of the network's.
fn only_on(config: &Config) -> Option<IpAddr> {
    let gateway = &config.gateway;
    let host = gateway.custom_bind_host.as_deref();
    let host = host.filter(|_| gateway.bind == Bind::Custom)?;
    let host: IpAddr = host.parse().ok()?;
    (!host.is_unspecified() && !host.is_loopback()).then_some(host)
}

/// Looks for gateways this long. Blocks.
///
/// # Errors
///
/// When this host cannot listen for announcements.
pub(crate) fn find(limit: Duration) -> Result<Vec<Beacon>, String> {
    let failed = |error: mdns_sd::Error| error.to_string();
    let until = Instant::now() + limit;
    let daemon = ServiceDaemon::new().map_err(failed)?;
    let events = daemon.browse(KIND).map_err(failed)?;
    let mut found = BTreeMap::new();
    while let Ok(event) = events.recv_deadline(until) {
        match event {
            ServiceEvent::ServiceResolved(service)
                if found.len() < MAX_FOUND || found.contains_key(&service.fullname) =>
            {
                found.insert(service.fullname.clone(), Beacon::of(&service));
            }
            ServiceEvent::ServiceRemoved(_, name) => drop(found.remove(&name)),
            _ => {}
        }
    }
    // It ends with the program otherwise.
    let _ = daemon.shutdown();
    Ok(found.into_values().collect())
}
