//! The whole daemon, in this process on port 0 and as the built program, with raw clients that see
//! every frame.

mod admission;
mod agent;
mod attachments;
mod attacks;
mod audit;
mod chat;
mod commands;
mod compaction;
mod config_writes;
mod connections;
mod corpora;
mod floods;
mod handshake;
mod harness;
mod http;
mod idempotency;
mod kill;
mod lanes;
mod lockout;
mod models;
mod modes;
mod namespaces;
mod node_invoke;
mod nodes;
mod openai;
mod openssl;
mod pairing;
mod process;
mod queue;
mod refusals;
mod reload;
mod sessions;
mod slow;
mod starts;
mod terminal;
