//! A server on which everything can be asked for, and what was.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::{CHAT, chat, id, obedient, usage};
use crate::harness::{FakeUpstream, Request, TestServer, eventually};

pub const HOUR: u64 = 3_600;
/// What most requests are for.
pub const KEY: &str = "/v1/key";
/// How many guesses an address has a minute.
pub const GUESSES: u32 = 3;

/// What a request is to be counted as.
#[derive(Clone, Debug)]
pub struct Counted {
    /// The start of its hour, in unix seconds.
    pub hour: i64,
    pub key: Option<String>,
    pub endpoint: &'static str,
    pub status: u16,
    pub model: Option<&'static str>,
    pub code: Option<&'static str>,
    pub admitted: bool,
}

/// A key, and its id.
pub struct Holder {
    pub token: String,
    pub id: String,
}

/// A server on which all sorts of requests are made, and what they are to be counted as.
pub struct World {
    pub server: TestServer,
    pub upstream: FakeUpstream,
    pub holders: BTreeMap<&'static str, Holder>,
    pub counted: Vec<Counted>,
}

impl World {
    pub fn start() -> Self {
        let upstream = obedient();
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let slow = format!(
            "[[upstreams]]\nname = \"slow\"\nkind = \"openai\"\nbase_url = \"http://{}/v1\"\nmodels = [\"slow\"]\n\
             timeout_seconds = 1",
            upstream.address
        );
        let server = TestServer::setup()
            .toml("server.trusted_proxies = [\"127.0.0.1\"]\nserver.max_json_bytes = 4096")
            .toml(&format!("limits.failed_auth_per_minute = {GUESSES}"))
            .upstream("fake", upstream.address, &["m", "n"])
            .upstream("dead", nobody, &["dead"])
            .toml(&slow)
            .start();
        let mut world = Self { server, upstream, holders: BTreeMap::new(), counted: Vec::new() };
        let models = json!(["m", "dead", "slow", "ghost"]);
        for (name, settings) in [
            ("live", json!({"allowed_models": models})),
            ("narrow", json!({"scopes": ["models:read", "chats:create"]})),
            ("limited", json!({"requests_per_minute": 1})),
            ("single", json!({"max_concurrent": 1})),
            ("local", json!({"allowed_ips": ["192.0.2.1"]})),
            ("signing", json!({"require_signature": true})),
            ("disabled", json!({"enabled": false})),
            ("revoked", json!({})),
            ("deleted", json!({})),
            ("expired", json!({"expires_in": "1h"})),
            ("old", json!({})),
        ] {
            let enabled = settings["enabled"] != false;
            let mut settings = settings;
            settings.as_object_mut().unwrap().remove("enabled");
            world.make(name, settings);
            if !enabled {
                let change = json!({"enabled": false});
                world.server.admin(Request::new("PATCH", &world.path(name, "")).json(&change)).expect(200);
            }
        }
        world.server.admin(Request::new("POST", &world.path("revoked", "/revoke"))).expect(200);
        world.server.admin(Request::new("DELETE", &world.path("deleted", ""))).expect(200);
        world.server.pass(HOUR);
        let rotate = Request::post(&world.path("old", "/rotate"), &json!({"expire_old_in": "7d"}));
        let new = world.server.admin(rotate).expect(201).json();
        world.note_holder("new", &new);
        world
    }

    pub fn make(&mut self, name: &'static str, settings: Value) {
        let (_, made) = self.server.key(settings);
        self.note_holder(name, &made);
    }

    fn note_holder(&mut self, name: &'static str, made: &Value) {
        let holder = Holder { token: made["key"].as_str().unwrap().to_owned(), id: id(made).to_owned() };
        self.holders.insert(name, holder);
    }

    pub fn path(&self, name: &str, rest: &str) -> String {
        format!("/admin/v1/keys/{}{rest}", self.holders[name].id)
    }

    pub fn token(&self, name: &str) -> &str {
        &self.holders[name].token
    }

    /// A request with a key, or none, from an address where nobody was before.
    pub fn somewhere(&self, name: Option<&str>, request: Request) -> Request {
        let number = self.counted.len();
        let request = request.header("X-Forwarded-For", format!("10.1.{}.{}", number / 250, number % 250));
        name.iter().fold(request, |request, name| request.bearer(self.token(name)))
    }

    /// Notes what a request is to be counted as; `key` is none where none is known.
    pub fn note(
        &mut self,
        key: Option<&str>,
        endpoint: &'static str,
        status: u16,
        code: Option<&'static str>,
    ) -> &mut Counted {
        let hour = self.server.unix_time() / HOUR.cast_signed() * HOUR.cast_signed();
        let key = key.map(|name| self.holders[name].id.clone());
        self.counted.push(Counted { hour, key, endpoint, status, model: None, code, admitted: false });
        self.counted.last_mut().unwrap()
    }

    /// Makes a request that is refused before it is let through.
    pub fn refused(
        &mut self,
        key: Option<&str>,
        request: Request,
        endpoint: &'static str,
        status: u16,
        code: &'static str,
    ) {
        let request = self.somewhere(key, request);
        self.refused_from(request, key, endpoint, status, code);
    }

    /// Sends a request as it is; it is refused before it is let through.
    pub fn refused_from(
        &mut self,
        request: Request,
        known: Option<&str>,
        endpoint: &'static str,
        status: u16,
        code: &'static str,
    ) {
        request.send(self.server.public).expect_error(status, code);
        self.note(known, endpoint, status, Some(code));
    }

    /// Makes a request that is let through; `code` is that of the answer, if it is an error.
    pub fn admitted(
        &mut self,
        key: &str,
        request: Request,
        (endpoint, model): (&'static str, Option<&'static str>),
        (status, code): (u16, Option<&'static str>),
    ) {
        let answer = self.somewhere(Some(key), request).send(self.server.public);
        match code {
            Some(code) => drop(answer.expect_error(status, code)),
            None => drop(answer.expect(status)),
        }
        let counted = self.note(Some(key), endpoint, status, code);
        (counted.model, counted.admitted) = (model, true);
    }

    /// Asks for a stream that ends so; it counts with this status and code.
    pub fn streamed(&mut self, text: &str, events: usize, status: u16, code: Option<&'static str>) {
        let mut stream = self.somewhere(Some("live"), chat("m", text)).open(self.server.public);
        assert_eq!((stream.status, stream.events().len()), (200, events), "{text}");
        let counted = self.note(Some("live"), CHAT, status, code);
        (counted.model, counted.admitted) = (Some("m"), true);
    }

    /// Waits until all that was noted is counted.
    pub fn settle(&self) {
        let all = self.counted.len();
        eventually("all are counted", || {
            usage(&self.server, "step=day&from=2020-01-01T00:00:00Z")["totals"]["requests"] == all
        });
    }
}
