//! Data and rules that need no socket, no SQL and no clock: what a key is and what it may do.

pub mod advice;
pub mod alphabet;
pub mod audit;
pub mod context;
pub mod digest;
pub mod file;
pub mod hex;
pub mod histogram;
pub mod id;
pub mod key;
pub mod metadata;
pub mod migration;
pub mod models;
pub mod network;
pub mod plan;
pub mod scope;
pub mod sighting;
pub mod signature;
pub mod time;
pub mod token;
pub mod usage;
pub mod window;
