//! The configuration read again with SIGHUP: all of it or nothing, with every request going on.

pub mod load;
mod refused;
mod settings;
mod signals;
mod upstreams;

use std::fs;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::harness::binary::CONFIG;
use crate::harness::{Binary, Request, eventually};

/// How many times the configuration was read again, or refused.
fn outcomes(log: &str) -> usize {
    log.matches("reloaded mcpd.toml: ").count() + log.matches("the configuration was not reloaded").count()
}

/// Reads it again; returns what the log said of that.
fn reread(binary: &Binary) -> String {
    let before = binary.log();
    binary.signal("HUP");
    let told = || outcomes(&binary.log()) > outcomes(&before);
    eventually("the configuration is read again", told);
    // A warning comes behind.
    binary.call(&binary.default_key(), Request::get("/v1/key"));
    binary.log().split_off(before.len())
}

/// Writes the file anew and has it read.
fn reload(binary: &Binary, toml: &str) -> String {
    write(binary, toml);
    reread(binary)
}

fn write(binary: &Binary, toml: &str) {
    fs::write(binary.path("mcpd.toml"), format!("{CONFIG}{toml}")).unwrap();
}

/// Makes a key with these settings, besides a name and all scopes.
fn key(binary: &Binary, settings: Value) -> String {
    let mut body = json!({"name": "test", "scopes": ["*"]});
    for (name, value) in settings.as_object().unwrap() {
        body[name] = value.clone();
    }
    let made = binary.admin(Request::post("/admin/v1/keys", &body)).expect(201).json();
    made["key"].as_str().unwrap().to_owned()
}

fn upstream(name: &str, address: SocketAddr, more: &str) -> String {
    format!("[[upstreams]]\nname = \"{name}\"\nkind = \"openai\"\nbase_url = \"http://{address}\"\n{more}\n")
}
