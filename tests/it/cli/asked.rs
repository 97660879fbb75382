//! What commands ask the daemon for, and what they make of its answers: the daemon is one that only writes down what
//! it is asked.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use super::{Said, run, run_with};
use crate::harness::Folder;
use crate::harness::binary::{CONFIG, command};

/// Answers on the admin socket of a folder.
pub(super) struct FakeDaemon {
    pub(super) folder: Folder,
    /// Request lines and bodies.
    seen: Arc<Mutex<Vec<(String, String)>>>,
    /// Their `Idempotency-Key`s.
    pub(super) wishes: Arc<Mutex<Vec<String>>>,
}

impl FakeDaemon {
    /// Answers every request with this, head and all, and closes the connection.
    fn answering(answer: impl Into<Vec<u8>>) -> Self {
        Self::answering_in_turn(vec![answer.into()])
    }

    /// The same, with one answer after the other, the last one for ever. An empty one is a connection that breaks.
    pub(super) fn answering_in_turn(answers: Vec<Vec<u8>>) -> Self {
        let folder = Folder::new();
        fs::create_dir(folder.path().join("data")).unwrap();
        fs::write(folder.path().join("mcpd.toml"), CONFIG).unwrap();
        let listener = UnixListener::bind(folder.path().join("data/admin.sock")).unwrap();
        let seen = Arc::new(Mutex::default());
        let wishes = Arc::new(Mutex::new(Vec::new()));
        let (noted, wished_for) = (Arc::clone(&seen), Arc::clone(&wishes));
        let last = answers.last().cloned().unwrap_or_default();
        let answers = answers.into_iter().chain(std::iter::repeat(last));
        thread::spawn(move || {
            for (connection, answer) in listener.incoming().zip(answers) {
                let mut connection = connection.unwrap();
                let mut bytes = Vec::new();
                while !is_whole(&bytes) {
                    let mut piece = [0; 4_096];
                    let length = connection.read(&mut piece).unwrap();
                    assert!(length > 0, "half a request");
                    bytes.extend_from_slice(&piece[..length]);
                }
                let text = String::from_utf8(bytes).unwrap();
                let (head, body) = text.split_once("\r\n\r\n").unwrap();
                let line = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1");
                Vec::push(&mut *noted.lock().unwrap(), (line.to_owned(), body.to_owned()));
                let wish = head.lines().find_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("idempotency-key: ").map(str::to_owned)
                });
                wished_for.lock().unwrap().extend(wish);
                connection.write_all(&answer).unwrap();
            }
        });
        Self { folder, seen, wishes }
    }

    pub(super) fn json(status: &str, body: &Value) -> Self {
        let body = body.to_string();
        let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}", body.len());
        Self::answering(format!("{head}\r\n\r\n{body}"))
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Said {
        run(&self.folder, arguments)
    }

    pub(super) fn seen(&self) -> Vec<(String, String)> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

/// Tells whether a request has come with all of its body.
fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    length.map_or(0, |length| length.parse().unwrap()) <= body.len()
}

const KEY: &str = "key_0123456789ABCDEFGHIJKLMN";

#[test]
fn each_command_asks_for_what_it_shows() {
    let daemon = FakeDaemon::json("200 OK", &json!({"ok": true, "delivered": true, "status": null}));
    let key_path = format!("GET /admin/v1/keys/{KEY}");
    let cases: &[(&[&str], String)] = &[
        (&["keys", "migration", KEY], format!("{key_path}/migration")),
        (&["keys", "advice", KEY], format!("{key_path}/advice")),
        (&["keys", "list"], "GET /admin/v1/keys?limit=1000".into()),
        (
            &["keys", "list", "--status", "revoked", "--search", "a&b"],
            "GET /admin/v1/keys?limit=1000&status=revoked&search=a%26b".into(),
        ),
        (
            &["keys", "list", "--sort", "last_used", "--order", "asc"],
            "GET /admin/v1/keys?limit=1000&sort=last_used&order=asc".into(),
        ),
        (&["keys", "show", KEY], key_path.clone()),
        (&["keys", "update", KEY, "--enable"], format!("PATCH /admin/v1/keys/{KEY}")),
        (&["usage", "verify"], "GET /admin/v1/usage/verify".into()),
        (&["audit", "verify"], "GET /admin/v1/audit/verify".into()),
        (&["audit", "--action", "a&b=c"], "GET /admin/v1/audit?limit=100&action=a%26b%3Dc".into()),
        (
            &["alerts", "--status", "open", "--key", KEY, "--limit", "5"],
            format!("GET /admin/v1/alerts?limit=5&status=open&key={KEY}"),
        ),
        (&["alerts", "acknowledge", "alert_1"], "POST /admin/v1/alerts/alert_1/acknowledge".into()),
        (&["alerts", "rules"], "GET /admin/v1/alert-rules?limit=1000".into()),
        (&["alerts", "test", "rule_1"], "POST /admin/v1/alert-rules/rule_1/test".into()),
        (
            &[
                "usage",
                "--from",
                "2026-11-01T00:00:00Z",
                "--to",
                "2026-11-02T00:00:00+01:00",
                "--tz",
                "-03:30",
            ],
            "GET /admin/v1/usage?from=2026-11-01T00%3A00%3A00Z&step=hour&to=2026-11-01T23%3A00%3A00Z&tz=-03%3A30"
                .into(),
        ),
        (
            &["usage", "--from", "2026-11-01T00:00:00Z", "--step", "minute", "--group-by", "status,model"],
            "GET /admin/v1/usage?from=2026-11-01T00%3A00%3A00Z&step=minute&group_by=status%2Cmodel".into(),
        ),
    ];
    for (arguments, asked) in cases {
        daemon.run(arguments).done();
        let seen = daemon.seen();
        assert_eq!(seen.iter().map(|(line, _)| line).collect::<Vec<_>>(), [asked], "{arguments:?}");
    }
    for arguments in [&["alerts", "acknowledge", "../keys"][..], &["alerts", "test", ""]] {
        daemon.run(arguments).failed(2);
    }
    assert_eq!(daemon.seen(), []);
}

#[test]
fn explain_sends_what_it_was_given_and_a_key_from_standard_input_only() {
    let explained = json!({"allowed": true, "status": 200, "error": null, "decided_by": null, "steps": []});
    let daemon = FakeDaemon::json("200 OK", &explained);
    let secret = "mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38";
    let cases: &[(&[&str], &str, Value)] = &[
        (&["some.request-1"], "", json!({"request_id": "some.request-1"})),
        (&["--key-stdin"], &format!("{secret}\n"), json!({"key": secret})),
        (
            &["--key-id", KEY, "--method", "GET", "--path", "/v1/files", "--ip", "::1", "--model", "m"],
            "",
            json!({"key_id": KEY, "method": "GET", "path": "/v1/files", "ip": "::1", "model": "m"}),
        ),
        (&["--key-id", KEY, "--method", "get"], "", json!({"key_id": KEY, "method": "GET"})),
    ];
    for (arguments, input, body) in cases {
        let said = run_with(command(&daemon.folder, &[&["explain"], *arguments].concat()), input).done();
        assert!(said.ends_with("Allowed: the request would be let through.\n"), "{said}");
        let seen = daemon.seen();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].0, "POST /admin/v1/explain");
        assert_eq!(serde_json::from_str::<Value>(&seen[0].1).unwrap(), *body);
    }
    let told = daemon.run(&["explain", "--key-stdin"]).failed(1);
    assert!(told.contains("no key on standard input"), "{told}");
    assert_eq!(daemon.seen(), []);
}

#[test]
fn json_is_printed_as_it_came() {
    let body = "{\"b\":  1.50, \"a\": [\"ü\"], \"data\": []}";
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}", body.len());
    let daemon = FakeDaemon::answering(format!("{head}\r\n\r\n{body}"));
    for arguments in [
        &["alerts"][..],
        &["alerts", "rules"],
        &["alerts", "acknowledge", "alert_1"],
        &["audit"],
        &["keys", "advice", KEY],
        &["keys", "migration", KEY],
        &["explain", "x"],
    ] {
        assert_eq!(daemon.run(&[arguments, &["--json"]].concat()).done(), format!("{body}\n"));
    }
    // What ends with status 1 is told as well.
    for arguments in [&["alerts", "test", "rule_1"][..], &["usage", "verify"], &["audit", "verify"]] {
        let said = daemon.run(&[arguments, &["--json"]].concat());
        assert_eq!((said.status, said.out), (Some(1), format!("{body}\n")), "{arguments:?}: {}", said.err);
    }
}

#[test]
fn what_the_daemon_refuses_is_told_in_its_words() {
    let error = json!({"error": {"code": "not_found", "message": "There is no alert\u{1b}[2J", "type": "x"}});
    let daemon = FakeDaemon::json("404 Not Found", &error);
    for arguments in [&["alerts", "acknowledge", "alert_1"][..], &["audit", "export"], &["explain", "x"]] {
        assert_eq!(daemon.run(arguments).failed(1), "mcpd: There is no alert\u{fffd}[2J\n");
    }
    for status in ["400 Bad Request", "422 Unprocessable Content"] {
        let daemon = FakeDaemon::json(status, &error);
        for arguments in [&["usage"][..], &["alerts", "test", "rule_1"], &["explain", "x"]] {
            assert_eq!(daemon.run(arguments).failed(2), "mcpd: There is no alert\u{fffd}[2J\n");
        }
    }
    let undelivered = json!({"delivered": false, "status": null, "error": "no connection"});
    let daemon = FakeDaemon::json("200 OK", &undelivered);
    let told = daemon.run(&["alerts", "test", "rule_1"]).failed(1);
    assert_eq!(told, "mcpd: the sample alert was not delivered: no connection\n");
    let wrong = json!({"ok": false, "checked": [], "first_difference": {"start": "x"}});
    let daemon = FakeDaemon::json("200 OK", &wrong);
    let told = daemon.run(&["usage", "verify"]).failed(1);
    assert!(told.contains("do not add up: ") && told.contains(" at x for ") && !told.contains('{'), "{told}");
}

#[test]
fn an_export_that_breaks_off_fails_and_leaves_no_file() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-MCP-Rows: 3\r\n\r\n";
    let daemon = FakeDaemon::answering(format!("{head}4\r\n{{}}\n\n\r\n"));
    let told = daemon.run(&["audit", "export", "audit.jsonl"]).failed(1);
    assert!(told.contains("broke off: 2 of 3 rows came"), "{told}");
    assert!(!daemon.folder.path().join("audit.jsonl").exists());
    let said = daemon.run(&["audit", "export"]);
    assert_eq!((said.status, said.out.as_str()), (Some(1), "{}\n\n"));
}
