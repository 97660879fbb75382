//! Files that messages name: their text is put in their place.

use serde_json::{Value, json};

use super::{CHAT, assistant, chat, in_front_of, message_of, post, show, stored, text, user};
use crate::harness::{FakeUpstream, Request, TestServer};

/// Stores a file; returns its id.
fn upload(server: &TestServer, key: &str, bytes: &[u8]) -> String {
    let head = "--edge\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nuser_data\r\n\
                --edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n";
    let body = [head.as_bytes(), bytes, b"\r\n--edge--\r\n"].concat();
    let request = Request::new("POST", "/v1/files")
        .header("Content-Type", "multipart/form-data; boundary=edge")
        .body(body);
    text(&server.call(key, request).expect(200).json(), "id")
}

fn file(id: &str) -> Value {
    json!({"type": "file", "file": {"file_id": id}})
}

fn words(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn parts(parts: &[Value]) -> Value {
    json!({"role": "user", "content": parts})
}

fn ask(messages: &[Value]) -> Request {
    Request::post(CHAT, &json!({"model": "m", "messages": messages}))
}

fn answering() -> FakeUpstream {
    FakeUpstream::json(200, json!({"choices": [{"message": assistant("Hi")}]}))
}

#[test]
fn a_file_s_text_takes_its_place_in_own_and_in_stored_messages() {
    let upstream = answering();
    let server = in_front_of(&upstream);
    let (key, _) = server.key(json!({}));
    let poem = "Zwölf \"Boxkämpfer\"\n\tjagen \\ Viktor\u{1} 💻\r\n";
    // Longer than a chunk, and no chunk ends where a letter does.
    let long = "aé".repeat(100_000);
    let (first, second, empty) = (
        upload(&server, &key, poem.as_bytes()),
        upload(&server, &key, long.as_bytes()),
        upload(&server, &key, b""),
    );
    let asked = parts(&[words("Sum up:"), file(&first), file(&second), words("and"), file(&first)]);
    let sent = parts(&[words("Sum up:"), words(poem), words(&long), words("and"), words(poem)]);
    let path = stored(&server, &key, &[user("Hi"), asked.clone()]);
    let own = [user("x"), asked.clone(), parts(&[file(&empty)])];
    server.call(&key, chat(&path, &own, &json!({"context_append": true}))).expect(200);
    let expected = [user("Hi"), sent.clone(), user("x"), sent.clone(), parts(&[words("")])];
    assert_eq!(upstream.seen()[0].json(), json!({"messages": expected, "model": "m"}));
    // What is kept names the files still.
    let kept = [user("Hi"), asked.clone(), user("x"), asked.clone(), own[2].clone(), assistant("Hi")];
    assert_eq!(show(&server, &key, &path)["messages"], json!(kept));
    server.call(&key, ask(&[asked])).expect(200);
    assert_eq!(upstream.seen()[1].json(), json!({"messages": [sent], "model": "m"}));
}

#[test]
fn all_else_in_a_message_goes_out_to_the_letter() {
    let upstream = answering();
    let server = in_front_of(&upstream);
    let (key, _) = server.key(json!({}));
    let id = upload(&server, &key, b"words");
    let message = |part: &str| {
        format!(
            r#"{{"n":1.50, "content" : [ {{"type":"text","text":"caf\u00e9"}} , {part} ,{{"x":1e3}}], "role":"user"}}"#
        )
    };
    let named = format!(r#"{{ "file":{{"x":1,"file_id":"{id}"}} , "type":"f\u0069le" }}"#);
    server
        .call(&key, post(CHAT, &format!(r#"{{"model":"m","messages":[{}]}}"#, message(&named))))
        .expect(200);
    let sent = String::from_utf8(upstream.seen()[0].body.clone()).unwrap();
    let expected = message(r#"{"type":"text","text":"words"}"#);
    assert!(sent.contains(&expected), "{sent}");
}

#[test]
fn what_names_no_stored_file_is_passed_on_untouched() {
    let upstream = answering();
    let server = in_front_of(&upstream);
    let (key, _) = server.key(json!({"scopes": ["chats:create"]}));
    let id = "file_0123456789ABCDEFGHIJKLMN";
    let messages = [
        parts(&[file("file-abc"), file("x"), json!({"type": "file", "file": {"file_data": "data:,x"}})]),
        parts(&[json!({"type": "input_file", "file": {"file_id": id}}), json!({"type": "file"})]),
        parts(&[json!({"type": "file", "file": {"file_id": null}}), json!({"type": "file", "file": id})]),
        parts(&[json!({"type": "file", "file_id": id}), json!(id), json!(null)]),
        json!({"role": "user", "content": file(id)}),
        json!({"role": "user", "content": file(id).to_string(), "file": {"file_id": id}}),
    ];
    for message in &messages {
        let request = ask(std::slice::from_ref(message));
        server.call(&key, request).expect(200);
        let expected = json!({"model": "m", "messages": [message]}).to_string();
        assert_eq!(String::from_utf8(upstream.seen().pop().unwrap().body).unwrap(), expected);
    }
}

#[test]
fn a_file_that_cannot_be_put_in_is_told_by_its_place() {
    let upstream = answering();
    let server = in_front_of(&upstream);
    let (key, _) = server.key(json!({}));
    let good = upload(&server, &key, b"good");
    let deleted = upload(&server, &key, b"deleted");
    server.call(&key, Request::new("DELETE", &format!("/v1/files/{deleted}"))).expect(200);
    let bad = [
        "file_0123456789ABCDEFGHIJKLMN".to_owned(),
        "file_1".to_owned(),
        "file_".to_owned(),
        deleted,
        upload(&server, &key, b"\xff\xfe"),
        upload(&server, &key, b"PK\x03\x04\0\0"),
        upload(&server, &key, "é".repeat(70_000).as_bytes().split_last().unwrap().1),
    ];
    for bad in &bad {
        let message = parts(&[file(&good), file(bad)]);
        let answer = server.call(&key, ask(std::slice::from_ref(&message)));
        let told = message_of(&answer.expect_error(422, "invalid_request"));
        assert!(told.contains("`messages[0].content[1].file.file_id`"), "{told}");
        let answer = server.call(&key, ask(&[user("x"), user("y"), message.clone()]));
        let told = message_of(&answer.expect_error(422, "invalid_request"));
        assert!(told.contains("`messages[2].content[1].file.file_id`"), "{told}");
        let path = stored(&server, &key, &[user("Hi"), message]);
        let answer = server.call(&key, chat(&path, &[user("x")], &json!({"context_append": true})));
        let told = message_of(&answer.expect_error(422, "invalid_request"));
        assert!(told.contains("`context.messages[1].content[1].file.file_id`"), "{told}");
        assert_eq!(show(&server, &key, &path)["revision"], 1);
    }
    assert!(upstream.seen().is_empty());
}

#[test]
fn files_make_no_chat_longer_than_a_body_may_be() {
    let upstream = answering();
    let server = TestServer::setup()
        .toml("server.max_json_bytes = 300000")
        .upstream("fake", upstream.address, &["m"])
        .start();
    let (key, _) = server.key(json!({}));
    let upload = |bytes: usize| upload(&server, &key, "x".repeat(bytes).as_bytes());
    let (fits, too_long) = (upload(140_000), upload(300_001));
    server.call(&key, ask(&[parts(&[file(&fits), file(&fits)])])).expect(200);
    let path = stored(&server, &key, &[parts(&[file(&fits), file(&fits)])]);
    for request in [
        ask(&[parts(&[file(&too_long)])]),
        ask(&[parts(&[file(&fits), file(&fits)]), parts(&[file(&fits)])]),
        chat(&path, &[parts(&[file(&fits)])], &json!({})),
    ] {
        server.call(&key, request).expect_error(413, "payload_too_large");
    }
    assert_eq!(upstream.seen().len(), 1);
}
