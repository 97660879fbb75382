//! The upload's form: whatever comes, in whatever pieces, it is a file to the byte or nothing at all.
//!
//! The first line of the input says how the body is cut, and by its first byte what the rest is: `r` a form as it
//! stands, with the boundary `b`; anything else a file's name in one line and all that is in it, of which a form is made.
#![no_main]

use std::cell::OnceCell;

use actix_web::http::{Method, StatusCode};
use libfuzzer_sys::fuzz_target;
use mcpd::domain::file::Filename;
use mcpd_fuzz::input::{first_line, pieces};
use mcpd_fuzz::server::{Answer, Ask, Quiet};

/// As many bytes as the server of the targets takes.
const MOST: usize = 65536;

thread_local!(static SERVER: OnceCell<Quiet> = const { OnceCell::new() });

fuzz_target!(|data: &[u8]| {
    SERVER.with(|server| {
        let server = server.get_or_init(Quiet::start);
        let (how, rest) = first_line(data);
        if how.first() == Some(&b'r') {
            check_form(server, how, rest);
        } else {
            check_file(server, how, rest);
        }
    });
});

/// A form as it stands: taken or refused, the same in pieces as whole.
fn check_form(server: &Quiet, cuts: &[u8], body: &[u8]) {
    let whole = upload(server, "b", &[body]);
    let status = whole.status;
    let kept = settle(server, &whole);
    if let Some((name, content)) = &kept {
        assert!(content.is_empty() || body.windows(content.len()).any(|window| window == content), "made up");
        assert!(Filename::parse(name).is_ok());
    }
    let cut = upload(server, "b", &pieces(body, cuts));
    assert_eq!(cut.status, status, "whole: {:?}, in pieces: {:?}", whole.body, cut.body);
    assert_eq!(settle(server, &cut), kept);
}

/// A file in a form that is as it should be: taken, and the same when it is read again.
fn check_file(server: &Quiet, cuts: &[u8], data: &[u8]) {
    let (name, content) = first_line(data);
    let Ok(name) = std::str::from_utf8(name) else { return };
    let boundary = "nothing-that-the-file-has";
    if content.windows(boundary.len()).any(|window| window == boundary.as_bytes()) {
        return;
    }
    // As browsers write it; a backslash is read as one of two that others write.
    let escaped = name.replace('"', "%22").replace('\r', "%0D");
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nuser_data\r\n--{boundary}\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"{escaped}\"\r\nContent-Type: text/plain\r\n\r\n"
    );
    let body = [head.as_bytes(), content, b"\r\n--", boundary.as_bytes(), b"--\r\n"].concat();
    let answer = upload(server, boundary, &pieces(&body, cuts));
    let kept = settle(server, &answer);
    let plain = !name.contains(['\\', '%']) && name.len() < 200;
    if plain && Filename::parse(name).is_ok() && content.len() <= MOST {
        assert_eq!(kept, Some((name.to_owned(), content.to_vec())), "{:?}", answer.body);
    } else if let Some((_, kept)) = kept {
        assert_eq!(kept, content);
    }
}

fn upload(server: &Quiet, boundary: &str, pieces: &[&[u8]]) -> Answer {
    let ask = Ask::new(Method::POST, "/v1/files");
    server.call(ask.header("content-type", format!("multipart/form-data; boundary={boundary}")).body(pieces))
}

/// Returns the name and content of what was taken, and deletes it. What was refused has left nothing.
fn settle(server: &Quiet, answer: &Answer) -> Option<(String, Vec<u8>)> {
    let kept = (answer.status == StatusCode::OK).then(|| take_back(server, answer));
    if kept.is_none() {
        let (code, message) = answer.refusal();
        let known = ["invalid_request", "payload_too_large", "unsupported_media_type"];
        assert!(known.contains(&code.as_str()), "{code}: {message}");
    }
    let left = server.call(Ask::new(Method::GET, "/v1/files")).json();
    assert_eq!(left["data"].as_array().unwrap().len(), 0, "something is left: {left}");
    kept
}

fn take_back(server: &Quiet, answer: &Answer) -> (String, Vec<u8>) {
    let file = answer.json();
    let path = format!("/v1/files/{}", file["id"].as_str().unwrap());
    let content = server.call(Ask::new(Method::GET, &format!("{path}/content")));
    assert_eq!(content.status, StatusCode::OK);
    assert_eq!(file["bytes"], content.body.len());
    assert_eq!(server.call(Ask::new(Method::DELETE, &path)).status, StatusCode::OK);
    (file["filename"].as_str().unwrap().to_owned(), content.body.to_vec())
}
