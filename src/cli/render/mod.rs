//! Answers as text for people. Pure: an answer and the time in, text out; the golden texts of the
//! tests are what a person sees.

pub mod agent;
pub mod audit;
pub mod channels;
pub mod cron;
pub mod devices;
pub mod health;
pub mod json;
pub mod limits;
pub mod logs;
pub mod migrate;
pub mod models;
pub mod nodes;
pub mod sessions;
pub mod setup_code;
pub mod status;
pub mod system;
pub mod table;
pub mod text;
pub mod time;
pub mod usage;
pub mod wrap;

/// How an answer may look.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Whether colours help.
    pub colour: bool,
    /// Columns of the terminal; `None` when nobody looks at one.
    pub width: Option<u16>,
    /// Milliseconds since the epoch.
    pub now_ms: u64,
}
