//! Stored conversations.

mod append;
mod changes;
mod chat;
mod files;
mod kept;

use serde_json::{Value, json};

use crate::harness::{Answer, FakeUpstream, Request, TestServer};

const CONTEXTS: &str = "/v1/contexts";
const CHAT: &str = "/v1/chat/completions";

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

fn assistant(text: &str) -> Value {
    json!({"role": "assistant", "content": text})
}

/// A server with one upstream.
fn in_front_of(upstream: &FakeUpstream) -> TestServer {
    TestServer::setup().upstream("fake", upstream.address, &["m"]).start()
}

/// Stores a context; returns its path.
fn stored(server: &TestServer, key: &str, messages: &[Value]) -> String {
    let made = server.call(key, Request::post(CONTEXTS, &json!({"messages": messages}))).expect(200);
    format!("{CONTEXTS}/{}", text(&made.json(), "id"))
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap().to_owned()
}

fn show(server: &TestServer, key: &str, path: &str) -> Value {
    server.call(key, Request::get(path)).expect(200).json()
}

fn patch(path: &str, body: &Value) -> Request {
    Request::new("PATCH", path).json(body)
}

fn post(path: &str, body: &str) -> Request {
    Request::new("POST", path).header("Content-Type", "application/json").body(body)
}

fn append(path: &str, messages: &[Value]) -> Request {
    Request::post(&format!("{path}/messages"), &json!({"messages": messages}))
}

/// A chat about a context, with more fields.
fn chat(path: &str, messages: &[Value], more: &Value) -> Request {
    let id = path.rsplit('/').next().unwrap();
    let mut body = json!({"model": "m", "context": id, "messages": messages});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    Request::post(CHAT, &body)
}

fn message_of(answer: &Answer) -> String {
    text(&answer.json()["error"], "message")
}

fn list(server: &TestServer, key: &str, query: &str) -> Value {
    server.call(key, Request::get(&format!("{CONTEXTS}{query}"))).expect(200).json()
}

fn names(listed: &Value) -> Vec<String> {
    listed["data"].as_array().unwrap().iter().map(|row| text(row, "name")).collect()
}

#[test]
fn a_context_is_read_as_it_was_made() {
    let server = TestServer::start();
    let (key, made_by) = server.key(json!({}));
    let messages = json!([{"role": "system", "content": "Be kind."}, user("Hi")]);
    let cases = [
        (json!({"name": " Ann's ", "messages": messages, "metadata": {"a": "1"}}), json!("Ann's")),
        (json!({"name": null, "messages": []}), Value::Null),
        (json!({}), Value::Null),
    ];
    for (body, name) in cases {
        let answer = server.call(&key, Request::post(CONTEXTS, &body)).expect(200);
        assert_eq!(answer.header("etag"), Some("\"1\""));
        let made = answer.json();
        let id = text(&made, "id");
        assert!(id.starts_with("ctx_") && id.len() == 28, "{id}");
        let expected = json!({
            "id": id,
            "object": "context",
            "name": name,
            "messages": body.get("messages").unwrap_or(&json!([])),
            "metadata": body.get("metadata").unwrap_or(&json!({})),
            "revision": 1,
            "created_by": made_by["id"],
            "created_at": server.unix_time(),
            "updated_at": server.unix_time(),
        });
        assert_eq!(made, expected);
        let read = server.call(&key, Request::get(&format!("{CONTEXTS}/{id}"))).expect(200);
        assert_eq!((read.header("etag"), read.json()), (Some("\"1\""), expected.clone()));
        assert_eq!(list(&server, &key, "?limit=1")["data"][0], expected);
    }
}

#[test]
fn a_list_goes_on_where_its_last_page_ended_even_behind_what_is_gone() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let empty = json!({"object": "list", "data": [], "has_more": false, "first_id": null, "last_id": null});
    assert_eq!(list(&server, &key, ""), empty);
    // The clock stands still: contexts are listed in the order of making all the same.
    let ids: Vec<String> = ["a", "b", "c", "d", "e"]
        .iter()
        .map(|name| {
            text(&server.call(&key, Request::post(CONTEXTS, &json!({"name": name}))).expect(200).json(), "id")
        })
        .collect();
    let cases: &[(&str, &[&str], bool)] = &[
        ("", &["e", "d", "c", "b", "a"], false),
        ("?order=desc&limit=2", &["e", "d"], true),
        ("?limit=5", &["e", "d", "c", "b", "a"], false),
        ("?order=asc&limit=4", &["a", "b", "c", "d"], true),
        ("?order=asc&limit=2&after={b}", &["c", "d"], true),
        ("?order=asc&limit=3&after={b}", &["c", "d", "e"], false),
        ("?limit=1&after={b}", &["a"], false),
        ("?after={a}", &[], false),
        ("?order=asc&after={e}", &[], false),
    ];
    let query_of = |query: &str| {
        let placed = ["{a}", "{b}", "{c}", "{d}", "{e}"].iter().zip(&ids);
        placed.fold(query.to_owned(), |query, (place, id)| query.replace(place, id))
    };
    for (query, expected, more) in cases {
        let listed = list(&server, &key, &query_of(query));
        assert_eq!((json!(names(&listed)), &listed["has_more"]), (json!(expected), &json!(more)), "{query}");
        let rows = listed["data"].as_array().unwrap();
        let id = |row: Option<&Value>| row.map_or(Value::Null, |row| row["id"].clone());
        assert_eq!(listed["first_id"], id(rows.first()), "{query}");
        assert_eq!(listed["last_id"], id(rows.last()), "{query}");
    }
    server.call(&key, Request::new("DELETE", &format!("{CONTEXTS}/{}", ids[1]))).expect(200);
    for (query, expected) in
        [("?order=asc&after={b}", ["c", "d", "e"].as_slice()), ("?after={b}", &["a"]), ("?after={c}", &["a"])]
    {
        assert_eq!(names(&list(&server, &key, &query_of(query))), expected, "{query}");
    }
}

#[test]
fn a_list_s_wrong_parameters_are_named() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let cases = [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=two", "limit"),
        ("order=up", "order"),
        ("after=ctx_1", "after"),
        ("after=key_0123456789ABCDEFGHIJKLMN", "after"),
        ("page=2", "page"),
    ];
    for (query, named) in cases {
        let answer = server.call(&key, Request::get(&format!("{CONTEXTS}?{query}")));
        let message = message_of(&answer.expect_error(400, "invalid_request"));
        assert!(message.contains(&format!("`{named}`")), "{query}: {message}");
    }
}

#[test]
fn a_page_of_long_contexts_ends_early_and_says_that_more_follow() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    for (name, megabytes) in [("a", 9), ("b", 3), ("c", 3), ("d", 3)] {
        let messages = [user(&"x".repeat(megabytes << 20))];
        let body = json!({"name": name, "messages": messages});
        server.call(&key, Request::post(CONTEXTS, &body)).expect(200);
    }
    let mut pages = Vec::new();
    let mut query = "?order=asc".to_owned();
    loop {
        let page = list(&server, &key, &query);
        pages.push(names(&page).concat());
        if page["has_more"] == false {
            break;
        }
        query = format!("?order=asc&after={}", text(&page, "last_id"));
    }
    assert_eq!(pages, ["a", "bc", "d"]);
}

#[test]
fn what_is_unknown_or_wrong_is_named() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let path = stored(&server, &key, &[user("Hi")]);
    let long = "x".repeat(201);
    let both = [
        (json!({"nam": "x"}), "`nam`"),
        (json!({"id": "ctx_x"}), "`id`"),
        (json!({"revision": 1}), "`revision`"),
        (json!({"name": 3}), "`name`"),
        (json!({"name": " "}), "`name`"),
        (json!({"name": long}), "`name`"),
        (json!({"metadata": []}), "`metadata`"),
        (json!({"metadata": {"a": 1}}), "`metadata.a`"),
        (json!({"metadata": {"": "x"}}), "`metadata`"),
        (json!({"messages": {}}), "`messages`"),
        (json!([]), "JSON object"),
        (json!("x"), "JSON object"),
    ];
    let messages = [
        (json!([user("Hi"), 3]), "`messages[1]`"),
        (json!([user("Hi"), {"role": "wizard", "content": "Hi"}]), "`messages[1].role`"),
        (json!([{"content": "Hi"}]), "`messages[0].role`"),
        (json!([user("Hi"), {"role": 3}]), "`messages[1].role`"),
        (json!([user("Hi"), user("Hi"), {"role": "user", "content": 3}]), "`messages[2].content`"),
    ];
    let (post, appended) = (|body: &Value| Request::post(CONTEXTS, body), format!("{path}/messages"));
    let append = |body: &Value| Request::post(&appended, body);
    let mut cases: Vec<(Request, &str)> = Vec::new();
    for (body, named) in &both {
        cases.extend([(post(body), *named), (patch(&path, body), *named)]);
    }
    for (list, named) in &messages {
        let body = json!({"messages": list});
        cases.extend([(post(&body), *named), (patch(&path, &body), *named), (append(&body), *named)]);
    }
    cases.extend([
        (append(&json!({})), "`messages`"),
        (append(&json!({"messages": []})), "`messages`"),
        (append(&json!({"messages": null})), "`messages`"),
        (append(&json!({"messages": [user("Hi")], "name": "x"})), "`name`"),
        (append(&json!([])), "JSON object"),
    ]);
    for (request, named) in cases {
        let answer = server.call(&key, request.clone()).expect_error(422, "invalid_request");
        assert!(message_of(&answer).contains(named), "{request:?}: {}", message_of(&answer));
    }
    for request in [Request::new("POST", CONTEXTS), Request::new("PATCH", &path)] {
        server.call(&key, request.clone().body("{")).expect_error(400, "invalid_json");
        let request = request.header("Content-Type", "text/plain").body("{}");
        server.call(&key, request).expect_error(415, "unsupported_media_type");
    }
    assert_eq!(show(&server, &key, &path)["revision"], 1);
    assert_eq!(list(&server, &key, "")["data"].as_array().unwrap().len(), 1, "none was made");
}

#[test]
fn there_is_nothing_with_an_unknown_id_of_whatever_shape() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let deleted = stored(&server, &key, &[]);
    let answer = server.call(&key, Request::new("DELETE", &deleted)).expect(200).json();
    assert_eq!(answer, json!({"id": &deleted[13..], "object": "context", "deleted": true}));
    let ids = [
        &deleted[13..],
        "ctx_0123456789ABCDEFGHIJKLMN",
        "ctx_0123456789ABCDEFGHIJKLM",
        "ctx_0123456789ABCDEFGHIJKLMNO",
        "ctx_0123456789ABCDEFGHIJK%2FN",
        "key_0123456789ABCDEFGHIJKLMN",
        "file_0123456789ABCDEFGHIJKLMN",
        "ctx_",
        "x",
        "%00",
        "%C3%A9",
        "..",
    ];
    for id in ids {
        let path = format!("{CONTEXTS}/{id}");
        for request in [
            Request::get(&path),
            patch(&path, &json!({"name": "x"})),
            Request::new("DELETE", &path),
            Request::new("DELETE", &path).header("If-Match", "*"),
            append(&path, &[user("Hi")]),
        ] {
            server.call(&key, request).expect_error(404, "not_found");
        }
    }
}

#[test]
fn messages_are_kept_to_the_letter() {
    let upstream = FakeUpstream::json(200, json!({"choices": [{"message": assistant("Hi")}]}));
    let server = in_front_of(&upstream);
    let (key, _) = server.key(json!({}));
    let message = r#"{"z": 1.50, "role" : "user","content":"caf\u00e9 \u2028\/ é","a":[ 1e3,-0 , 12345678901234567890123 ],"b":{"y":null,"x":{}}}"#;
    let body = format!(r#"{{"messages": [ {message} , {message}]}}"#);
    let one = format!(r#"{{"messages":[{message}]}}"#);
    let created = server.call(&key, post(CONTEXTS, &body)).expect(200);
    let path = format!("{CONTEXTS}/{}", text(&created.json(), "id"));
    let twice = format!(r#""messages":[{message},{message}]"#);
    assert!(created.text().contains(&twice), "{}", created.text());
    let replaced = server.call(&key, patch(&path, &json!({})).body(one.clone())).expect(200);
    assert!(replaced.text().contains(&one[1..one.len() - 1]), "{}", replaced.text());
    let appended = server.call(&key, post(&format!("{path}/messages"), &one)).expect(200);
    for answer in
        [appended, server.call(&key, Request::get(&path)), server.call(&key, Request::get(CONTEXTS))]
    {
        assert!(answer.text().contains(&twice), "{}", answer.text());
    }
    server.call(&key, chat(&path, &[], &json!({}))).expect(200);
    let sent = String::from_utf8(upstream.seen()[0].body.clone()).unwrap();
    assert!(sent.contains(&twice), "{sent}");
}
