//! `health`, `status`, presence and the gateway's own facts.

mod event;
mod health;
mod last_heartbeat;
mod presence;
mod status;
