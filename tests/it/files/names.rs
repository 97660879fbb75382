//! What files may be called: anything but what could not be told again; never a path of this machine.

use serde_json::json;

use super::{NOTHING, download, form, id, kept, part, post, purpose};
use crate::harness::{Request, TestServer, escape};

/// As browsers write it: `"` as `%22`, and nothing else.
fn plainly(name: &str) -> Vec<u8> {
    part(format!("name=\"file\"; filename=\"{}\"", name.replace('"', "%22")), "x")
}

/// As RFC 8187 has it, for any name.
fn extended(name: &str) -> Vec<u8> {
    part(format!("name=\"file\"; filename*=UTF-8''{}", escape(name)), "x")
}

/// The name that a download is given, read as RFC 6266 says.
fn told(disposition: &str) -> String {
    if let Some((_, coded)) = disposition.split_once("filename*=UTF-8''") {
        let mut bytes = Vec::new();
        let mut rest = coded.as_bytes();
        while let [first, after @ ..] = rest {
            rest = after;
            if *first == b'%' {
                bytes.push(u8::from_str_radix(std::str::from_utf8(&after[..2]).unwrap(), 16).unwrap());
                rest = &after[2..];
            } else {
                bytes.push(*first);
            }
        }
        return String::from_utf8(bytes).unwrap();
    }
    let quoted = disposition.split_once("filename=\"").unwrap().1;
    quoted.strip_suffix('"').unwrap().to_owned()
}

#[test]
fn a_filename_is_kept_and_told_to_the_letter() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let long = "é🦀x".repeat(146) + "é";
    assert_eq!(long.len(), 1_024);
    // Those that a browser's spelling cannot tell from another one.
    let ambiguous = [r"two\\backslashes", r"ends with\", "%22", "%0A", "a%0db"];
    let names = [
        "a.txt",
        "日本語 🦀 ñ e\u{301}.pdf",
        "\u{202e}gnp.exe",
        "\u{200b}",
        "../../etc/passwd",
        "/etc/passwd",
        r"..\..\C:\dir\a.txt",
        "\"quoted\" 'and' `so`",
        "a; filename=b; name=\"purpose\"",
        "100% %41 %zz %",
        " ",
        "  a  ",
        ".",
        "..",
        "-rf",
        "a,b=c&d?e#f*g<h>i|j:k",
        &long,
    ];
    for (name, plain) in names.iter().map(|name| (*name, true)).chain(ambiguous.map(|name| (name, false))) {
        let spellings = [Some(extended(name)), plain.then(|| plainly(name))];
        for file in spellings.into_iter().flatten() {
            let answer = server.call(&key, post(form(&[purpose("p"), file])));
            let stored = answer.clone();
            assert_eq!(stored.status, 200, "{name}: {}", stored.text());
            assert_eq!(stored.json()["filename"], *name);
            let id = id(&answer);
            let came = server.call(&key, download(&id)).expect(200);
            let disposition = came.header("content-disposition").unwrap();
            assert!(disposition.starts_with("attachment; filename=\"") && disposition.is_ascii());
            assert_eq!(told(disposition), *name, "{disposition}");
            let shown = server.call(&key, Request::get(&format!("/v1/files/{id}"))).expect(200);
            assert_eq!(shown.json()["filename"], *name);
        }
    }
    for made in std::fs::read_dir(server.folder.path()).unwrap() {
        let name = made.unwrap().file_name().into_string().unwrap();
        assert!(["mcpd.", "admin", "default-key"].iter().any(|own| name.starts_with(own)), "{name}");
    }
}

#[test]
fn what_is_no_filename_is_refused_by_name_and_nothing_is_kept() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let raw = |name: &[u8]| part([b"name=\"file\"; filename=\"", name, b"\""].concat(), "x");
    let cases = [
        ("none", part("name=\"file\"", "x")),
        ("empty", raw(b"")),
        ("empty, extended", extended("")),
        ("NUL", raw(b"a\0b")),
        ("NUL, extended", extended("a\0b")),
        ("escape", extended("a\x1b[31mb")),
        ("a line end", raw(b"a%0D%0ASet-Cookie: x")),
        ("a line end, extended", extended("a\r\nSet-Cookie: x")),
        ("delete", extended("\x7f")),
        ("a later control character", extended("\u{85}")),
        ("1,025 bytes", raw(&[b'x'; 1_025])),
        ("4 KiB", raw(&[b'x'; 4_096])),
        ("no UTF-8", raw(b"a\xff")),
        ("half a letter", raw(b"a\xc3")),
        ("no UTF-8, extended", part("name=\"file\"; filename*=UTF-8''%ff", "x")),
        ("another charset", part("name=\"file\"; filename*=iso-8859-1''%e9", "x")),
        ("an unknown charset", part("name=\"file\"; filename*=klingon''a", "x")),
        ("no charset", part("name=\"file\"; filename*=a", "x")),
        ("a quote too few", part("name=\"file\"; filename=\"a", "x")),
        ("a key", raw(key.as_bytes())),
    ];
    for (name, file) in cases {
        let answer = server.call(&key, post(form(&[purpose("p"), file])));
        assert!(matches!(answer.status, 400 | 422), "{name}: {} {}", answer.status, answer.text());
        assert_eq!(answer.code(), "invalid_request", "{name}");
        let text = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(text.contains("file"), "{name}: {text}");
        assert!(!text.contains(&key) && !text.contains('\0'), "{name}: {text}");
        assert_eq!(kept(&server), NOTHING, "{name}");
    }
}
