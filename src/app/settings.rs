//! From the configuration to what the actors need of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openclaw_actors::agent::model::thinking::Thinking;
use openclaw_actors::canvas::CanvasSettings;
use openclaw_actors::dedupe::state::Bounds;
use openclaw_actors::gate::{AuthMode as GateMode, GateSettings, Served};
use openclaw_actors::limiter::failures::RateLimit;
use openclaw_actors::media::Limits;
use openclaw_actors::node::policy::CommandPolicy;
use openclaw_actors::pairing::reach::{Listens, Reach};
use openclaw_actors::session::peer::{Proxies, ProxyRules};
use openclaw_actors::sessions::freshness::{ResetRule, ResetRules};
use openclaw_actors::sessions::passing::Passing;
use openclaw_actors::sessions::route::RouteSettings;
use openclaw_actors::settings::{
    AgentSettings, CronSettings, HttpEndpoints, QueueSettings, Retention, Settings,
};
use openclaw_protocol::methods::agents::{AgentIdentity, AgentModel, AgentSummary};
use serde_json::{Value, json};

use crate::config::agents::AgentEntry;
use crate::config::auth::ResolvedAuth;
use crate::config::bindings;
use crate::config::channels;
use crate::config::gateway::{
    AuthMode, Bind, Gateway, RateLimit as RateLimitConfig, TailscaleMode, TrustedProxy,
};
use crate::config::messages::Drop;
use crate::config::models::AuthProfiles;
use crate::config::redact::ConfigSnapshot;
use crate::config::session::{Age, MaintenanceMode, Reset, ResetMode, Session, SessionScope};
use crate::config::{Config, Environment, Loaded};

mod models;

/// Most runs that wait, over all sessions.
const MAX_QUEUED: usize = 1_000;

/// The settings of a loaded configuration.
pub fn settings(loaded: &Loaded, env: &Environment<'_>, profiles: &AuthProfiles) -> Settings {
    let config = &loaded.config;
    let agents = config.agents.all();
    let defaults = &config.agents.defaults;
    Settings {
        agents: agents
            .iter()
            .map(|(id, entry)| agent(loaded, env, profiles, id, entry))
            .collect(),
        default_agent: config.agents.default_id(),
        main_key: config.session.main_key.clone(),
        global_scope: config.session.scope == SessionScope::Global,
        routes: RouteSettings {
            dm_scope: config.session.dm_scope.into(),
            group_scope: config.session.group_scope.into(),
            identity_links: config.session.identity_links.clone(),
            bindings: bindings::routes(&config.bindings, &config.agents),
        },
        resets: resets(&config.session),
        max_concurrent: usize::try_from(defaults.max_concurrent).unwrap_or(1),
        max_queued: MAX_QUEUED,
        queue: QueueSettings {
            mode: config.messages.queue.mode.into(),
            cap: usize::from(config.messages.queue.cap),
            refuse: config.messages.queue.drop == Drop::New,
            debounce: Duration::from_millis(config.messages.queue.debounce_ms.into()),
        },
        hooks: config.hooks.settings().map(Arc::new),
        http_tools_denied: config.gateway.tools.denied(),
        queue_modes: by_channel(&config.messages.queue.by_channel, Into::into),
        queue_rests: by_channel(&config.messages.queue.debounce_ms_by_channel, |ms| {
            Duration::from_millis(ms.0.into())
        }),
        reset_triggers: triggers(&config.session),
        run_timeout: Duration::from_secs(if defaults.timeout_seconds == 0 {
            u64::from(u32::MAX)
        } else {
            defaults.timeout_seconds
        }),
        models: models::told(loaded, env, profiles),
        catalogue: models::catalogue(loaded, env, profiles),
        config_get: config_get(loaded),
        retention: Retention {
            audit: Duration::from_hours(u64::from(config.store.retention.audit_days) * 24),
            keys: Bounds {
                keys: usize::try_from(config.store.retention.idempotency_keys)
                    .unwrap_or(usize::MAX),
                age: Duration::from_hours(u64::from(config.store.retention.idempotency_hours)),
            },
            ..Retention::default()
        },
        nodes: CommandPolicy::new(
            config.gateway.nodes.allowed(),
            config.gateway.nodes.denied(),
        ),
        cron: CronSettings {
            enabled: config.cron.enabled,
            keep: u64::from(config.store.retention.cron_runs_per_job),
            misfires: Arc::new(config.cron.misfires()),
            alerts: Arc::new(config.cron.alerts()),
            webhook: Arc::new(config.cron.webhook()),
        },
        passing: passing(config),
        log_file: Some(crate::telemetry::log_file(loaded)),
        reach: reach(&config.gateway),
        http: HttpEndpoints {
            chat_completions: config.gateway.http.endpoints.chat_completions.enabled,
            responses: config.gateway.http.endpoints.responses.enabled,
        },
        mcp: config.mcp.settings(&loaded.paths),
        attachments: defaults
            .media_max_mb
            .map_or_else(Limits::default, Limits::megabytes),
        channels: Arc::new(channels::settings(loaded, env)),
        canvas: canvas(loaded),
    }
}

fn canvas(loaded: &Loaded) -> CanvasSettings {
    let (config, paths) = (&loaded.config.canvas_host, &loaded.paths);
    let root = config.root.as_deref().unwrap_or("canvas");
    CanvasSettings {
        enabled: config.enabled,
        root: paths.expand(root, &paths.state_dir),
        live_reload: config.live_reload,
        allow_loopback_read: config.allow_loopback_read,
    }
}

/// How long conversations stay that programs began.
fn passing(config: &Config) -> Passing {
    let maintenance = &config.session.maintenance;
    if maintenance.mode == MaintenanceMode::Warn {
        return Passing::FOR_EVER;
    }
    // What cannot be read was refused before.
    let age = |age: &Age| age.duration().unwrap_or_default();
    Passing {
        requests: age(&maintenance.prune_after),
        most: usize::try_from(maintenance.max_entries).unwrap_or(usize::MAX),
        jobs: age(&config.cron.session_retention),
    }
}

/// What channels have for themselves.
fn by_channel<T: Copy, U>(own: &BTreeMap<String, T>, of: impl Fn(T) -> U) -> BTreeMap<String, U> {
    own.iter()
        .map(|(channel, value)| (channel.trim().to_lowercase(), of(*value)))
        .collect()
}

/// What people write to begin anew.
fn triggers(session: &Session) -> Vec<String> {
    let written = session.reset_triggers.iter();
    let small = written.map(|trigger| trigger.trim().to_lowercase());
    small.filter(|trigger| !trigger.is_empty()).collect()
}

/// When conversations begin anew by themselves; never, where nothing says so.
fn resets(session: &Session) -> ResetRules {
    let general = session.reset.as_ref().map(rule);
    let older = session.idle_minutes.map(|minutes| ResetRule {
        daily_at: None,
        idle: Some(minutes_of(minutes)),
    });
    let all = |rules: &BTreeMap<String, Reset>| {
        let rules = rules.iter().map(|(name, reset)| {
            let name = if name == "dm" { "direct" } else { name };
            (name.to_owned(), rule(reset))
        });
        rules.collect()
    };
    ResetRules {
        general: general.or(older).unwrap_or_default(),
        by_kind: all(&session.reset_by_type),
        by_channel: all(&session.reset_by_channel),
        zone: jiff::tz::TimeZone::system(),
    }
}

fn rule(reset: &Reset) -> ResetRule {
    /// Of the daily reset where none is named.
    const HOUR: u8 = 4;
    /// Of the idle reset where none is named.
    const MINUTES: u64 = 60;
    let idle = reset.idle_minutes.map(minutes_of);
    match reset.mode {
        Some(ResetMode::None) => ResetRule::default(),
        Some(ResetMode::Idle) => ResetRule {
            daily_at: None,
            idle: idle.or_else(|| Some(minutes_of(MINUTES))),
        },
        Some(ResetMode::Daily) => ResetRule {
            daily_at: Some(reset.at_hour.unwrap_or(HOUR)),
            idle,
        },
        None => ResetRule {
            daily_at: reset.at_hour,
            idle,
        },
    }
}

const fn minutes_of(minutes: u64) -> Duration {
    Duration::from_secs(minutes.saturating_mul(60))
}

/// How others reach this gateway.
fn reach(gateway: &Gateway) -> Reach {
    Reach {
        public_origin: gateway.public_origin.clone(),
        remote_url: gateway.remote.url.clone(),
        secure: gateway.tls.enabled,
        listens: match gateway.bind {
            Bind::Loopback | Bind::Auto => Listens::Loopback,
            Bind::Tailnet => Listens::Tailnet,
            Bind::Lan => Listens::Everywhere,
            Bind::Custom => gateway
                .custom_bind_host
                .as_deref()
                .and_then(|host| host.parse().ok())
                .map_or(Listens::Everywhere, Listens::On),
        },
    }
}

fn agent(
    loaded: &Loaded,
    env: &Environment<'_>,
    profiles: &AuthProfiles,
    id: &str,
    entry: &AgentEntry,
) -> AgentSettings {
    let config = &loaded.config;
    let defaults = &config.agents.defaults;
    let chosen = config.agents.models_of(id);
    let identity = entry.identity.clone().or_else(|| defaults.identity.clone());
    let primary = chosen
        .primary
        .clone()
        .unwrap_or_else(|| "openclaw/echo".to_owned());
    let thinking = entry.thinking_default.or(defaults.thinking_default);
    let thinking = thinking.map(Into::into);
    AgentSettings {
        id: id.to_owned(),
        row: AgentSummary {
            id: id.to_owned(),
            name: entry.name.clone(),
            identity: identity.map(|identity| AgentIdentity {
                name: identity.name,
                theme: identity.theme,
                emoji: identity.emoji,
                avatar: identity.avatar,
                avatar_url: None,
            }),
            workspace: Some(workspace(loaded, id, entry).display().to_string()),
            model: AgentModel {
                primary,
                fallbacks: (!chosen.fallbacks.is_empty()).then(|| chosen.fallbacks.clone()),
            },
            thinking_default: thinking.map(|level: Thinking| level.name().to_owned()),
        },
        model: models::plan(loaded, env, profiles, id),
        thinking,
        system_prompt: defaults.additional_system_prompt.clone(),
        workspace: Some(workspace(loaded, id, entry)),
        tools: config.tools.policy(&entry.tools),
        heartbeat: config.agents.heartbeat_of(id, entry),
    }
}

/// The folder of an agent: its own, the one for all, or the usual place in the state directory.
fn workspace(loaded: &Loaded, id: &str, entry: &AgentEntry) -> PathBuf {
    let agents = &loaded.config.agents;
    let is_default = agents.default_id() == id;
    let paths = &loaded.paths;
    match (&entry.workspace, &agents.defaults.workspace) {
        (Some(own), _) => paths.expand(own, &paths.state_dir),
        (None, Some(all)) if is_default => paths.expand(all, &paths.state_dir),
        // Agents do not share a folder by accident.
        (None, Some(all)) => paths.expand(all, &paths.state_dir).join(id),
        (None, None) if is_default => paths.state_dir.join("workspace"),
        (None, None) => paths.state_dir.join(format!("workspace-{id}")),
    }
}

/// The answer of `config.get`.
fn config_get(loaded: &Loaded) -> Value {
    let snapshot = ConfigSnapshot::of(loaded);
    let mut value = serde_json::to_value(&snapshot).unwrap_or_else(|_| json!({}));
    if let Value::Object(object) = &mut value {
        object.insert("legacyIssues".into(), json!([]));
        object.insert("appliedConfigHash".into(), json!(snapshot.hash));
    }
    value
}

/// What handshakes are judged by.
///
/// # Errors
///
/// A mode that is configured and not built in yet, by name.
pub fn gate(loaded: &Loaded, auth: &ResolvedAuth) -> Result<GateSettings, String> {
    let gateway = &loaded.config.gateway;
    let mode = match (auth.mode, &auth.token, &auth.password) {
        (AuthMode::Token, Some(token), _) => GateMode::Token(token.clone()),
        (AuthMode::Password, _, Some(password)) => GateMode::Password(password.clone()),
        (AuthMode::None, _, _) => GateMode::None,
        (AuthMode::TrustedProxy, _, password) => GateMode::TrustedProxy {
            rules: proxy_rules(gateway.auth.trusted_proxy.as_ref()),
            password: password.clone(),
        },
        (AuthMode::Token | AuthMode::Password, _, _) => {
            return Err("gateway.auth has no secret; set gateway.auth.token".into());
        }
    };
    let proxies = Proxies::parse(&gateway.trusted_proxies, gateway.allow_real_ip_fallback)
        .map_err(|error| format!("gateway.trustedProxies: {error}"))?;
    let control_ui = &gateway.control_ui;
    Ok(GateSettings {
        owner: auth.owner.clone(),
        allow_tailscale: auth.allow_tailscale,
        served: match gateway.tailscale.mode {
            TailscaleMode::Off => Served::No,
            TailscaleMode::Serve => Served::Tailnet,
            TailscaleMode::Funnel => Served::Internet,
        },
        host_origin_fallback: control_ui.dangerously_allow_host_header_origin_fallback,
        allowed_origins: control_ui.allowed_origins.clone(),
        auto_approve_local: gateway.nodes.pairing.auto_approve_local,
        rate_limit: rate_limit(&gateway.auth.rate_limit),
        proxies,
        ..GateSettings::new(mode)
    })
}

/// Header names are compared in lower case, as they arrive.
fn proxy_rules(configured: Option<&TrustedProxy>) -> ProxyRules {
    let lower = |name: &String| name.trim().to_ascii_lowercase();
    configured.map_or_else(ProxyRules::default, |proxy| ProxyRules {
        user_header: lower(&proxy.user_header),
        required_headers: proxy.required_headers.iter().map(lower).collect(),
        allow_users: proxy.allow_users.clone(),
        allow_loopback: proxy.allow_loopback,
    })
}

const fn rate_limit(config: &RateLimitConfig) -> RateLimit {
    RateLimit {
        max_attempts: config.max_attempts,
        window: Duration::from_millis(config.window_ms),
        lockout: Duration::from_millis(config.lockout_ms),
        exempt_loopback: config.exempt_loopback,
    }
}

#[cfg(test)]
mod tests;
