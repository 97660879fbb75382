//! The server itself.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use serde::Serialize;

use super::{Call, Desk};
use crate::config::Kind;
use crate::domain::time::Timestamp;
use crate::http::ApiError;
use crate::upstream::{Health, ModelServer};

/// What the server is and how it does.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Server")]
pub(crate) struct ServerView {
    pub(crate) version: &'static str,
    pub(crate) started_at: String,
    pub(crate) uptime_seconds: u64,
    pub(crate) listeners: ListenersView,
    /// Requests a minute by plan; `null` where each key says its own.
    pub(crate) plans: BTreeMap<String, Option<u32>>,
    pub(crate) default_plan: String,
    pub(crate) upstreams: Vec<UpstreamView>,
    /// How many keys there are, by status.
    pub(crate) keys: BTreeMap<&'static str, usize>,
    pub(crate) database: DatabaseView,
    /// What clients have stored; `null` while the database cannot be read.
    pub(crate) stored: Option<StoredView>,
}

#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Listeners")]
pub(crate) struct ListenersView {
    pub(crate) public: Vec<String>,
    pub(crate) admin: String,
    pub(crate) socket: String,
    pub(crate) tls: bool,
}

#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Upstream")]
pub(crate) struct UpstreamView {
    pub(crate) name: String,
    /// `openai`, `anthropic` or `echo`.
    pub(crate) kind: &'static str,
    /// `unknown` until somebody asked it, then `up` or `down`.
    pub(crate) health: &'static str,
    /// When it could not be reached, the last time.
    pub(crate) down_since: Option<String>,
    pub(crate) weight: u32,
    pub(crate) models: Vec<String>,
    /// How requests to it ended.
    pub(crate) requests: BTreeMap<&'static str, u64>,
}

#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Stored")]
pub(crate) struct StoredView {
    pub(crate) contexts: u64,
    pub(crate) files: u64,
    /// In all files together.
    pub(crate) file_bytes: u64,
    /// The most in all files together (`files.total_bytes`).
    pub(crate) most_file_bytes: u64,
}

#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Database")]
pub(crate) struct DatabaseView {
    pub(crate) path: String,
    pub(crate) bytes: u64,
    /// Why what was counted cannot be written; `null` while it can.
    pub(crate) trouble: Option<String>,
}

pub(super) async fn answer(call: Call) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(describe(&call.desk).await))
}

/// Describes the server.
pub(crate) async fn describe(desk: &Desk) -> ServerView {
    // The rest is told even while the database cannot be read: that is when it is asked for.
    let counted =
        desk.block(|rooms| Ok::<_, ApiError>((rooms.contexts.count()?, rooms.files.count()?))).await.ok();
    let rooms = &desk.rooms;
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
    ServerView {
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
        database: DatabaseView {
            path: rooms.store.path().display().to_string(),
            bytes: rooms.store.bytes(),
            trouble: rooms.keeper.trouble(),
        },
        stored: counted.map(|(contexts, files)| StoredView {
            contexts,
            files,
            file_bytes: rooms.files.used(),
            most_file_bytes: rooms.files.limits().total_bytes,
        }),
    }
}
