//! `diagnostics`: who else is told how the gateway works.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a collector listens that nobody configured.
const COLLECTOR: &str = "http://localhost:4318";
/// How often figures leave, where nobody says.
const INTERVAL: Duration = Duration::from_mins(1);
/// The least time between two of them.
const SHORTEST: Duration = Duration::from_secs(1);

/// `diagnostics`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Diagnostics {
    /// `false` switches all of it off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Export to an OpenTelemetry collector; a program that was built without the feature `otlp` says so.
    pub otel: Otel,
}

/// `diagnostics.otel`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Otel {
    /// Whether anything is exported.
    pub enabled: bool,
    /// The collector's address; `/v1/metrics` and `/v1/traces` are put behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The whole address for traces, where it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traces_endpoint: Option<String>,
    /// The whole address for figures, where it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_endpoint: Option<String>,
    /// `http/protobuf`, which is the only one that is spoken here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Sent along, such as a key of the collector.
    pub headers: BTreeMap<String, String>,
    /// What the collector calls this gateway; `openclaw` when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    /// Whether runs are exported; they are, when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traces: Option<bool>,
    /// Whether figures are exported; they are, when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<bool>,
    /// How often figures leave, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flush_interval_ms: Option<u64>,
}

/// What is exported, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Where figures go.
    pub metrics: Option<String>,
    /// Where runs go.
    pub traces: Option<String>,
    /// Sent along.
    pub headers: BTreeMap<String, String>,
    /// The gateway's name.
    pub service: String,
    /// How often.
    pub interval: Duration,
}

impl Diagnostics {
    /// Whether the configuration asks for an export.
    pub fn wanted(&self) -> bool {
        self.otel.enabled && self.enabled != Some(false)
    }

    /// The export that it asks for; `None` also where it asks for a protocol that is not spoken.
    pub fn export(&self) -> Option<Export> {
        if !self.wanted() || self.unspoken().is_some() {
            return None;
        }
        let otel = &self.otel;
        let base = otel.endpoint.as_deref().unwrap_or(COLLECTOR);
        let base = base.trim_end_matches('/');
        let to = |on: Option<bool>, own: &Option<String>, path: &str| {
            let whole = || {
                if base.ends_with(path) {
                    base.to_owned()
                } else {
                    format!("{base}{path}")
                }
            };
            (on != Some(false)).then(|| own.clone().unwrap_or_else(whole))
        };
        let interval = otel
            .flush_interval_ms
            .map_or(INTERVAL, Duration::from_millis);
        Some(Export {
            metrics: to(otel.metrics, &otel.metrics_endpoint, "/v1/metrics"),
            traces: to(otel.traces, &otel.traces_endpoint, "/v1/traces"),
            headers: otel.headers.clone(),
            service: otel
                .service_name
                .clone()
                .unwrap_or_else(|| "openclaw".to_owned()),
            interval: interval.max(SHORTEST),
        })
    }

    /// A protocol that is asked for and not spoken.
    pub fn unspoken(&self) -> Option<&str> {
        let protocol = self.otel.protocol.as_deref();
        protocol.filter(|protocol| *protocol != "http/protobuf")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Diagnostics {
        json5::from_str(text).unwrap()
    }

    #[test]
    fn paths_stand_behind_the_address_unless_they_are_named() {
        assert_eq!(read("{}").export(), None);
        assert_eq!(
            read("{ enabled: false, otel: { enabled: true } }").export(),
            None
        );
        let plain = read("{ otel: { enabled: true, flushIntervalMs: 0 } }")
            .export()
            .unwrap();
        assert_eq!(
            plain.metrics.as_deref(),
            Some("http://localhost:4318/v1/metrics")
        );
        assert_eq!(
            plain.traces.as_deref(),
            Some("http://localhost:4318/v1/traces")
        );
        assert_eq!(
            (plain.interval, plain.service.as_str()),
            (SHORTEST, "openclaw")
        );
        let own = read(
            "{ otel: { enabled: true, endpoint: 'https://c.example/otlp/', metrics: false, tracesEndpoint: 'https://t.example/x' } }",
        );
        let own = own.export().unwrap();
        assert_eq!(
            (own.metrics, own.traces.as_deref()),
            (None, Some("https://t.example/x"))
        );
    }

    #[test]
    fn a_protocol_that_is_not_spoken_exports_nothing() {
        let other = read("{ otel: { enabled: true, protocol: 'grpc' } }");
        assert_eq!((other.export(), other.unspoken()), (None, Some("grpc")));
        assert!(
            read("{ otel: { enabled: true, protocol: 'http/protobuf' } }")
                .export()
                .is_some()
        );
    }
}
