//! Changes of a context: each whole or not at all, and none lost.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{append, message_of, patch, show, stored, user};
use crate::harness::{Answer, Request, TestServer};

#[test]
fn a_change_replaces_what_it_names_and_nothing_else() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let path = stored(&server, &key, &[user("one")]);
    let mut expected = show(&server, &key, &path);
    let steps = [
        json!({"name": "Ann's"}),
        json!({"metadata": {"a": "1", "b": "2"}}),
        json!({"metadata": {"c": "3"}}),
        json!({"messages": [user("two"), user("three")]}),
        json!({"name": "Ben's", "metadata": {}, "messages": []}),
        json!({"name": null}),
        json!({"name": null}),
    ];
    for (revision, change) in (2..).zip(steps) {
        server.pass(60);
        let answer = server.call(&key, patch(&path, &change)).expect(200);
        for (field, value) in change.as_object().unwrap() {
            expected[field] = value.clone();
        }
        expected["revision"] = revision.into();
        expected["updated_at"] = server.unix_time().into();
        assert_eq!(answer.header("etag"), Some(format!("\"{revision}\"").as_str()), "{change}");
        assert_eq!(answer.json(), expected, "{change}");
        assert_eq!(show(&server, &key, &path), expected, "{change}");
    }
    server.pass(60);
    let answer = server.call(&key, patch(&path, &json!({}))).expect(200);
    assert_eq!(answer.json(), expected, "an empty change changes nothing");
    server.call(&key, patch(&path, &json!({"name": "x", "metadata": {"a": 1}}))).expect(422);
    assert_eq!(show(&server, &key, &path), expected, "a wrong one neither");
}

#[test]
fn messages_are_appended_behind_those_that_are_there() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let path = stored(&server, &key, &[user("0")]);
    let mut expected = vec![user("0")];
    for (revision, more) in [(2, vec![user("1")]), (3, vec![user("2"), user("3")]), (4, vec![user("4")])] {
        server.pass(1);
        let answer = server.call(&key, append(&path, &more)).expect(200);
        expected.extend(more);
        assert_eq!(answer.header("etag"), Some(format!("\"{revision}\"").as_str()));
        let context = answer.json();
        assert_eq!((&context["messages"], &context["revision"]), (&json!(expected), &json!(revision)));
        assert_eq!(context["updated_at"], server.unix_time());
        assert_eq!(show(&server, &key, &path), context);
    }
    // All of them or none.
    server.call(&key, append(&path, &[user("5"), json!({"role": "wizard"})])).expect(422);
    assert_eq!(show(&server, &key, &path)["messages"], json!(expected));
    // Fewer messages leave no gap behind which the next would be put.
    server.call(&key, patch(&path, &json!({"messages": [user("a")]}))).expect(200);
    let context = server.call(&key, append(&path, &[user("b")])).expect(200).json();
    assert_eq!(context["messages"], json!([user("a"), user("b")]));
}

/// The three kinds of changes.
fn changes(path: &str) -> [(&'static str, Request); 3] {
    [
        ("PATCH", patch(path, &json!({"name": "changed"}))),
        ("append", append(path, &[user("appended")])),
        ("DELETE", Request::new("DELETE", path)),
    ]
}

#[test]
fn a_change_is_made_only_to_the_revision_that_it_names() {
    const CONFLICT: (u16, &str) = (409, "revision_conflict");
    const INVALID: (u16, &str) = (400, "invalid_request");
    const MADE: (u16, &str) = (200, "-");
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let cases = [
        ("\"2\"", MADE),
        ("*", MADE),
        ("\"1\", \"2\"", MADE),
        ("\"1\"", CONFLICT),
        ("\"3\"", CONFLICT),
        ("\"\"", CONFLICT),
        ("\"x\"", CONFLICT),
        ("\"02\"", CONFLICT),
        ("\"+2\"", CONFLICT),
        ("\"99999999999999999999\"", CONFLICT),
        ("W/\"2\"", CONFLICT),
        ("W/\"1\", W/\"2\"", CONFLICT),
        ("2", INVALID),
        ("", INVALID),
        ("'2'", INVALID),
        ("\"2", INVALID),
    ];
    for (value, expected) in cases {
        for index in 0..3 {
            let path = stored(&server, &key, &[]);
            server.call(&key, append(&path, &[user("Hi")])).expect(200);
            let before = show(&server, &key, &path);
            let (kind, request) = changes(&path)[index].clone();
            let answer = server.call(&key, request.header("If-Match", value));
            assert_eq!((answer.status, answer.code().as_str()), expected, "{kind} {value}");
            if expected != MADE {
                assert_eq!(show(&server, &key, &path), before, "{kind} {value}");
            }
            if expected == CONFLICT {
                assert!(message_of(&answer).contains("revision 2"), "{}", message_of(&answer));
            }
        }
    }
}

#[test]
fn an_answer_s_etag_is_what_the_next_change_may_depend_on() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let path = stored(&server, &key, &[]);
    let tag = |answer: Answer| answer.expect(200).header("etag").unwrap().to_owned();
    let mut last = tag(server.call(&key, Request::get(&path)));
    for request in
        [patch(&path, &json!({"name": "a"})), append(&path, &[user("b")]), patch(&path, &json!({}))]
    {
        let current = tag(server.call(&key, request.header("If-Match", &last)));
        if current != last {
            let stale = patch(&path, &json!({"name": "lost"})).header("If-Match", &last);
            server.call(&key, stale).expect_error(409, "revision_conflict");
        }
        last = current;
    }
    server.call(&key, Request::new("DELETE", &path).header("If-Match", &last)).expect(200);
}

#[test]
fn of_fifty_clients_that_append_at_once_each_finds_its_messages_in_their_order() {
    const CLIENTS: usize = 50;
    const EACH: usize = 20;
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let path = stored(&server, &key, &[]);
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (server, key, path) = (&server, &key, &path);
            scope.spawn(move || {
                for number in 0..EACH {
                    let message = user(&format!("{client} {number}"));
                    server.call(key, append(path, &[message])).expect(200);
                }
            });
        }
    });
    let context = show(&server, &key, &path);
    assert_eq!(context["revision"], 1 + CLIENTS * EACH);
    let mut next: BTreeMap<&str, usize> = BTreeMap::new();
    for message in context["messages"].as_array().unwrap() {
        let (client, number) = message["content"].as_str().unwrap().split_once(' ').unwrap();
        let expected = next.entry(client).or_default();
        assert_eq!(number, expected.to_string(), "of client {client}");
        *expected += 1;
    }
    assert!(next.len() == CLIENTS && next.values().all(|count| *count == EACH), "{next:?}");
}

#[test]
fn of_fifty_changes_to_one_revision_one_is_made() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let path = stored(&server, &key, &[]);
    let (server, key, path) = (&server, &key, &path);
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..50)
            .map(|client| {
                let request = patch(path, &json!({"name": format!("{client}")})).header("If-Match", "\"1\"");
                scope.spawn(move || server.call(key, request))
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((made.len(), refused.len()), (1, 49));
    for answer in refused {
        answer.expect_error(409, "revision_conflict");
    }
    let context: Value = show(server, key, path);
    assert_eq!(context, made[0].json());
    assert_eq!(context["revision"], 2);
}
