//! The export to OpenTelemetry, read by the official types of its protocol (Python package `opentelemetry-proto`).
//!
//! `OPENCLAW_OTLP_PYTHON` is a Python that has them: see tests/deep/features.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::chat::message;
use crate::harness::child::{Gateway, Home, config};
use crate::harness::model::Model;
use crate::harness::soon;

struct Collector {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Collector {
    async fn start() -> (Self, u64) {
        let python = std::env::var("OPENCLAW_OTLP_PYTHON").unwrap_or_else(|_| "python3".into());
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/integration/otlp/receiver.py"
        );
        let mut child = Command::new(python)
            .arg(script)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Python runs");
        let stdout = child.stdout.take().expect("a pipe");
        let mut collector = Self {
            _child: child,
            lines: BufReader::new(stdout).lines(),
        };
        let port = collector.next().await["port"].as_u64().expect("a port");
        (collector, port)
    }

    async fn next(&mut self) -> Value {
        let line = soon("a request to the collector", self.lines.next_line()).await;
        let line = line.expect("text").expect("the collector runs");
        serde_json::from_str(&line).expect("JSON")
    }

    /// The next request on a path for which something holds.
    async fn until(&mut self, path: &str, mut fits: impl FnMut(&Value) -> bool) -> Value {
        soon("what was waited for", async {
            loop {
                let request = self.next().await;
                if request["path"] == path && fits(&request["body"]) {
                    return request;
                }
            }
        })
        .await
    }
}

fn metric<'a>(body: &'a Value, name: &str) -> Option<&'a Value> {
    let all = body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array()?;
    all.iter().find(|metric| metric["name"] == name)
}

/// Value of the point with this label; of the only one without.
fn point(data: &Value, label: Option<(&str, &str)>) -> Option<f64> {
    let points = data["dataPoints"].as_array()?;
    let point = points.iter().find(|point| {
        label.is_none_or(|(key, value)| {
            point["attributes"][0] == json!({ "key": key, "value": { "stringValue": value } })
        })
    })?;
    // A zero is what protocol buffers leave out, and their JSON too.
    Some(point["asDouble"].as_f64().unwrap_or(0.0))
}

fn attribute(holder: &Value, key: &str) -> Option<String> {
    let all = holder["attributes"].as_array()?;
    let found = all.iter().find(|attribute| attribute["key"] == key)?;
    found["value"]["stringValue"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn a_collector_reads_figures_and_runs_and_the_last_of_them_at_the_end() {
    let (mut collector, port) = Collector::start().await;
    let mut model = Model::start().await;
    let mut settings = config(&model);
    settings["diagnostics"] = json!({ "otel": {
        "enabled": true, "endpoint": format!("http://127.0.0.1:{port}"), "protocol": "http/protobuf",
        "headers": { "x-key": "planted" }, "serviceName": "attic", "flushIntervalMs": 1_000,
    } });
    let home = Home::with(&settings);
    let gateway = Gateway::start(&home).await;
    let mut owner = gateway.client().await;
    owner
        .call(
            "chat.send",
            message("secret-chat", "planted words", "run-1"),
        )
        .await;
    let mut asked = model.asked().await;
    asked.text("an answer").await;
    asked.done().await;
    owner.chat("run-1", "final").await;

    let request = collector.until("/v1/traces", |_| true).await;
    assert_eq!(request["type"], "application/x-protobuf");
    assert_eq!(
        (&request["key"], &request["whole"]),
        (&json!("planted"), &json!(true))
    );
    let spans = &request["body"]["resourceSpans"][0];
    assert_eq!(
        attribute(&spans["resource"], "service.name").as_deref(),
        Some("attic")
    );
    let span = &spans["scopeSpans"][0]["spans"][0];
    assert_eq!(span["name"], "openclaw.run", "{span}");
    assert_eq!(span["status"]["code"], "STATUS_CODE_OK", "{span}");
    for (key, value) in [
        ("openclaw.run_id", "run-1"),
        ("openclaw.agent", "main"),
        ("openclaw.end", "ok"),
        ("gen_ai.system", "scripted"),
        ("gen_ai.request.model", "m1"),
    ] {
        assert_eq!(attribute(span, key).as_deref(), Some(value), "{span}");
    }
    let nanos = |key: &str| span[key].as_str().and_then(|text| text.parse::<u64>().ok());
    let (from, to) = (nanos("startTimeUnixNano"), nanos("endTimeUnixNano"));
    assert!(
        from.is_some_and(|from| from > 1_600_000_000_000_000_000) && from <= to,
        "{span}"
    );
    let all = request.to_string();
    assert!(
        !all.contains("planted words") && !all.contains("secret-chat"),
        "{all}"
    );

    let request = collector
        .until("/v1/metrics", |body| {
            let runs = metric(body, "openclaw_runs_total");
            let ok = runs.and_then(|runs| point(&runs["sum"], Some(("end", "ok"))));
            ok.is_some_and(|ok| ok > 0.5)
        })
        .await;
    assert_eq!(request["whole"], true);
    let body = &request["body"];
    let runs = &metric(body, "openclaw_runs_total").expect("it is there")["sum"];
    assert_eq!(
        (&runs["aggregationTemporality"], &runs["isMonotonic"]),
        (&json!("AGGREGATION_TEMPORALITY_CUMULATIVE"), &json!(true))
    );
    let connections = metric(body, "openclaw_connections").expect("it is there");
    assert!(point(&connections["gauge"], None).is_some_and(|open| open > 0.5));
    let memory = metric(body, "process_resident_memory_bytes").expect("it is there");
    assert_eq!(memory["unit"], "By");

    // What ends with the gateway is told, too.
    owner
        .call("chat.send", message("secret-chat", "again", "run-2"))
        .await;
    let mut asked = model.asked().await;
    gateway.terminate();
    owner.until(|frame| frame["event"] == "shutdown").await;
    asked.text("the last").await;
    asked.done().await;
    let (status, said) = gateway.ended().await;
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(!said.contains("planted"), "{said}");
    collector
        .until("/v1/traces", |body| {
            let spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array();
            spans.is_some_and(|spans| {
                spans
                    .iter()
                    .any(|span| attribute(span, "openclaw.run_id").as_deref() == Some("run-2"))
            })
        })
        .await;
}

#[tokio::test]
async fn a_collector_that_is_not_there_costs_a_line_and_nothing_else() {
    let model = Model::echoing().await;
    let mut settings = config(&model);
    settings["diagnostics"] = json!({ "otel": {
        "enabled": true, "endpoint": "http://127.0.0.1:9", "flushIntervalMs": 1_000,
    } });
    let home = Home::with(&settings);
    let mut gateway = Gateway::start(&home).await;
    let mut owner = gateway.client().await;
    let line = gateway.says("diagnostics.otel").await;
    assert!(
        line.contains("http://127.0.0.1:9/v1/") && line.contains("refused"),
        "{line}"
    );
    owner.call("chat.send", message("main", "one", "k1")).await;
    owner.chat("k1", "final").await;
    gateway.terminate();
    let (status, said) = gateway.ended().await;
    assert_eq!(status.code(), Some(0), "{said}");
    let told = said.matches("does not take what is sent").count();
    assert_eq!(told, 1, "{said}");
}
