//! The server itself.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use serde::Serialize;

use super::Call;
use crate::config::Kind;
use crate::domain::time::Timestamp;
use crate::http::ApiError;
use crate::upstream::{Health, ModelServer};

/// What the server is and how it does.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Server")]
pub(super) struct ServerView {
    version: &'static str,
    started_at: String,
    uptime_seconds: u64,
    listeners: ListenersView,
    /// Requests a minute by plan; `null` where each key says its own.
    plans: BTreeMap<String, Option<u32>>,
    default_plan: String,
    upstreams: Vec<UpstreamView>,
    /// How many keys there are, by status.
    keys: BTreeMap<&'static str, usize>,
    database: DatabaseView,
}

#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Listeners")]
struct ListenersView {
    public: Vec<String>,
    admin: String,
    socket: String,
    tls: bool,
}

#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Upstream")]
struct UpstreamView {
    name: String,
    /// `openai`, `anthropic` or `echo`.
    kind: &'static str,
    /// `unknown` until somebody asked it, then `up` or `down`.
    health: &'static str,
    /// When it could not be reached, the last time.
    down_since: Option<String>,
    weight: u32,
    models: Vec<String>,
    /// How requests to it ended.
    requests: BTreeMap<&'static str, u64>,
}

#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Database")]
struct DatabaseView {
    path: String,
    bytes: u64,
}

/// Describes the server.
#[expect(clippy::unused_async, reason = "handlers are asynchronous")]
pub(super) async fn show(call: Call) -> Result<HttpResponse, ApiError> {
    let rooms = &call.rooms;
    let now = rooms.clock.now();
    let (live, plans) = (rooms.live.get(), rooms.keys.plans());
    let catalog = live.upstreams.catalog();
    let upstream = |server: &std::sync::Arc<ModelServer>| UpstreamView {
        name: server.name.clone(),
        kind: match server.kind {
            Kind::OpenAi => "openai",
            Kind::Anthropic => "anthropic",
            Kind::Echo => "echo",
        },
        health: match server.health() {
            Health::Unknown => "unknown",
            Health::Up => "up",
            Health::Down(_) => "down",
        },
        down_since: match server.health() {
            Health::Down(at) => Some(now.wall.before(now.steady.saturating_sub(at)).to_string()),
            _ => None,
        },
        weight: server.weight,
        models: catalog.models_of(server).into_iter().map(ToOwned::to_owned).collect(),
        requests: server.outcomes().map(|(outcome, count)| (outcome.name(), count)).into(),
    };
    Ok(HttpResponse::Ok().json(ServerView {
        version: env!("CARGO_PKG_VERSION"),
        started_at: Timestamp::to_string(&rooms.started.wall),
        uptime_seconds: now.steady.saturating_sub(rooms.started.steady).as_secs(),
        listeners: ListenersView {
            public: rooms.listeners.public.iter().map(ToString::to_string).collect(),
            admin: rooms.listeners.admin.to_string(),
            socket: rooms.listeners.socket.display().to_string(),
            tls: rooms.listeners.tls,
        },
        plans: plans.iter().map(|(name, limit)| (name.to_owned(), limit.map(Into::into))).collect(),
        default_plan: plans.default_name().to_owned(),
        upstreams: live.upstreams.servers().iter().map(upstream).collect(),
        keys: rooms.keys.keyring().count(now.wall).map(|(status, count)| (status.name(), count)).into(),
        database: DatabaseView { path: rooms.store.path().display().to_string(), bytes: rooms.store.bytes() },
    }))
}
