//! Integration tests over real sockets, against the server in this process or the binary itself.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::needless_pass_by_value, reason = "a JSON literal is handed over where it is written")]

mod harness;

mod abandoned;
mod access;
mod activated;
mod addresses;
mod admin;
mod alerts;
mod anthropic_upstream;
mod audit;
mod backup;
mod churn;
mod cli;
mod contexts;
mod daemon;
mod dashboard;
mod deleted_keys;
mod dependencies;
mod errors;
mod explain;
mod failover;
mod faults;
mod files;
mod grafana;
mod idempotency;
mod keys;
mod limits;
mod odd_clients;
mod odd_upstreams;
mod openai_upstream;
mod reload;
mod report_only;
mod restored;
mod secrecy;
mod security_review;
mod shutdown;
mod signing;
mod smoke;
mod startup;
mod stepped_clock;
mod storage;
mod streams;
mod supervised;
mod tls;
mod usage;
