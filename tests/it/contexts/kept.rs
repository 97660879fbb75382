//! What is kept of contexts, and for how long; and what never is.

use std::fs;

use memchr::memmem;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::{
    CONTEXTS, append, assistant, chat, in_front_of, list, message_of, names, post, show, stored, text, user,
};
use crate::harness::upstream::{write_json, write_stream};
use crate::harness::{FakeUpstream, Request, TestServer};

/// The secret of a key of nobody's, and the same cut short.
const KEY: &str = "mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38";
const NEEDLE: &[u8] = b"ABCDEFGHIJKL";

#[test]
fn contexts_outlive_a_restart() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let names_before = ["a", "b", "c"];
    for name in names_before {
        let body = json!({"name": name, "messages": [user(name)], "metadata": {"n": name}});
        let made = server.call(&key, Request::post(CONTEXTS, &body)).expect(200).json();
        server.call(&key, append(&format!("{CONTEXTS}/{}", text(&made, "id")), &[user("more")])).expect(200);
    }
    let before = list(&server, &key, "");
    let server = server.restart();
    assert_eq!(list(&server, &key, ""), before);
    let path = format!("{CONTEXTS}/{}", text(&before, "last_id"));
    let context = server.call(&key, append(&path, &[user("again")]).header("If-Match", "\"2\"")).expect(200);
    assert_eq!(context.json()["messages"], json!([user("a"), user("more"), user("again")]));
    server.pass(1);
    server.call(&key, Request::post(CONTEXTS, &json!({"name": "d"}))).expect(200);
    assert_eq!(names(&list(&server, &key, "")), ["d", "c", "b", "a"], "new ones come behind old ones");
}

#[test]
fn a_deleted_key_leaves_its_contexts_and_they_still_name_it() {
    let server = TestServer::start();
    let (key, made) = server.key(json!({}));
    let (other, _) = server.key(json!({}));
    let path = stored(&server, &key, &[user("Hi")]);
    let before = show(&server, &other, &path);
    assert_eq!(before["created_by"], made["id"]);
    let id = text(&made, "id");
    server.admin(Request::new("DELETE", &format!("/admin/v1/keys/{id}"))).expect(200);
    assert_eq!(show(&server, &other, &path), before);
    let server = server.restart();
    let changed = server.call(&other, append(&path, &[user("more")])).expect(200).json();
    assert_eq!(changed["created_by"], id);
}

#[test]
fn a_deleted_context_leaves_no_message() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let (path, other) = (stored(&server, &key, &[user("a"), user("b")]), stored(&server, &key, &[user("c")]));
    server.call(&key, Request::new("DELETE", &path)).expect(200);
    let database = Connection::open(server.path("mcpd.db")).unwrap();
    let count = |sql: &str| database.query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM context_messages"), 1);
    assert_eq!(count("SELECT count(*) FROM contexts"), 1);
    assert_eq!(show(&server, &key, &other)["messages"], json!([user("c")]));
}

#[test]
fn a_database_from_before_contexts_is_brought_up_to_date_with_its_keys() {
    let mut server = TestServer::start();
    let (key, made) = server.key(json!({"requests_per_minute": 3}));
    server.call(&key, Request::get("/v1/key")).expect(200);
    server.stop();
    make_schema_one(&server);

    let server = server.restart();
    let own = server.call(&key, Request::get("/v1/key")).expect(200);
    assert_eq!(own.json()["id"], made["id"]);
    assert_eq!(own.header("x-ratelimit-remaining"), Some("1"), "its limit is where it was");
    assert_eq!(server.usage("key").iter().find(|row| row["key"] == made["id"]).unwrap()["requests"], 2);
    let path = stored(&server, &server.default_key(), &[user("Hi")]);
    let server = server.restart();
    assert_eq!(show(&server, &server.default_key(), &path)["messages"], json!([user("Hi")]));
    let version: u32 = Connection::open(server.path("mcpd.db"))
        .unwrap()
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert!(version >= 2);
}

/// Usage as the first schema has it.
const OLD_USAGE: &str = "INSERT INTO main.usage
     SELECT iif(step = 900, 3600, step), start - start % iif(step = 900, 3600, step), key_id, endpoint, status, model,
         requests, latency_sum, latency_max, latencies, bytes_in, bytes_out, prompt_tokens, completion_tokens, estimated
     FROM later.usage
     JOIN later.usage_owners AS owners ON owners.number = owner
     JOIN later.usage_series AS series ON series.number = usage.series
     WHERE owner > 0";

/// Puts a database of the first schema, with the same rows, in place of a stopped server's.
fn make_schema_one(server: &TestServer) {
    let (old, new) = (server.path("mcpd.db"), server.path("schema-one.db"));
    let database = Connection::open(&new).unwrap();
    database.execute_batch(include_str!("../../../sql/0001_init.sql")).unwrap();
    database.execute("ATTACH ? AS later", [old.to_str().unwrap()]).unwrap();
    let tables: Vec<String> = database
        .prepare("SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(tables.iter().any(|table| table == "keys"), "{tables:?}");
    // What these are kept in has changed since.
    for table in tables.iter().filter(|table| !["usage", "idempotency"].contains(&table.as_str())) {
        let columns = columns_of(&database, table);
        let copy = format!("INSERT INTO main.{table} ({columns}) SELECT {columns} FROM later.{table}");
        database.execute_batch(&copy).unwrap();
    }
    database.execute_batch(OLD_USAGE).unwrap();
    database.execute_batch("DETACH later").unwrap();
    database.pragma_update(None, "application_id", u32::from_be_bytes(*b"mcpd")).unwrap();
    database.pragma_update(None, "user_version", 1).unwrap();
    database.close().unwrap();
    for companion in ["mcpd.db-wal", "mcpd.db-shm"] {
        let _ = fs::remove_file(server.path(companion));
    }
    fs::rename(new, old).unwrap();
}

/// The columns that a table of the first schema has, with commas between them.
fn columns_of(database: &Connection, table: &str) -> String {
    let names: Vec<String> = database
        .prepare("SELECT name FROM pragma_table_info(?1, 'main')")
        .unwrap()
        .query_map([table], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    names.join(", ")
}

/// Ways to write a key in JSON.
fn spellings() -> [String; 5] {
    [
        KEY.to_owned(),
        format!("my key is {KEY}!"),
        KEY[..30].to_owned(),
        KEY.replace('_', "\\u005f"),
        KEY.replace("AB", "A\\u0042"),
    ]
}

fn expect_no_key_kept(server: &TestServer) {
    let mut searched = 0;
    for name in ["mcpd.db", "mcpd.db-wal"] {
        let Ok(contents) = fs::read(server.path(name)) else { continue };
        searched += contents.len();
        for needle in [NEEDLE, b"u005fABCD", b"A\\u0042CDEF"] {
            let found = memmem::find(&contents, needle);
            assert!(found.is_none(), "{} in {name}", String::from_utf8_lossy(needle));
        }
    }
    assert!(searched > 10_000, "{searched}");
}

#[test]
fn a_key_in_what_is_to_be_stored_is_refused_and_kept_nowhere() {
    let upstream = FakeUpstream::json(200, json!({"choices": [{"message": assistant("Hi")}]}));
    let server = in_front_of(&upstream);
    let (key, _) = server.key(json!({}));
    let path = stored(&server, &key, &[user("Hi")]);
    let id = &path[13..];
    for secret in spellings() {
        let messages = [
            format!(r#"{{"role":"user","content":"{secret}"}}"#),
            format!(r#"{{"role":"user","content":[{{"type":"text","text":"it is {secret}"}}]}}"#),
            format!(r#"{{"role":"user","content":"Hi","x":{{"{secret}":[1]}}}}"#),
        ];
        for message in messages {
            let list = format!(r#"[{{"role":"user","content":"Hi"}},{message}]"#);
            let body = format!(r#"{{"messages":{list}}}"#);
            let whole =
                format!(r#"{{"model":"m","context":"{id}","context_append":true,"messages":{list}}}"#);
            for request in [
                post(CONTEXTS, &body),
                Request::new("PATCH", &path).body(body.clone()),
                post(&format!("{path}/messages"), &body),
                post(super::CHAT, &whole),
            ] {
                let answer = server.call(&key, request).expect_error(422, "invalid_request");
                assert!(message_of(&answer).contains("`messages[1]`"), "{}", message_of(&answer));
                assert!(memmem::find(&answer.body, NEEDLE).is_none(), "{}", answer.text());
            }
        }
        for (field, named) in [
            (format!(r#"{{"name":"{secret}"}}"#), "`name`"),
            (format!(r#"{{"metadata":{{"a":"{secret}"}}}}"#), "`metadata`"),
            (format!(r#"{{"metadata":{{"{secret}":"a"}}}}"#), "`metadata`"),
            (format!(r#"{{"{secret}":"a"}}"#), "unknown field"),
        ] {
            for request in [post(CONTEXTS, &field), Request::new("PATCH", &path).body(field.clone())] {
                let answer = server.call(&key, request).expect_error(422, "invalid_request");
                assert!(message_of(&answer).contains(named), "{}", message_of(&answer));
                assert!(memmem::find(&answer.body, NEEDLE).is_none(), "{}", answer.text());
            }
        }
    }
    // What only looks like one is no secret.
    server.call(&key, append(&path, &[user("mcp_sk_ABCD…Fg38"), user("it begins with mcp_sk_")])).expect(200);
    assert_eq!(show(&server, &key, &path)["revision"], 2);
    assert!(upstream.seen().is_empty());
    expect_no_key_kept(&server);
}

#[test]
fn a_key_in_a_model_s_answer_is_blanked_out_where_it_is_kept() {
    let upstream = FakeUpstream::start(|seen, connection| {
        let body = seen.json();
        let secret = body["secret"].as_str().unwrap();
        let content: Value = serde_json::from_str(&format!("\"Is it {secret} or not?\"")).unwrap();
        if body["stream"] == true {
            // The pieces give nothing away; together they do.
            let events: Vec<String> = content
                .as_str()
                .unwrap()
                .chars()
                .map(|letter| {
                    json!({"choices": [{"index": 0, "delta": {"content": letter.to_string()}}]}).to_string()
                })
                .collect();
            let mut events: Vec<&str> = events.iter().map(String::as_str).collect();
            events.push("[DONE]");
            write_stream(connection, &events);
        } else if body["escaped"] == true {
            let answer = format!(
                r#"{{"choices":[{{"message":{{"role":"assistant","content":"Is it {secret} or not?","x":1.50}}}}]}}"#
            );
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", answer.len());
            std::io::Write::write_all(connection, (head + &answer).as_bytes()).unwrap();
        } else {
            let message = assistant(content.as_str().unwrap());
            write_json(connection, 200, &json!({"choices": [{"message": message}]}));
        }
        true
    });
    let server = in_front_of(&upstream);
    let (key, _) = server.key(json!({}));
    for secret in spellings() {
        for (stream, escaped) in [(false, false), (false, true), (true, false)] {
            let path = stored(&server, &key, &[]);
            let more =
                json!({"context_append": true, "stream": stream, "escaped": escaped, "secret": secret});
            server.call(&key, chat(&path, &[user("Hi")], &more)).expect(200);
            let messages = show(&server, &key, &path)["messages"].clone();
            let kept = text(&messages[1], "content");
            assert!(kept.starts_with("Is it ") && kept.contains("mcp_sk_…"), "{secret}: {kept}");
            assert!(kept.ends_with(" or not?"), "{secret}: {kept}");
        }
    }
    expect_no_key_kept(&server);
}
