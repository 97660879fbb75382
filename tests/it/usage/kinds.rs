//! Every kind of answer there is, and every view of how often it was given: each must tell the same number.

mod views;
mod world;

use std::io::Write as _;
use std::net::TcpStream;

use serde_json::json;

use super::{CHAT, UNKNOWN, chat};
use crate::harness::{Request, eventually};
use crate::signing::{signature, with};
use world::{GUESSES, HOUR, KEY, World};

/// How often each request is made: in as many hours, one after the other.
const ROUNDS: u64 = 3;

/// Makes a request of each kind.
fn round(world: &mut World) {
    refused_for_their_key(world);
    refused_for_what_they_ask(world);
    signed(world);
    wrong(world);
    answered(world);
    failed(world);
    streams(world);
    left(world);
    world.settle();
}

fn refused_for_their_key(world: &mut World) {
    world.refused(None, chat("m", "answer"), CHAT, 401, "missing_api_key");
    world.refused(None, Request::get("/v1/nothing"), "unmatched", 401, "missing_api_key");
    for (name, known, code) in [
        ("deleted", None, "invalid_api_key"),
        ("disabled", Some("disabled"), "invalid_api_key"),
        ("revoked", Some("revoked"), "invalid_api_key"),
        ("expired", Some("expired"), "expired_api_key"),
    ] {
        let request = world.somewhere(Some(name), chat("m", "answer"));
        world.refused_from(request, known, CHAT, 401, code);
    }
    for token in ["nonsense", UNKNOWN] {
        let request = world.somewhere(None, Request::get(KEY)).bearer(token);
        world.refused_from(request, None, KEY, 401, "invalid_api_key");
    }
    let guess = Request::get(KEY).header("X-Forwarded-For", "10.9.9.9").bearer(UNKNOWN);
    for _ in 0..GUESSES {
        world.refused_from(guess.clone(), None, KEY, 401, "invalid_api_key");
    }
    world.refused_from(guess, None, KEY, 429, "too_many_failed_attempts");
    let twice = world.somewhere(Some("live"), Request::get(KEY)).bearer("twice");
    world.refused_from(twice, None, KEY, 400, "invalid_request");
    let request = Request::get(&format!("{KEY}?api_key={}", world.token("live")));
    world.refused(None, request, KEY, 400, "invalid_request");
    let request = world.somewhere(Some("local"), Request::get(KEY));
    world.refused_from(request, Some("local"), KEY, 403, "ip_not_allowed");
}

fn refused_for_what_they_ask(world: &mut World) {
    world.refused(Some("live"), Request::get("/v1/nothing"), "unmatched", 404, "not_found");
    world.refused(Some("live"), Request::get(CHAT), "unmatched", 405, "method_not_allowed");
    world.refused(Some("narrow"), Request::get("/v1/files"), "/v1/files", 403, "insufficient_scope");
    world.admitted("limited", Request::get(KEY), (KEY, None), (200, None));
    world.refused(Some("limited"), Request::get(KEY), KEY, 429, "rate_limit_exceeded");
    let mut stream = world.somewhere(Some("single"), chat("m", "hang")).open(world.server.public);
    stream.event().unwrap();
    world.refused(Some("single"), Request::get(KEY), KEY, 429, "concurrency_limit_exceeded");
    drop(stream);
    let counted = world.note(Some("single"), CHAT, 499, None);
    (counted.model, counted.admitted) = (Some("m"), true);
}

fn signed(world: &mut World) {
    let (now, token) = (world.server.unix_time(), world.token("signing").to_owned());
    let sign = |at: i64| with(Request::get(KEY), at, &signature(&token, at, b""));
    let wrong = with(Request::get(KEY), now, &signature(&token, now - 1, b""));
    for (request, status, code) in [
        (Request::get(KEY), 401, Some("missing_signature")),
        (wrong, 401, Some("invalid_signature")),
        (sign(now - 301), 401, Some("stale_timestamp")),
        (sign(now), 200, None),
        (sign(now), 401, Some("replayed_signature")),
    ] {
        world.admitted("signing", request, (KEY, None), (status, code));
    }
}

fn wrong(world: &mut World) {
    let post = |kind: &str, body: &str| Request::new("POST", CHAT).header("Content-Type", kind).body(body);
    let json = "application/json";
    let with_context = json!({"model": "m", "messages": [], "context": "ctx_000000000000000000000000"});
    for (key, request, status, code) in [
        ("live", post(json, "{"), 400, "invalid_json"),
        ("live", post(json, "{}"), 422, "invalid_request"),
        ("live", post(json, &" ".repeat(5_000)), 413, "payload_too_large"),
        ("live", post("text/plain", "{}"), 415, "unsupported_media_type"),
        ("live", chat("n", "answer"), 403, "model_not_allowed"),
        ("live", chat("ghost", "answer"), 404, "model_not_found"),
        ("narrow", Request::post(CHAT, &with_context), 403, "insufficient_scope"),
    ] {
        world.admitted(key, request, (CHAT, None), (status, Some(code)));
    }
    let nothing = Request::get("/v1/contexts/ctx_000000000000000000000000");
    world.admitted("live", nothing, ("/v1/contexts/{id}", None), (404, Some("not_found")));
}

fn answered(world: &mut World) {
    let context = Request::post("/v1/contexts", &json!({"name": "c", "messages": []}));
    for (key, request, place) in [
        ("live", chat("m", "answer"), (CHAT, Some("m"))),
        ("narrow", chat("n", "answer"), (CHAT, Some("n"))),
        ("live", Request::get(KEY), (KEY, None)),
        ("live", Request::get("/v1/models"), ("/v1/models", None)),
        ("live", Request::get("/v1/files"), ("/v1/files", None)),
        ("live", context, ("/v1/contexts", None)),
        // One that was rotated, and the one that took over.
        ("old", Request::get(KEY), (KEY, None)),
        ("new", chat("m", "answer"), (CHAT, Some("m"))),
    ] {
        world.admitted(key, request, place, (200, None));
    }
    world.refused(Some("old"), Request::get("/v1/nothing"), "unmatched", 404, "not_found");
}

fn failed(world: &mut World) {
    for (model, text, status, code) in [
        ("m", "refuse", 400, "invalid_request"),
        ("m", "limit", 429, "rate_limit_exceeded"),
        ("m", "fail", 502, "upstream_error"),
        ("m", "forbid", 502, "upstream_error"),
        ("m", "garbage", 502, "upstream_error"),
        ("m", "hang up", 502, "upstream_error"),
        ("dead", "answer", 503, "upstream_unavailable"),
        ("slow", "stall", 504, "upstream_timeout"),
    ] {
        world.admitted("live", chat(model, text), (CHAT, Some(model)), (status, Some(code)));
    }
}

fn streams(world: &mut World) {
    world.streamed("stream", 2, 200, None);
    world.streamed("break off", 2, 502, Some("upstream_error"));
    world.streamed("fault", 2, 502, Some("upstream_error"));
    // Its key ends in the middle of it.
    world.make("ending", json!({}));
    let mut stream = world.somewhere(Some("ending"), chat("m", "hang")).open(world.server.public);
    stream.event().unwrap();
    world.server.admin(Request::new("POST", &world.path("ending", "/revoke"))).expect(200);
    assert_eq!(stream.events().len(), 1, "the error");
    let counted = world.note(Some("ending"), CHAT, 401, Some("invalid_api_key"));
    (counted.model, counted.admitted) = (Some("m"), true);
}

/// Whoever does not wait for the end of an answer, or not even for its beginning.
fn left(world: &mut World) {
    let mut stream = world.somewhere(Some("live"), chat("m", "hang")).open(world.server.public);
    stream.event().unwrap();
    drop(stream);
    let before = world.upstream.seen().len();
    let mut connection = TcpStream::connect(world.server.public).unwrap();
    let request = world.somewhere(Some("live"), chat("m", "stall"));
    connection.write_all(&request.bytes()).unwrap();
    eventually("the upstream is asked", || world.upstream.seen().len() > before);
    drop(connection);
    for _ in 0..2 {
        let counted = world.note(Some("live"), CHAT, 499, None);
        (counted.model, counted.admitted) = (Some("m"), true);
    }
}

#[test]
fn each_kind_of_answer_counts_as_often_as_it_was_given_in_every_view() {
    let mut world = World::start();
    for number in 0..ROUNDS {
        if number > 0 {
            world.server.pass(HOUR);
        }
        round(&mut world);
    }
    views::usage_agrees(&world);
    views::metrics_agree(&world);
    views::watchers_agree(&world);
    // Nothing is lost or counted anew by a restart, but for what the metrics count since the start.
    let world = World { server: world.server.restart(), ..world };
    views::usage_agrees(&world);
    views::watchers_agree(&world);
}
