//! What a stream counts: asked of the upstream, shown to whom it is due, counted once.

use std::sync::mpsc::channel;
use std::sync::{Barrier, Mutex};

use serde_json::{Value, json};

use super::{ANSWER, USAGE, WORD, only_row, open, serving, streamed};
use crate::harness::upstream::{write_json, write_stream};
use crate::harness::{FakeUpstream, TestServer};

#[test]
fn usage_is_always_asked_for_and_shown_only_to_a_client_that_asked() {
    let cases = [
        (json!({}), false),
        (json!({"stream_options": null}), false),
        (json!({"stream_options": {}}), false),
        (json!({"stream_options": {"include_usage": false, "x": 1}}), false),
        (json!({"stream_options": {"include_usage": true}}), true),
    ];
    for (options, shown) in cases {
        let (server, upstream) = serving(|_, connection| {
            write_stream(connection, ANSWER);
            true
        });
        let (key, _) = server.key(json!({}));
        let events = open(&server, &key, &options).events();
        assert_eq!(events, if shown { ANSWER.to_vec() } else { vec![WORD, "[DONE]"] }, "{options}");
        let seen = upstream.seen()[0].json();
        assert_eq!(seen["stream_options"]["include_usage"], true, "{options}");
        assert_eq!(seen["stream_options"]["x"], options["stream_options"]["x"], "{options}");
        let row = only_row(&server);
        let counted = ["prompt_tokens", "completion_tokens", "estimated", "requests"]
            .map(|name| row[name].as_u64().unwrap());
        assert_eq!(counted, [7, 3, 0, 1], "{options}");
    }
}

#[test]
fn an_answer_that_comes_whole_is_not_asked_for_a_streams_usage() {
    let (server, upstream) = serving(|_, connection| {
        write_json(connection, 200, &json!({"usage": {"prompt_tokens": 7, "completion_tokens": 3}}));
        true
    });
    let (key, _) = server.key(json!({}));
    server.call(&key, streamed(&json!({"stream": false}))).expect(200);
    assert_eq!(upstream.seen()[0].json()["stream_options"], Value::Null);
    let row = only_row(&server);
    assert_eq!(
        (&row["prompt_tokens"], &row["completion_tokens"], &row["estimated"]),
        (&json!(7), &json!(3), &json!(0))
    );
}

#[test]
fn usage_counts_once_wherever_it_stands() {
    const BESIDE: &str = r#"{"choices":[{"delta":{}}],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#;
    const NULL: &str = r#"{"choices":[{"delta":{"content":"\"usage\": {}"}}],"usage":null}"#;
    const RUNNING: &str = r#"{"choices":[{"delta":{}}],"usage":{"prompt_tokens":7,"completion_tokens":1}}"#;
    const ZERO: &str = r#"{"choices":[{"delta":{}}],"usage":{"prompt_tokens":0,"completion_tokens":0}}"#;
    const NO_CHOICES: &str = r#"{"usage":{"prompt_tokens":7,"completion_tokens":3},"choices":null}"#;
    let told = [7, 3, 0];
    // What the upstream sends, what the client sees, what is counted.
    let cases: [(&'static [&'static str], &[&str], [u64; 3]); 7] = [
        (&[WORD, BESIDE, "[DONE]"], &[WORD, BESIDE, "[DONE]"], told),
        (&[NULL, USAGE, "[DONE]"], &[NULL, "[DONE]"], told),
        (&[RUNNING, BESIDE, USAGE, USAGE, "[DONE]"], &[RUNNING, BESIDE, "[DONE]"], told),
        (&[BESIDE, NULL, "[DONE]"], &[BESIDE, NULL, "[DONE]"], told),
        (&[WORD, NO_CHOICES, "[DONE]"], &[WORD, "[DONE]"], told),
        (&[ZERO, "[DONE]"], &[ZERO, "[DONE]"], [0, 0, 0]),
        (&[USAGE, ZERO, "[DONE]"], &[ZERO, "[DONE]"], [0, 0, 0]),
    ];
    for (sent, passed, counted) in cases {
        let upstream = FakeUpstream::events(sent);
        let server = TestServer::setup().upstream("fake", upstream.address, &["m"]).start();
        let (key, _) = server.key(json!({}));
        assert_eq!(open(&server, &key, &json!({})).events(), passed);
        let row = only_row(&server);
        let figures =
            ["prompt_tokens", "completion_tokens", "estimated"].map(|name| row[name].as_u64().unwrap());
        assert_eq!(figures, counted, "{sent:?}");
    }
}

#[test]
fn an_upstream_that_refuses_to_be_asked_for_usage_is_asked_again_without() {
    let (server, upstream) = serving(|seen, connection| {
        if seen.json().get("stream_options").is_some() {
            let error = json!({"error": {"message": "Extra inputs are not permitted: stream_options"}});
            write_json(connection, 400, &error);
            return true;
        }
        write_stream(connection, &[WORD, WORD, "[DONE]"]);
        true
    });
    let (key, _) = server.key(json!({}));
    for asked in [2, 3] {
        assert_eq!(open(&server, &key, &json!({})).events(), [WORD, WORD, "[DONE]"]);
        assert_eq!(upstream.seen().len(), asked);
    }
    let row = only_row(&server);
    assert_eq!(
        (&row["requests"], &row["estimated"], &row["completion_tokens"]),
        (&json!(2), &json!(2), &json!(4))
    );
    assert!(row["prompt_tokens"].as_u64().unwrap() > 0);
}

#[test]
fn requests_that_are_refused_for_it_at_once_are_each_asked_again() {
    let (first_is_done, wait_for_first) = channel::<()>();
    let (both_came, wait_for_first) = (Barrier::new(2), Mutex::new(wait_for_first));
    let (server, _upstream) = serving(move |seen, connection| {
        if seen.json().get("stream_options").is_none() {
            write_stream(connection, &[WORD, "[DONE]"]);
            return true;
        }
        // The second is refused once the first was answered without: by then it is known.
        if !both_came.wait().is_leader() {
            wait_for_first.lock().unwrap().recv().unwrap();
        }
        write_json(
            connection,
            400,
            &json!({"error": {"message": "Extra inputs are not permitted: stream_options"}}),
        );
        true
    });
    let (key, _) = server.key(json!({}));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let (server, key, done) = (&server, &key, first_is_done.clone());
            scope.spawn(move || {
                assert_eq!(open(server, key, &json!({})).events(), [WORD, "[DONE]"]);
                // The second finds nobody waiting any more.
                let _ = done.send(());
            });
        }
    });
}

#[test]
fn an_upstream_that_quotes_a_bad_request_goes_on_being_asked_for_usage() {
    let (server, upstream) = serving(|seen, connection| {
        if seen.json().get("heat").is_some() {
            let quote = String::from_utf8_lossy(&seen.body).into_owned();
            write_json(connection, 422, &json!({"error": {"message": "unknown field heat", "input": quote}}));
            return true;
        }
        write_stream(connection, ANSWER);
        true
    });
    let (key, _) = server.key(json!({}));
    let answer = server.call(&key, streamed(&json!({"heat": 1}))).expect_error(422, "invalid_request");
    assert_eq!(answer.json()["error"]["message"], "unknown field heat");
    assert_eq!(open(&server, &key, &json!({})).events(), [WORD, "[DONE]"]);
    assert_eq!(upstream.seen().pop().unwrap().json()["stream_options"]["include_usage"], true);
}
