//! Reloads while requests come and streams run: none of them notices.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use super::{outcomes, upstream, write};
use crate::harness::binary::{CONFIG, make_certificate};
use crate::harness::upstream::{begin_stream, end_stream, send_event, write_json};
use crate::harness::{Binary, FakeUpstream, Folder, Request, Stop, Stream, eventually};

const RELOADS: usize = 200;

/// One that answers chats at once, and streams of 40 events over a second.
fn fake() -> FakeUpstream {
    FakeUpstream::start(|seen, connection| {
        if !seen.target.ends_with("/chat/completions") || seen.json()["stream"] != true {
            let message = json!({"role": "assistant", "content": "Hello"});
            let body =
                json!({"model": "m", "choices": [{"index": 0, "message": message}], "data": [{"id": "m"}]});
            write_json(connection, 200, &body);
            return true;
        }
        begin_stream(connection);
        for number in 0..40 {
            send_event(
                connection,
                &json!({"choices": [{"delta": {"content": number.to_string()}}]}).to_string(),
            );
            std::thread::sleep(Duration::from_millis(25));
        }
        send_event(connection, "[DONE]");
        end_stream(connection);
        false
    })
}

/// Sends chats one after the other over one connection for as long as it may, or until it is told that an answer was the
/// last one; returns how many were answered.
pub fn ask_on_and_on(address: SocketAddr, key: &str, go_on: &AtomicBool) -> usize {
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    let bytes = Request::chat("Hello").bearer(key).header("Connection", "keep-alive").bytes();
    let mut answered = 0;
    while go_on.load(Ordering::Relaxed) {
        connection.write_all(&bytes).unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).unwrap() > 0, "the connection was closed: {head}");
        }
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let length = head.to_lowercase();
        let length = length.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        answered += 1;
        if head.to_lowercase().contains("\r\nconnection: close\r\n") {
            break;
        }
    }
    answered
}

/// Streams one after the other for as long as it may; returns how many came to their proper end.
fn stream_on_and_on(address: SocketAddr, key: &str, go_on: &AtomicBool) -> usize {
    let body = json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "Hello"}]});
    let request = Request::post("/v1/chat/completions", &body).bearer(key);
    let mut ended = 0;
    while go_on.load(Ordering::Relaxed) {
        let mut stream: Stream = request.open(address);
        assert_eq!(stream.status, 200);
        let events = stream.events();
        assert_eq!((events.len(), events.last().map(String::as_str)), (41, Some("[DONE]")), "{events:?}");
        assert!(stream.complete);
        ended += 1;
    }
    ended
}

#[test]
fn two_hundred_reloads_under_load_fail_no_request_and_break_no_stream() {
    let (one, two) = (fake(), fake());
    // Listed and asked for, alone and together, under one name and another.
    let configs = [
        upstream("one", one.address, "models = [\"m\"]"),
        upstream("one", one.address, ""),
        upstream("one", two.address, "models = [\"m\"]\nweight = 3"),
        upstream("two", two.address, "") + &upstream("one", one.address, "models = [\"m\"]"),
        upstream("two", two.address, ""),
    ];
    let config = |number: usize| {
        let plan = format!("plans.standard.requests_per_minute = {}\n", 1_000_000 + number);
        format!("server.workers = 2\n{plan}{}", configs[number % configs.len()])
    };
    let binary = Binary::start(&config(0));
    let key = super::key(&binary, json!({}));
    let (go_on, answered, ended) = (AtomicBool::new(true), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let _stop = Stop(&go_on);
        for _ in 0..3 {
            scope.spawn(|| {
                answered.fetch_add(ask_on_and_on(binary.public, &key, &go_on), Ordering::Relaxed);
                assert!(!go_on.load(Ordering::Relaxed), "the connection was closed");
            });
            scope.spawn(|| ended.fetch_add(stream_on_and_on(binary.public, &key, &go_on), Ordering::Relaxed));
        }
        for number in 1..=RELOADS {
            write(&binary, &config(number));
            binary.signal("HUP");
            eventually("it is reloaded", || outcomes(&binary.log()) == number);
        }
    });
    let log = binary.log();
    assert!(!log.contains("ERROR") && !log.contains("was not reloaded"), "{log}");
    let (answered, ended) = (answered.into_inner(), ended.into_inner());
    assert!(answered > RELOADS && ended > 3, "{answered} answers and {ended} streams");
}

fn curl(binary: &Binary, certificate: &str, http: &str) -> Output {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "10", "--noproxy", "*", http, "--cacert"]);
    curl.arg(binary.path(certificate)).args(["--output", "/dev/null", "--write-out", "%{http_version}"]);
    curl.arg(format!("https://{}/healthz", binary.public))
        .output()
        .expect("curl, from the package of that name")
}

/// New connections get this certificate and not the other one, in HTTP/1.1 and HTTP/2.
pub fn expect_certificate(binary: &Binary, shown: &str, other: &str) {
    for http in ["--http1.1", "--http2"] {
        let output = curl(binary, shown, http);
        assert!(output.status.success(), "{shown}: {output:?}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), http.trim_start_matches("--http"));
        let output = curl(binary, other, http);
        assert_eq!(output.status.code(), Some(60), "{other}: {output:?}");
    }
}

/// Asks for something over TLS, whoever has signed the certificate; fails if the answer is an error.
fn insecure_curl(http: &str, url: &str) -> Command {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--insecure", "--noproxy", "*", http, url]);
    curl
}

#[test]
fn a_renewed_certificate_is_shown_to_new_connections_and_nobody_else_notices() {
    let folder = Folder::new();
    let tls = "server.tls = { cert = \"own.pem\", key = \"own.key\" }\n";
    fs::write(folder.path().join("mcpd.toml"), format!("{CONFIG}{tls}")).unwrap();
    for name in ["first", "second"] {
        make_certificate(folder.path(), name);
    }
    let put = |folder: &std::path::Path, name: &str| {
        for suffix in ["pem", "key"] {
            fs::copy(folder.join(format!("{name}.{suffix}")), folder.join(format!("own.{suffix}"))).unwrap();
        }
    };
    put(folder.path(), "first");
    let binary = Binary::start_in(folder);
    expect_certificate(&binary, "first.pem", "second.pem");
    // One download goes on all the while, slower than the rest takes.
    let url = format!("https://{}/openapi.json", binary.public);
    let slow = |http: &str| {
        let mut curl = insecure_curl(http, &url);
        curl.args(["--limit-rate", "12K", "--max-time", "60", "--output", "/dev/null"]).spawn().unwrap()
    };
    let mut running = [slow("--http1.1"), slow("--http2")];
    let go_on = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let _stop = Stop(&go_on);
        for http in ["--http1.1", "--http2"] {
            let (go_on, url) = (&go_on, &url);
            scope.spawn(move || {
                while go_on.load(Ordering::Relaxed) {
                    let output = insecure_curl(http, url).output().unwrap();
                    assert!(output.status.success(), "{output:?}");
                }
            });
        }
        for (number, (shown, other)) in
            [("second", "first"), ("first", "second"), ("second", "first")].iter().enumerate()
        {
            put(&binary.path(""), shown);
            binary.signal("HUP");
            eventually("it is reloaded", || outcomes(&binary.log()) == number + 1);
            expect_certificate(&binary, &format!("{shown}.pem"), &format!("{other}.pem"));
        }
    });
    assert_eq!(binary.log().matches("reloaded mcpd.toml: new are the certificate").count(), 3);
    for download in &mut running {
        assert!(download.wait().unwrap().success());
    }
}
