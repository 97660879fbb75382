//! Integration tests over real sockets, against the server in this process or the binary itself.

mod harness;

mod access;
mod addresses;
mod limits;
mod anthropic_upstream;
mod failover;
mod openai_upstream;
mod signing;
mod admin;
mod keys;
mod smoke;
mod streams;
mod startup;
mod usage;
