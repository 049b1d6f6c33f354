//! `/metrics`: figures in the text form of Prometheus.
//!
//! Programs of this host may read them as they are; anybody else needs the gateway's shared secret as
//! Bearer token. They are counts: no name of a person, a session or a device is among them.

use std::fmt::Write as _;

use actix_web::{HttpRequest, HttpResponse, web};
use openclaw_actors::session::peer::Peer;

use super::canvas::asks_by_loopback;
use super::{HttpState, auth, ws};

/// The media type of the text form.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Which way a figure goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Up only, from zero at the start.
    Counter,
    /// Up and down.
    Gauge,
}

/// A figure, with a value for each set of labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Its name, with its unit.
    pub name: &'static str,
    /// What it is.
    pub help: &'static str,
    /// Which way it goes.
    pub kind: Kind,
    /// Its values.
    pub values: Vec<(Vec<(&'static str, String)>, f64)>,
}

impl Figure {
    /// A figure with one value.
    pub fn one(name: &'static str, help: &'static str, kind: Kind, value: f64) -> Self {
        Self {
            name,
            help,
            kind,
            values: vec![(Vec::new(), value)],
        }
    }
}

/// Says how the gateway is, in figures.
pub trait Measured: Send + Sync {
    /// The figures now.
    fn figures(&self) -> Vec<Figure>;
}

pub(super) fn configure(config: &mut web::ServiceConfig) {
    config.route("/metrics", web::get().to(metrics));
}

async fn metrics(request: HttpRequest, state: web::Data<HttpState>) -> HttpResponse {
    let peer = match ws::peer_of(&request, &state).await {
        Ok(peer) => peer,
        Err(refusal) => return refusal,
    };
    if !is_program_here(&peer)
        && let Err(refusal) = auth::enter(&request, &state, "metrics").await
    {
        return refusal;
    }
    HttpResponse::Ok()
        .content_type(TEXT)
        .insert_header(("Cache-Control", "no-store"))
        .body(text(&state.measured.figures()))
}

/// A direct connection of this host that no web page made, not even one whose name was pointed here: such a page
/// sends no origin, but its own name.
fn is_program_here(peer: &Peer) -> bool {
    peer.origin.is_none() && asks_by_loopback(peer)
}

/// The text form.
pub fn text(figures: &[Figure]) -> String {
    let mut out = String::new();
    for figure in figures {
        let kind = match figure.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        // Writing to a `String` cannot fail.
        let _ = writeln!(out, "# HELP {} {}", figure.name, figure.help);
        let _ = writeln!(out, "# TYPE {} {kind}", figure.name);
        for (labels, value) in &figure.values {
            out.push_str(figure.name);
            for (index, (name, content)) in labels.iter().enumerate() {
                out.push(if index == 0 { '{' } else { ',' });
                let _ = write!(out, "{name}=\"{}\"", escaped(content));
            }
            if !labels.is_empty() {
                out.push('}');
            }
            let _ = writeln!(out, " {value}");
        }
    }
    out
}

fn escaped(content: &str) -> String {
    content
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_a_help_a_kind_and_values() {
        let labelled = Figure {
            values: vec![
                (
                    vec![("channel", "a\"b\\c\n".into()), ("account", "d".into())],
                    1.0,
                ),
                (vec![("channel", "e".into()), ("account", "d".into())], 0.25),
            ],
            ..Figure::one("openclaw_x", "How x it is.", Kind::Gauge, 0.0)
        };
        let plain = Figure::one("openclaw_y_total", "How often.", Kind::Counter, 7.0);
        assert_eq!(
            text(&[labelled, plain]),
            "# HELP openclaw_x How x it is.\n# TYPE openclaw_x gauge\n\
             openclaw_x{channel=\"a\\\"b\\\\c\\n\",account=\"d\"} 1\nopenclaw_x{channel=\"e\",account=\"d\"} 0.25\n\
             # HELP openclaw_y_total How often.\n# TYPE openclaw_y_total counter\nopenclaw_y_total 7\n"
        );
    }
}
