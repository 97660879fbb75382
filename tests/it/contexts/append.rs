//! Chats that are appended to their context, all of them or nothing.

use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use serde_json::{Value, json};

use super::{assistant, chat, in_front_of, message_of, post, show, stored, user};
use crate::harness::upstream::{
    begin_stream, end_stream, send_chunk, send_event, wait_for_close, write_json, write_stream,
};
use crate::harness::{Answer, FakeUpstream, Request, Stream, TestServer, eventually};

const WORD: &str = r#"{"choices":[{"index":0,"delta":{"content":"word "}}]}"#;

fn appending(path: &str, text: &str) -> Request {
    chat(path, &[user(text)], &json!({"context_append": true}))
}

fn streaming(path: &str, text: &str) -> Request {
    chat(path, &[user(text)], &json!({"context_append": true, "stream": true}))
}

/// An upstream that does the first half of its work, then waits to be told to do the second.
fn in_two_halves(
    first: fn(&mut TcpStream),
    second: fn(&mut TcpStream),
) -> (TestServer, FakeUpstream, Sender<()>) {
    let (go, went): (Sender<()>, Receiver<()>) = channel();
    let went = Mutex::new(went);
    let upstream = FakeUpstream::start(move |_, connection| {
        first(connection);
        if went.lock().unwrap().recv().is_ok() {
            second(connection);
        }
        false
    });
    (in_front_of(&upstream), upstream, go)
}

fn statuses(server: &TestServer) -> Vec<u64> {
    server
        .usage("status,endpoint")
        .iter()
        .filter(|row| row["endpoint"] == "/v1/chat/completions")
        .map(|row| row["status"].as_u64().unwrap())
        .collect()
}

#[test]
fn a_whole_answer_is_appended_with_the_messages_that_it_answers() {
    let said = r#"{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}],"x":1.50}"#;
    let body = format!(r#"{{"choices":[{{"index":0,"message":{said}}},{{"message":{{"role":"user"}}}}]}}"#);
    let answer = body.clone();
    let upstream = FakeUpstream::start(move |_, connection| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", answer.len());
        std::io::Write::write_all(connection, (head + &answer).as_bytes()).unwrap();
        true
    });
    let server = in_front_of(&upstream);
    let (key, _) = server.key(json!({}));
    let path = stored(&server, &key, &[user("one")]);
    let own = r#"{"role" : "user","content":"tw\u006f","n":1.50}"#;
    let request = format!(
        r#"{{"model":"m","context":"{}","context_append":true,"messages":[{own},{own}]}}"#,
        &path[13..]
    );
    server.pass(5);
    let answered = server.call(&key, post(super::CHAT, &request)).expect(200);
    assert_eq!(answered.text(), body, "the answer is passed on as it came");
    let context = server.call(&key, Request::get(&path)).expect(200);
    let expected = format!(r#""messages":[{},{own},{own},{said}]"#, user("one"));
    assert!(context.text().contains(&expected), "{}", context.text());
    let context = context.json();
    assert_eq!((&context["revision"], &context["updated_at"]), (&json!(2), &json!(server.unix_time())));
}

#[test]
fn a_conversation_goes_on_with_what_was_said_before() {
    let upstream = FakeUpstream::start(|seen, connection| {
        let count = seen.json()["messages"].as_array().unwrap().len();
        if seen.json()["stream"] == true {
            let delta = json!({"choices": [{"index": 0, "delta": {"content": format!("{count}")}}]});
            write_stream(connection, &[&delta.to_string(), "[DONE]"]);
        } else {
            let message = assistant(&count.to_string());
            write_json(connection, 200, &json!({"choices": [{"message": message}]}));
        }
        true
    });
    let server = in_front_of(&upstream);
    let (key, _) = server.key(json!({}));
    let path = stored(&server, &key, &[]);
    let mut expected = Vec::new();
    for turn in 0..20_u64 {
        let question = format!("question {turn}");
        if turn % 2 == 0 {
            server.call(&key, appending(&path, &question)).expect(200);
        } else {
            let mut stream = streaming(&path, &question).bearer(&key).open(server.public);
            while stream.event().unwrap() != "[DONE]" {}
        }
        // The very next request sees it, while the last one's connection may still be open.
        expected.extend([user(&question), assistant(&(2 * turn + 1).to_string())]);
        let context = show(&server, &key, &path);
        assert_eq!(context["messages"], json!(expected), "turn {turn}");
        assert_eq!(context["revision"], turn + 2);
    }
}

#[test]
fn a_stream_is_appended_as_the_one_message_that_its_pieces_make() {
    const EVENTS: &[&str] = &[
        r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
        r#"{"choices":[{"index":1,"delta":{"content":"another choice"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"Let me \u00e9"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":" look.\n"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c0","type":"function","function":{"name":"f","arguments":""}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"c1","type":"function","function":{"name":"g","arguments":"{}"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#,
        "[DONE]",
    ];
    let upstream = FakeUpstream::events(EVENTS);
    // All of it in one piece, and lines ended as some servers do.
    let at_once = FakeUpstream::start(|_, connection| {
        let events = format!("data: {}\r\n\r\n", EVENTS.join("\r\n\r\ndata: "));
        begin_stream(connection);
        send_chunk(connection, &events);
        end_stream(connection);
        true
    });
    for upstream in [upstream, at_once] {
        let server = in_front_of(&upstream);
        let (key, _) = server.key(json!({}));
        let path = stored(&server, &key, &[]);
        let answer = server.call(&key, streaming(&path, "Hi")).expect(200);
        assert!(answer.text().trim().ends_with("data: [DONE]"), "{}", answer.text());
        let call = |id: &str, name: &str, arguments: &str| {
            let function = json!({"name": name, "arguments": arguments});
            json!({"id": id, "type": "function", "function": function})
        };
        let calls = [call("c0", "f", "{\"a\":1}"), call("c1", "g", "{}")];
        let said = json!({"role": "assistant", "content": "Let me é look.\n", "tool_calls": calls});
        let context = show(&server, &key, &path);
        assert_eq!((&context["messages"], &context["revision"]), (&json!([user("Hi"), said]), &json!(2)));
        let row = &server.usage("status");
        assert!(row.iter().all(|row| row["status"] == 200), "{row:?}");
    }
}

#[test]
fn the_end_of_a_stream_is_told_only_once_it_is_on_the_disk() {
    let (server, _upstream, go) = in_two_halves(
        |connection| {
            begin_stream(connection);
            send_event(connection, WORD);
        },
        |connection| {
            send_event(connection, "[DONE]");
            end_stream(connection);
        },
    );
    let (key, _) = server.key(json!({}));
    let path = stored(&server, &key, &[]);
    let mut stream = streaming(&path, "Hi").bearer(&key).open(server.public);
    assert_eq!(stream.event().unwrap(), WORD, "the words do not wait for it");
    let other_program = rusqlite::Connection::open(server.path("mcpd.db")).unwrap();
    other_program.execute_batch("BEGIN IMMEDIATE").unwrap();
    go.send(()).unwrap();
    let (tell, told) = channel();
    let reader = std::thread::spawn(move || {
        let event = stream.event();
        tell.send(event.clone()).unwrap();
        (event, stream)
    });
    // Nothing comes while the disk is kept from it.
    assert!(told.recv_timeout(std::time::Duration::from_millis(300)).is_err());
    other_program.execute_batch("ROLLBACK").unwrap();
    let (event, mut stream) = reader.join().unwrap();
    assert_eq!(event.as_deref(), Some("[DONE]"));
    assert_eq!(show(&server, &key, &path)["messages"], json!([user("Hi"), assistant("word ")]));
    assert_eq!(stream.events(), Vec::<String>::new());
    assert!(stream.complete);
}

#[test]
fn nothing_is_appended_for_a_client_that_left_in_the_middle() {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let upstream = FakeUpstream::start(move |_, connection| {
        begin_stream(connection);
        send_event(connection, WORD);
        let _ = tell.lock().unwrap().send(wait_for_close(connection));
        false
    });
    let server = in_front_of(&upstream);
    let (key, _) = server.key(json!({}));
    let path = stored(&server, &key, &[user("one")]);
    let before = show(&server, &key, &path);
    let mut stream = streaming(&path, "Hi").bearer(&key).open(server.public);
    stream.event().unwrap();
    drop(stream);
    assert_eq!(told.recv(), Ok(true), "the upstream is left");
    eventually("it is counted", || statuses(&server) == [499]);
    assert_eq!(show(&server, &key, &path), before);
}

#[test]
fn nothing_is_appended_of_a_stream_that_fails_half_way() {
    let ends: [fn(&mut TcpStream); 4] = [
        |_| {},
        |connection| end_stream(connection),
        |connection| {
            send_event(connection, r#"{"error":{"message":"out of memory"}}"#);
        },
        |connection| {
            send_chunk(connection, "data: {\"choices\":[{\"del");
        },
    ];
    for (index, end) in ends.into_iter().enumerate() {
        let upstream = FakeUpstream::start(move |_, connection| {
            begin_stream(connection);
            send_event(connection, WORD);
            end(connection);
            false
        });
        let server = in_front_of(&upstream);
        let (key, _) = server.key(json!({}));
        let path = stored(&server, &key, &[user("one")]);
        let before = show(&server, &key, &path);
        let mut stream = streaming(&path, "Hi").bearer(&key).open(server.public);
        expect_failed(&mut stream, "upstream_error", &format!("end {index}"));
        assert_eq!(show(&server, &key, &path), before, "end {index}");
        eventually("it is counted", || statuses(&server) == [502]);
    }
}

/// Reads a stream to its end, which must be an error event and a closed connection.
fn expect_failed(stream: &mut Stream, code: &str, what: &str) {
    assert_eq!(stream.status, 200, "{what}");
    let events = stream.events();
    assert!(!events.iter().any(|event| event.contains("[DONE]")), "{what}: {events:?}");
    let error: Value = serde_json::from_str(events.last().unwrap()).unwrap();
    assert_eq!(error["error"]["code"], code, "{what}: {events:?}");
    assert!(!stream.complete, "{what}");
}

#[test]
fn nothing_is_appended_where_the_upstream_has_no_answer() {
    let message = json!({"error": {"message": "no"}});
    let cases = [
        (400, message.clone(), 400),
        (404, message.clone(), 404),
        (429, message.clone(), 429),
        (500, message, 502),
        (200, json!({}), 502),
        (200, json!({"choices": []}), 502),
        (200, json!({"choices": [{"text": "Hi"}]}), 502),
        (200, json!({"choices": [{"message": {"role": "wizard", "content": "Hi"}}]}), 502),
        (200, json!({"choices": [{"message": "Hi"}]}), 502),
    ];
    for (told, body, status) in cases {
        let upstream = FakeUpstream::json(told, body.clone());
        let server = in_front_of(&upstream);
        let (key, _) = server.key(json!({}));
        let path = stored(&server, &key, &[user("one")]);
        let before = show(&server, &key, &path);
        let answer = server.call(&key, appending(&path, "Hi"));
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        assert_eq!(show(&server, &key, &path), before, "{body}");
    }
}

#[test]
fn a_context_deleted_meanwhile_fails_what_was_to_be_appended_to_it() {
    let delete = |server: &TestServer, key: &str, path: &str| {
        server.call(key, Request::new("DELETE", path)).expect(200);
    };
    let (server, _upstream, go) = in_two_halves(
        |connection| {
            begin_stream(connection);
            send_event(connection, WORD);
        },
        |connection| {
            send_event(connection, "[DONE]");
            end_stream(connection);
        },
    );
    let (key, _) = server.key(json!({}));
    let path = stored(&server, &key, &[]);
    let mut stream = streaming(&path, "Hi").bearer(&key).open(server.public);
    assert_eq!(stream.event().unwrap(), WORD);
    delete(&server, &key, &path);
    go.send(()).unwrap();
    expect_failed(&mut stream, "not_found", "streamed");
    eventually("it is counted", || statuses(&server) == [404]);

    let (server, upstream, go) = in_two_halves(
        |_| {},
        |connection| write_json(connection, 200, &json!({"choices": [{"message": assistant("Hi")}]})),
    );
    let (key, _) = server.key(json!({}));
    let path = stored(&server, &key, &[]);
    let answer: Answer = std::thread::scope(|scope| {
        let client = scope.spawn(|| server.call(&key, appending(&path, "Hi")));
        eventually("the upstream is asked", || upstream.seen().len() == 1);
        delete(&server, &key, &path);
        go.send(()).unwrap();
        client.join().unwrap()
    });
    answer.expect_error(404, "not_found");
    server.call(&key, Request::get(&path)).expect_error(404, "not_found");
}

#[test]
fn a_change_made_meanwhile_is_kept_and_the_chat_comes_behind_it() {
    let (server, upstream, go) = in_two_halves(
        |_| {},
        |connection| write_json(connection, 200, &json!({"choices": [{"message": assistant("Hello")}]})),
    );
    let (key, _) = server.key(json!({}));
    let path = stored(&server, &key, &[user("one")]);
    std::thread::scope(|scope| {
        let client = scope.spawn(|| server.call(&key, appending(&path, "Hi")).expect(200));
        eventually("the upstream is asked", || upstream.seen().len() == 1);
        server.call(&key, super::append(&path, &[user("two")])).expect(200);
        go.send(()).unwrap();
        client.join().unwrap();
    });
    let context = show(&server, &key, &path);
    assert_eq!(context["messages"], json!([user("one"), user("two"), user("Hi"), assistant("Hello")]));
    assert_eq!(context["revision"], 3);
}

#[test]
fn a_context_that_would_grow_too_long_is_left_as_it_is() {
    let long = "x".repeat(1_500);
    let event = json!({"choices": [{"index": 0, "delta": {"content": &long}}]}).to_string();
    let upstream = FakeUpstream::start(move |seen, connection| {
        if seen.json()["stream"] == true {
            write_stream(connection, &[&event, "[DONE]"]);
        } else {
            write_json(connection, 200, &json!({"choices": [{"message": assistant(&long)}]}));
        }
        true
    });
    let server = TestServer::setup()
        .toml("server.max_json_bytes = 3000")
        .upstream("fake", upstream.address, &["m"])
        .start();
    let (key, _) = server.key(json!({}));
    let path = stored(&server, &key, &[user(&"x".repeat(1_500))]);
    let before = show(&server, &key, &path);
    server.call(&key, appending(&path, "Hi")).expect_error(413, "payload_too_large");
    let mut stream = streaming(&path, "Hi").bearer(&key).open(server.public);
    expect_failed(&mut stream, "payload_too_large", "streamed");
    let more = [user(&"x".repeat(1_500))];
    let answer = server.call(&key, super::append(&path, &more)).expect_error(413, "payload_too_large");
    assert!(message_of(&answer).contains("3000"), "{}", message_of(&answer));
    assert_eq!(show(&server, &key, &path), before);
}
