//! What clients choose themselves makes no series of metrics, however much of it there is.

use std::collections::BTreeSet;

use mcpd::domain::token::Token;
use ring::rand::SystemRandom;
use serde_json::json;

use super::{UNKNOWN, chat, obedient};
use crate::harness::{Request, TestServer, flood};

const MANY: usize = 10_000;

/// Names of series with their labels, without values.
fn series(server: &TestServer) -> BTreeSet<String> {
    let metrics = server.admin(Request::get("/metrics")).expect(200).text();
    let lines = metrics.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

fn counted(server: &TestServer) -> usize {
    server.usage("")[0]["requests"].as_u64().unwrap().try_into().unwrap()
}

/// A request of each kind that chooses something, with this number in it.
fn choosing(number: usize, key: &str, unknown: &str) -> [Request; 4] {
    let agent = format!("agent/{number}");
    let request = |method: &str, path: &str| Request::new(method, path).header("User-Agent", &agent);
    [
        request("GET", &format!("/v1/path-{number}?query-{number}={number}")).bearer(key),
        chat(&format!("model-{number}"), "answer").header("User-Agent", &agent).bearer(key),
        request(&format!("METHOD{number}"), "/v1/key")
            .header("X-Request-Id", format!("id-{number}"))
            .bearer(key),
        request("GET", &format!("/v1/models/model-{number}"))
            .header(
                "X-Forwarded-For",
                format!("10.{}.{}.{}", number / 65_536, number / 256 % 256, number % 256),
            )
            .bearer(unknown),
    ]
}

#[test]
fn ten_thousand_paths_models_agents_addresses_and_unknown_keys_add_no_series() {
    let upstream = obedient();
    let setup = TestServer::setup().toml("server.trusted_proxies = [\"127.0.0.1\"]");
    let server = setup.upstream("fake", upstream.address, &["m"]).start();
    let (key, _) = server.key(json!({}));
    server.call(&key, chat("m", "answer")).expect(200);
    let first = choosing(0, &key, UNKNOWN);
    let [path, model, method, guess] = first.each_ref().map(|request| request.send(server.public).status);
    assert_eq!([path, model, method, guess], [404, 404, 405, 401]);
    let (before, counted_before) = (series(&server), counted(&server));

    let random = SystemRandom::new();
    let requests = (1..=MANY).flat_map(|number| {
        let unknown = Token::random(&random).unwrap();
        choosing(number, &key, unknown.expose())
    });
    let statuses = flood(server.public, &requests.collect::<Vec<_>>());
    assert_eq!(statuses, [(401, MANY), (404, 2 * MANY), (405, MANY)].into());
    assert_eq!(series(&server), before);
    assert_eq!(counted(&server), counted_before + 4 * MANY);
}
