//! From a first start to a first answer.

use serde_json::json;

use crate::harness::{Binary, Request, TestServer};

#[test]
fn the_first_start_makes_a_key_that_gets_an_answer() {
    let server = TestServer::start();
    let answer = server.call(&server.default_key(), Request::chat("What is the capital of France?"));
    let answer = answer.expect(200).json();
    assert_eq!(answer["choices"][0]["message"]["content"], "What is the capital of France?");
    assert_eq!(answer["model"], "echo");
}

#[test]
fn the_binary_does_the_same() {
    let binary = Binary::start("");
    let answer = binary.call(&binary.default_key(), Request::chat("Hello")).expect(200).json();
    assert_eq!(answer["choices"][0]["message"]["content"], "Hello");
}

#[test]
fn a_restart_keeps_what_was_made() {
    let server = TestServer::start();
    let (key, made) = server.key(json!({"name": "kept"}));
    let server = server.restart();
    server.call(&key, Request::chat("Hello")).expect(200);
    let found = server.admin(Request::get(&format!("/admin/v1/keys/{}", made["id"].as_str().unwrap())));
    assert_eq!(found.expect(200).json()["name"], "kept");
}
