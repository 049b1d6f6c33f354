//! `health`, presence and the gateway's own facts.

mod health;
mod presence;
