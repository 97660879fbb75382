//! What the operator's programs send: the first byte of the input says to which route, the rest is the body, and
//! `{key}` in it stands for a live key. What is refused names its field, and no answer repeats the key.
#![no_main]

use std::cell::RefCell;

use actix_web::http::{Method, StatusCode};
use libfuzzer_sys::fuzz_target;
use mcpd::domain::token::Token;
use mcpd_fuzz::input::says_key;
use mcpd_fuzz::server::{Answer, Ask, Quiet};
use serde_json::{Value, json};

thread_local!(static DESK: RefCell<Option<Desk>> = const { RefCell::new(None) });

fuzz_target!(|data: &[u8]| {
    DESK.with_borrow_mut(|desk| desk.get_or_insert_with(Desk::new).check(data));
});

/// A server with a key and a rule to be changed.
struct Desk {
    server: Quiet,
    key: String,
    rule: String,
}

impl Desk {
    fn new() -> Self {
        let server = Quiet::start();
        let mut desk = Self { server, key: String::new(), rule: String::new() };
        (desk.key, desk.rule) = (desk.make_key(), desk.make_rule());
        desk
    }

    fn check(&mut self, data: &[u8]) {
        let Some((which, body)) = data.split_first() else { return };
        let body = with_key(body, &self.server.key);
        let (key, rule) =
            (format!("/admin/v1/keys/{}", self.key), format!("/admin/v1/alert-rules/{}", self.rule));
        match which {
            b'0' => self.create("/admin/v1/keys", &body),
            b'1' => self.change_key(&key, &body),
            b'2' => self.rotate(&key, &body),
            b'3' => self.explain(&body),
            b'4' => self.create("/admin/v1/alert-rules", &body),
            b'5' => self.change_rule(&rule, &body),
            b'6' => self.revoke(&key, &body),
            b'7' => drop(self.send(Method::POST, "/admin/v1/sign-in-links", &body)),
            b'8' => drop(self.send(Method::POST, "/admin/v1/alerts/alert_0/acknowledge", &body)),
            _ => {}
        }
    }

    /// Makes a key or a rule: it is shown as it was asked for, and gone once it is deleted.
    fn create(&self, path: &str, body: &[u8]) {
        let Some(made) = self.send(Method::POST, path, body) else { return };
        let path = format!("{path}/{}", made["id"].as_str().unwrap());
        let shown = self.get(&path);
        for (name, value) in shown.as_object().unwrap() {
            assert_eq!(made[name], *value, "{name}");
        }
        let asked: Value = serde_json::from_slice(body).unwrap();
        for name in ["name", "kind", "plan"] {
            if let (Some(asked), Some(made)) = (asked[name].as_str(), made[name].as_str()) {
                // Blanks around a name are no part of it.
                assert_eq!(made, asked.trim());
            }
        }
        self.delete(&path);
        assert_eq!(self.ask(Method::GET, &path, b"").status, StatusCode::NOT_FOUND);
    }

    /// Changes a key: what is shown then can be sent back, and changes nothing.
    fn change_key(&mut self, path: &str, body: &[u8]) {
        if self.send(Method::PATCH, path, body).is_none() {
            return;
        }
        let shown = self.get(path);
        let settings = [
            "name",
            "scopes",
            "max_concurrent",
            "allowed_ips",
            "allowed_models",
            "metadata",
            "require_signature",
            "report_only",
        ];
        let back: serde_json::Map<String, Value> =
            settings.iter().map(|name| ((*name).to_owned(), shown[name].clone())).collect();
        assert!(self.send(Method::PATCH, path, Value::from(back).to_string().as_bytes()).is_some());
        assert_eq!(self.get(path), shown);
        self.delete(path);
        self.key = self.make_key();
    }

    /// Rotates a key: both know of each other.
    fn rotate(&mut self, path: &str, body: &[u8]) {
        let Some(made) = self.send(Method::POST, &format!("{path}/rotate"), body) else { return };
        assert_eq!(self.get(path)["rotated_to"], made["id"]);
        assert_eq!(made["rotated_from"], self.key.as_str());
        self.delete(path);
        self.delete(&format!("/admin/v1/keys/{}", made["id"].as_str().unwrap()));
        self.key = self.make_key();
    }

    /// Asks what would become of a request: the step that decides is one of those told.
    fn explain(&self, body: &[u8]) {
        let Some(told) = self.send(Method::POST, "/admin/v1/explain", body) else { return };
        let steps = told["steps"].as_array().unwrap();
        let refusing = steps.iter().find(|step| step["outcome"] == "refuse");
        assert_eq!(told["allowed"] == true, refusing.is_none(), "{told}");
        assert_eq!(told["allowed"] == true, told["status"] == 200, "{told}");
        assert_eq!(told["decided_by"], refusing.map_or(Value::Null, |step| step["step"].clone()), "{told}");
    }

    /// Changes a rule: what it looks at stays.
    fn change_rule(&mut self, path: &str, body: &[u8]) {
        let before = self.get(path);
        let Some(changed) = self.send(Method::PATCH, path, body) else { return };
        assert_eq!(changed, self.get(path));
        assert_eq!([&changed["kind"], &changed["key"]], [&before["kind"], &before["key"]]);
        self.delete(path);
        self.rule = self.make_rule();
    }

    fn revoke(&mut self, path: &str, body: &[u8]) {
        if self.send(Method::POST, &format!("{path}/revoke"), body).is_some() {
            assert_eq!(self.get(path)["status"], "revoked");
            self.delete(path);
            self.key = self.make_key();
        }
    }

    /// Returns what a body was answered with, if it was taken. A refusal is checked.
    fn send(&self, method: Method, path: &str, body: &[u8]) -> Option<Value> {
        let answer = self.ask(method, path, body);
        let mut json = answer.json();
        if answer.status.is_success() {
            // A new key is shown this once; all else that looks like one was the client's.
            let new = json["key"].as_str().is_some_and(|key| Token::parse(key.as_bytes()).is_ok());
            if answer.status == StatusCode::CREATED && new {
                assert_ne!(json["key"], self.server.key);
                json["key"] = Value::Null;
            }
            assert!(!says_key(&json), "a key is repeated: {json}");
            return Some(json);
        }
        assert!(!says_key(&json), "a key is repeated: {json}");
        let (code, message) = answer.refusal();
        match (answer.status, code.as_str()) {
            (StatusCode::BAD_REQUEST, "invalid_json") => {
                assert!(message.contains("not valid JSON"), "{message}");
            }
            (StatusCode::UNPROCESSABLE_ENTITY, "invalid_request") => check_named(&message),
            (StatusCode::NOT_FOUND | StatusCode::CONFLICT, _) => {}
            _ => panic!("{}: {code}: {message}", answer.status),
        }
        None
    }

    fn ask(&self, method: Method, path: &str, body: &[u8]) -> Answer {
        self.server.admin(Ask::new(method, path).json(body))
    }

    fn get(&self, path: &str) -> Value {
        let answer = self.ask(Method::GET, path, b"");
        assert_eq!(answer.status, StatusCode::OK);
        answer.json()
    }

    fn delete(&self, path: &str) {
        assert_eq!(self.ask(Method::DELETE, path, b"").status, StatusCode::OK);
    }

    fn make_key(&self) -> String {
        self.make("/admin/v1/keys", &json!({"name": "fuzz", "scopes": ["chats:create"]}))
    }

    fn make_rule(&self) -> String {
        self.make("/admin/v1/alert-rules", &json!({"kind": "error_rate"}))
    }

    fn make(&self, path: &str, body: &Value) -> String {
        let made = self.ask(Method::POST, path, body.to_string().as_bytes());
        assert_eq!(made.status, StatusCode::CREATED);
        made.json()["id"].as_str().unwrap().to_owned()
    }
}

/// A field is named in backticks, be its name empty; a body that has none is said to be no object.
fn check_named(message: &str) {
    assert!(
        message.matches('`').count() >= 2 || message.contains("JSON object"),
        "it names no field: {message}"
    );
}

fn with_key(body: &[u8], key: &str) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(body) else { return body.to_vec() };
    text.replace("{key}", key).into_bytes()
}
