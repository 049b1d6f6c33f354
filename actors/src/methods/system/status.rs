//! `status`: the gateway at a glance.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::system::{
    AgentHeartbeat, AgentSessions, Status, StatusGateway, StatusHeartbeat, StatusResult,
    StatusSession, StatusSessions,
};

use crate::call::Caller;
use crate::heartbeat;
use crate::methods::payload;
use crate::session::dispatch::SnapshotMethod;
use crate::views::Views;

impl SnapshotMethod for Status {
    fn read(views: &Views, _: &Caller, _: Self::Params) -> Result<Bytes, ErrorShape> {
        Ok(payload(&status(views)))
    }
}

/// Memory in use, as Linux tells every process of itself; this reads no disk.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// What `status` says.
fn status(views: &Views) -> StatusResult {
    let settings = views.settings.load();
    let sessions = views.sessions.load();
    let config = views.config.load();
    let now = views.places.now_ms();
    let path = views.places.state_dir.clone();
    let rows = |agent: Option<&str>| -> Vec<StatusSession> {
        let rows = sessions
            .recent
            .iter()
            .filter(|row| agent.is_none_or(|agent| row.agent_id.as_deref() == Some(agent)));
        rows.map(|row| StatusSession {
            row: row.clone(),
            age: row.updated_at.0.map(|at| now.saturating_sub(at)).into(),
        })
        .collect()
    };
    let beats = !views.heartbeats.load().off;
    let heartbeats = settings.agents.iter().map(|agent| {
        let shown = heartbeat::shown(agent.heartbeat.as_ref().filter(|_| beats));
        AgentHeartbeat {
            agent_id: agent.id.clone(),
            enabled: shown.enabled,
            every: shown.every,
            every_ms: shown.every_ms,
        }
    });
    let by_agent = settings.agents.iter().map(|agent| AgentSessions {
        agent_id: agent.id.clone(),
        path: path.clone(),
        count: sessions.of_agent(&agent.id),
        recent: rows(Some(&agent.id)),
    });
    StatusResult {
        runtime_version: env!("CARGO_PKG_VERSION").into(),
        heartbeat: StatusHeartbeat {
            default_agent_id: settings.default_agent.clone(),
            agents: heartbeats.collect(),
        },
        channel_summary: Vec::new(),
        queued_system_events: Vec::new(),
        sessions: StatusSessions {
            paths: vec![path.clone()],
            count: sessions.count,
            defaults: settings.model_defaults(),
            recent: rows(None),
            by_agent: by_agent.collect(),
        },
        gateway: Some(StatusGateway {
            config: (config.generation > 0).then(|| (*config).clone()),
            pid: std::process::id(),
            port: views.places.port(),
            uptime_ms: views.places.uptime_ms(),
            connections: views.connections.load(Ordering::Relaxed) as u64,
            active_runs: views
                .runs
                .load()
                .values()
                .map(|runs| runs.len() as u64)
                .sum(),
            rss_bytes: resident_bytes(),
            limits: Some(views.counts.report()),
            store: views.store_note.load().as_ref().clone(),
            tailscale: views.exposure.load().as_ref().clone(),
        }),
    }
}
