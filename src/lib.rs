//! API keys in front of your own AI server.
//!
//! A request is followed from the socket through [`http::public`], the [`gate`] and a handler in [`api`] to
//! an [`upstream`]; read those four first. `ARCHITECTURE.md` has the map.

pub mod admin;
pub mod alerts;
pub mod api;
pub mod cli;
pub mod clock;
pub mod config;
pub mod contexts;
pub mod dashboard;
pub mod domain;
pub mod files;
pub mod gate;
pub mod http;
pub mod keeper;
pub mod keys;
pub mod latest;
pub mod meter;
pub mod nice;
pub mod pulse;
pub mod roots;
pub mod server;
pub mod store;
pub mod upstream;
