//! The kinds of work that gateways are compared by.

use std::time::Duration;

use mcpd::domain::token::Token;

use crate::gateway::{Gateway, Kind};
use crate::keys::Keys;
use crate::load::{Load, Pace, Seen, Stage};
use crate::process;

/// A kind of work.
pub struct Work {
    pub name: &'static str,
    pub title: &'static str,
    pub gateways: &'static [Kind],
    connections: usize,
    /// Whose keys the requests have.
    keys: Whose,
    /// The model, and whether the answer is a stream.
    ask: (&'static str, bool),
    status: u16,
    /// At a fixed rate: this share of what nginx does at most.
    pub share_of_most: Option<f64>,
    /// Whether load and gateway share one core, so that no wake-up crosses cores.
    one_core: bool,
}

#[derive(Clone, Copy)]
enum Whose {
    Good,
    Unknown,
    Limited,
}

/// What one turn of one gateway showed.
pub struct Measured {
    pub per_second: f64,
    pub p50: f64,
    pub p99: f64,
    /// CPU time per answer, in microseconds.
    pub cpu: f64,
    /// Resident memory half-way through the load, in bytes.
    pub resident: u64,
}

const ALL_KINDS: &[Kind] = &[Kind::Mcpd(10_000), Kind::Bare, Kind::Nginx, Kind::Lua, Kind::Haproxy];
const PLAIN: Work = Work {
    name: "plain",
    title: "Chats: 64 connections, as fast as answers come",
    gateways: ALL_KINDS,
    connections: 64,
    keys: Whose::Good,
    ask: ("m", false),
    status: 200,
    share_of_most: None,
    one_core: false,
};

impl Work {
    pub const ALL: &[Self] = &[
        PLAIN,
        Self {
            name: "rate",
            title: "Chats at a fixed rate: 40 % of the most that nginx does",
            share_of_most: Some(0.4),
            ..PLAIN
        },
        Self {
            name: "single",
            title: "Chats: 1 connection, everything on one core",
            gateways: &[Kind::Direct, Kind::Mcpd(10_000), Kind::Bare, Kind::Nginx, Kind::Lua, Kind::Haproxy],
            connections: 1,
            one_core: true,
            ..PLAIN
        },
        Self {
            name: "bursts",
            title: "Streams of 20 events at once: 64 connections, as fast as answers come",
            ask: ("m", true),
            ..PLAIN
        },
        Self {
            name: "streams",
            title: "Streams of 20 events, one each 50 ms: 1,000 at once",
            ask: ("paced", true),
            connections: 1_000,
            ..PLAIN
        },
        Self {
            name: "unknown",
            title: "Refused: keys that nobody knows",
            gateways: &[Kind::Mcpd(10_000), Kind::Nginx, Kind::Lua, Kind::Haproxy],
            keys: Whose::Unknown,
            status: 401,
            ..PLAIN
        },
        Self {
            name: "limited",
            title: "Refused: keys over their limit",
            gateways: &[Kind::Mcpd(10_000), Kind::Nginx, Kind::Lua, Kind::Haproxy],
            keys: Whose::Limited,
            status: 429,
            ..PLAIN
        },
        Self {
            name: "million",
            title: "Chats: 10 keys beside a million",
            gateways: &[Kind::Mcpd(10), Kind::Mcpd(10_000), Kind::Mcpd(1_000_000)],
            ..PLAIN
        },
    ];

    /// The most answers a second that a gateway gives.
    pub fn most(&self, stage: &mut Stage, gateway: &Gateway, keys: &Keys, length: Duration) -> f64 {
        self.load(stage, gateway, keys, length, Pace::Closed).0.per_second()
    }

    /// Loads a gateway for a while.
    pub fn measure(
        &self,
        stage: &mut Stage,
        gateway: &Gateway,
        keys: &Keys,
        length: Duration,
        rate: Option<f64>,
    ) -> Measured {
        let pace = rate.map_or(Pace::Closed, Pace::Rate);
        let before = gateway.cpu();
        let (seen, resident) = self.load(stage, gateway, keys, length, pace);
        let used = gateway.cpu().saturating_sub(before);
        Measured {
            per_second: seen.per_second(),
            p50: seen.percentile(50),
            p99: seen.percentile(99),
            cpu: used.as_secs_f64() * 1e6 / seen.answers as f64,
            resident,
        }
    }

    fn load(
        &self,
        stage: &mut Stage,
        gateway: &Gateway,
        keys: &Keys,
        length: Duration,
        pace: Pace,
    ) -> (Seen, u64) {
        let all = match (self.keys, gateway.kind) {
            // Of ten keys there are no more.
            (Whose::Good, Kind::Mcpd(count)) => &keys.hot()[..count.min(keys.hot().len())],
            (Whose::Good, _) => keys.hot(),
            (Whose::Unknown, _) => keys.unknown(),
            (Whose::Limited, _) => keys.limited(),
        };
        let requests: Vec<_> = all.iter().map(|key| self.request(key)).collect();
        let load = Load {
            to: gateway.address,
            connections: self.connections,
            requests: &requests,
            status: Some(self.status),
            pace,
        };
        if self.one_core {
            process::move_to(process::GATEWAY_CORE);
        }
        // Connections are opened, and what is to be warm is warm.
        let warm = Load { status: None, ..load };
        stage.run(warm, length / 10, || {});
        let mut resident = 0;
        let seen = stage.run(load, length, || resident = gateway.resident());
        process::move_to(process::LOAD_CORE);
        (seen, resident)
    }

    fn request(&self, key: &Token) -> Vec<u8> {
        let (model, stream) = self.ask;
        let body = serde_json::json!({
            "model": model,
            "messages": [
                {"role": "system", "content": "You are a helpful assistant."},
                {"role": "user", "content": "Which of all models are wrong, and which of them are useful?"},
            ],
            "temperature": 0.7, "max_tokens": 256,
        });
        let mut body = body.to_string();
        if stream {
            body.insert_str(1, "\"stream\":true,\"stream_options\":{\"include_usage\":true},");
        }
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: models.example\r\nAuthorization: Bearer {}\r\n\
             User-Agent: bench/1\r\nAccept: application/json\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            key.expose(),
            body.len(),
        );
        (head + &body).into()
    }
}
