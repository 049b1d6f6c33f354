//! What a collector reads: figures and spans in the binary form of OTLP
//! (opentelemetry-proto v1.x, `metrics.proto` and `trace.proto`; the numbers are those of its fields). Pure.

use crate::http::metrics::{Figure, Kind};

/// Cumulative, in `AggregationTemporality`.
const CUMULATIVE: u64 = 2;
/// `SPAN_KIND_INTERNAL`.
const INTERNAL: u64 = 1;

/// A message that is being written.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    fn key(&mut self, field: u32, form: u32) {
        self.varint(u64::from(field << 3 | form));
    }

    fn number(&mut self, field: u32, value: u64) -> &mut Self {
        self.key(field, 0);
        self.varint(value);
        self
    }

    fn fixed(&mut self, field: u32, value: u64) -> &mut Self {
        self.key(field, 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn float(&mut self, field: u32, value: f64) -> &mut Self {
        self.fixed(field, value.to_bits())
    }

    fn bytes(&mut self, field: u32, value: &[u8]) -> &mut Self {
        self.key(field, 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    fn text(&mut self, field: u32, value: &str) -> &mut Self {
        self.bytes(field, value.as_bytes())
    }

    fn message(&mut self, field: u32, write: impl FnOnce(&mut Self)) -> &mut Self {
        let mut inner = Self::default();
        write(&mut inner);
        self.bytes(field, &inner.0)
    }

    /// A `KeyValue` with a text.
    fn attribute(&mut self, field: u32, key: &str, value: &str) -> &mut Self {
        self.message(field, |pair| {
            pair.text(1, key).message(2, |any| {
                any.text(1, value);
            });
        })
    }
}

/// Who exports.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    /// `service.name`.
    pub(super) service: &'a str,
    /// `service.instance.id`: this process.
    pub(super) instance: &'a str,
    /// When it started, nanoseconds since the epoch.
    pub(super) started: u64,
}

impl Origin<'_> {
    /// Resource and scope, which stand before figures as before spans.
    fn around(self, write: impl FnOnce(&mut Message)) -> Vec<u8> {
        let version = env!("CARGO_PKG_VERSION");
        let mut whole = Message::default();
        whole.message(1, |resource_with| {
            resource_with
                .message(1, |resource| {
                    resource
                        .attribute(1, "service.name", self.service)
                        .attribute(1, "service.version", version)
                        .attribute(1, "service.instance.id", self.instance);
                })
                .message(2, |scoped| {
                    scoped.message(1, |scope| {
                        scope.text(1, "openclaw").text(2, version);
                    });
                    write(scoped);
                });
        });
        whole.0
    }
}

/// An `ExportMetricsServiceRequest`.
pub(super) fn metrics(origin: Origin<'_>, figures: &[Figure], now: u64) -> Vec<u8> {
    origin.around(|scoped| {
        for figure in figures {
            scoped.message(2, |metric| {
                metric.text(1, figure.name).text(2, figure.help);
                metric.text(3, unit(figure.name));
                let points = |data: &mut Message| {
                    for (labels, value) in &figure.values {
                        data.message(1, |point| {
                            point
                                .fixed(2, origin.started)
                                .fixed(3, now)
                                .float(4, *value);
                            for (name, content) in labels {
                                point.attribute(7, name, content);
                            }
                        });
                    }
                };
                match figure.kind {
                    Kind::Gauge => metric.message(5, points),
                    Kind::Counter => metric.message(7, |sum| {
                        points(sum);
                        sum.number(2, CUMULATIVE).number(3, 1);
                    }),
                };
            });
        }
    })
}

/// The unit that a figure's name ends with.
fn unit(name: &str) -> &'static str {
    let name = name.trim_end_matches("_total");
    if name.ends_with("_seconds") {
        "s"
    } else if name.ends_with("_bytes") {
        "By"
    } else {
        "1"
    }
}

/// A run as a collector sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    /// 16 bytes of the trace, 8 of the span.
    pub(super) ids: ([u8; 16], [u8; 8]),
    /// What was done.
    pub(super) name: &'static str,
    /// From when to when, nanoseconds since the epoch.
    pub(super) time: (u64, u64),
    /// What is known of it.
    pub(super) attributes: Vec<(&'static str, String)>,
    /// Whether it failed.
    pub(super) failed: bool,
}

/// An `ExportTraceServiceRequest`.
pub(super) fn traces(origin: Origin<'_>, spans: &[Span]) -> Vec<u8> {
    origin.around(|scoped| {
        for span in spans {
            scoped.message(2, |out| {
                out.bytes(1, &span.ids.0).bytes(2, &span.ids.1);
                out.text(5, span.name).number(6, INTERNAL);
                out.fixed(7, span.time.0).fixed(8, span.time.1);
                for (name, content) in &span.attributes {
                    out.attribute(9, name, content);
                }
                // `Status.code`: 1 is well, 2 is not.
                let code = if span.failed { 2 } else { 1 };
                out.message(15, |status| {
                    status.number(3, code);
                });
            });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_specification_of_protocol_buffers_shows_them() {
        let mut message = Message::default();
        message.number(1, 150).text(2, "testing");
        assert_eq!(message.0, b"\x08\x96\x01\x12\x07testing");
        let mut long = Message::default();
        long.number(15, u64::MAX).number(16, 0);
        assert_eq!(
            long.0,
            b"\x78\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x80\x01\x00"
        );
    }

    #[test]
    fn units_come_from_names() {
        assert_eq!(unit("openclaw_run_seconds_total"), "s");
        assert_eq!(unit("process_resident_memory_bytes"), "By");
        assert_eq!(unit("openclaw_connections"), "1");
    }
}
