//! The public listener over TLS, HTTP/1.1 and HTTP/2 alike, asked by somebody else's client.

use std::fs;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::harness::binary::{CONFIG, make_certificate};
use crate::harness::{Binary, Folder, Request};

fn serving() -> Binary {
    let folder = Folder::new();
    let config = format!("{CONFIG}server.tls = {{ cert = \"own.pem\", key = \"own.key\" }}\n");
    fs::write(folder.path().join("mcpd.toml"), config).unwrap();
    make_certificate(folder.path(), "own");
    Binary::start_in(folder)
}

fn curl(arguments: &[&str]) -> Output {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "10", "--noproxy", "*"]).args(arguments);
    curl.output().expect("curl, from the package of that name")
}

#[test]
fn https_is_served_with_the_configured_certificate() {
    let binary = serving();
    let certificate = binary.path("own.pem");
    let authorization = format!("Authorization: Bearer {}", binary.default_key());
    let output = curl(&[
        "--cacert",
        certificate.to_str().unwrap(),
        "--header",
        &authorization,
        "--json",
        r#"{"model": "m", "messages": [{"role": "user", "content": "Hello"}]}"#,
        &format!("https://{}/v1/chat/completions", binary.public),
    ]);
    assert!(output.status.success(), "{output:?}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "Hello");
    let untrusted = curl(&[&format!("https://{}/healthz", binary.public)]);
    assert_eq!(untrusted.status.code(), Some(60), "{untrusted:?}");
    assert!(!curl(&[&format!("http://{}/healthz", binary.public)]).status.success());
    let server = binary.admin(Request::get("/admin/v1/server")).expect(200).json();
    assert_eq!(server["listeners"]["tls"], true);
}

#[test]
fn a_request_for_the_head_alone_is_counted_once_as_what_it_was_answered() {
    for version in ["1.1", "2"] {
        let binary = serving();
        let certificate = binary.path("own.pem");
        let http = format!("--http{version}");
        let head = |key: &str, path: &str| {
            let output = curl(&[
                "--cacert",
                certificate.to_str().unwrap(),
                &http,
                "--head",
                "--header",
                &format!("Authorization: Bearer {key}"),
                "--write-out",
                "%{http_version} %{http_code}",
                "--output",
                "/dev/null",
                &format!("https://{}{path}", binary.public),
            ]);
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let key = binary.default_key();
        let cases = [
            (&*key, "/healthz", 200),
            (&*key, "/v1/key", 405),
            (&*key, "/v1/none", 404),
            ("-", "/v1/key", 401),
        ];
        for (key, path, status) in cases {
            assert_eq!(head(key, path), format!("{version} {status}"), "{path}");
        }
        let usage = "/admin/v1/usage?step=day&group_by=status";
        let usage = binary.admin(Request::get(usage)).expect(200).json();
        let rows = usage["data"].as_array().unwrap().iter();
        let mut counted: Vec<_> = rows.map(|row| json!([row["status"], row["requests"]])).collect();
        counted.sort_by_key(Value::to_string);
        // What needs no key is not counted.
        assert_eq!(counted, [json!([401, 1]), json!([404, 1]), json!([405, 1])], "HTTP/{version}");
    }
}
