//! `health`, `status`, presence and the gateway's own facts.

mod event;
mod health;
mod presence;
mod status;
