//! Event names, payloads, and who may receive them.
