//! What is said of a key that was just made: the key itself on standard output, the rest on standard error.

use std::io::{IsTerminal as _, stdout};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context as _, Result, anyhow};
use serde_json::Value;

use crate::cli::client::{Answer, Client};
use crate::cli::fields::{count, rows, text, time};
use crate::cli::output::{clean, print_all};
use crate::domain::models::AllowedModels;

/// Prints the key alone; fails if it did not come.
pub(super) fn print_secret(key: &Value) -> Result<()> {
    let lost = || {
        let id = clean(&text(key, "id"));
        anyhow!(
            "the key {id} was made, but the connection broke before the key itself came, and it is not shown again: \
             delete it with `mcpd keys delete {id}`, and make another"
        )
    };
    let secret = clean(key["key"].as_str().ok_or_else(lost)?);
    print_all(&format!("{secret}\n")).with_context(|| unwritten(key))
}

/// Prints the answer of the admin API, with the key in it.
pub(super) fn print_answer(answer: &Answer) -> Result<()> {
    print_all(&format!("{}\n", answer.text.trim_end())).with_context(|| unwritten(&answer.value))
}

/// Says how to be rid of a key that nobody has read.
fn unwritten(key: &Value) -> String {
    let id = clean(&text(key, "id"));
    format!(
        "the key {id} was made, but could not be written to standard output, and it is not shown again: delete it \
         with `mcpd keys delete {id}`, and make another"
    )
}

/// Names a key: its name, id, and what it may do.
pub(super) fn describe(key: &Value) -> String {
    let scopes = text(key, "scopes");
    let may = if scopes == "*" { "everything".to_owned() } else { scopes };
    let end = match &key["expires_at"] {
        Value::Null => "no end".to_owned(),
        _ => format!("until {}", time(key, "expires_at")),
    };
    let limit = count(key, "requests_per_minute");
    clean(&format!("`{}` ({}): {may}; {limit} requests a minute; {end}", text(key, "name"), text(key, "id")))
}

/// Says what to do with the key, as far as the daemon tells where it answers.
pub(super) async fn tell_next(client: &Client, key: &Value) {
    crate::cli::say("The key is not shown again: put it where its client reads it.");
    if let Ok(server) = client.get("/admin/v1/server", &[]).await {
        // On a terminal the key has been shown already; elsewhere standard error may be a log.
        let secret = if stdout().is_terminal() { text(key, "key") } else { "$KEY".to_owned() };
        crate::cli::say(&format!("\nTry it:\n\n{}\n", clean_lines(&request(key, &server.value, &secret))));
    }
    if key["require_signature"] == true {
        crate::cli::say(
            "It takes signed requests only, so the line above is refused: docs/api.md tells how to sign.",
        );
    }
}

fn clean_lines(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join("\n")
}

/// Returns a `curl` line that the key can be tried with.
fn request(key: &Value, server: &Value, secret: &str) -> String {
    let may = |scope: &str| rows(key, "scopes").iter().any(|own| own == "*" || own == scope);
    let (base, model) = (base(server), model(key, server));
    let curl = |path: &str, body: &str| {
        let head = format!("    curl {base}{path} \\\n      -H \"Authorization: Bearer {secret}\"");
        if body.is_empty() {
            return head;
        }
        format!(
            "{head} \\\n      -H \"Content-Type: application/json\" \\\n      -d '{}'",
            body.replace('\'', "'\\''")
        )
    };
    if may("chats:create") {
        let message = serde_json::json!({"role": "user", "content": "Hello"});
        let body = serde_json::json!({"model": model, "messages": [message]});
        curl("/v1/chat/completions", &body.to_string())
    } else if may("completions:create") {
        curl("/v1/completions", &serde_json::json!({"model": model, "prompt": "Hello"}).to_string())
    } else {
        curl("/v1/key", "")
    }
}

/// Returns where clients on this machine reach the server.
fn base(server: &Value) -> String {
    let listeners = &server["listeners"];
    let address = rows(listeners, "public").first().and_then(Value::as_str).unwrap_or_default();
    let address =
        address.parse().map_or_else(|_| address.to_owned(), |address| reachable(address).to_string());
    let scheme = if listeners["tls"] == true { "https" } else { "http" };
    format!("{scheme}://{address}")
}

/// All addresses of this machine are none to connect to.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip: IpAddr = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Returns a model that the key may name and the server has.
fn model(key: &Value, server: &Value) -> String {
    let allowed: Vec<String> = rows(key, "allowed_models")
        .iter()
        .filter_map(|model| model.as_str().map(ToOwned::to_owned))
        .collect();
    let exact = allowed.iter().find(|model| !model.contains('*')).cloned();
    let allowed = AllowedModels::parse(allowed).unwrap_or_default();
    let upstreams = rows(server, "upstreams").iter();
    let mut models = upstreams.flat_map(|upstream| rows(upstream, "models")).filter_map(Value::as_str);
    let found = models.find(|model| allowed.permit(model)).map(ToOwned::to_owned);
    found.or(exact).unwrap_or_else(|| "NAME-A-MODEL".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn server(public: &str, tls: bool) -> Value {
        json!({"listeners": {"public": [public], "tls": tls},
               "upstreams": [{"models": ["echo"]}, {"models": ["llama3.2", "it's"]}]})
    }

    #[test]
    fn a_key_is_tried_with_what_it_may_do() {
        let cases: &[(&[&str], &[&str], &str, &str)] = &[
            // scopes              models         path                    body
            (&["*"], &[], "/v1/chat/completions", "\"model\":\"echo\""),
            (&["models:read", "chats:create"], &["llama*"], "/v1/chat/completions", "\"model\":\"llama3.2\""),
            (
                &["completions:create"],
                &["it's"],
                "/v1/completions",
                r#"{"model":"it'\''s","prompt":"Hello"}"#,
            ),
            (&["chats:create"], &["qwen3"], "/v1/chat/completions", "\"model\":\"qwen3\""),
            (&["chats:create"], &["qwen*"], "/v1/chat/completions", "\"model\":\"NAME-A-MODEL\""),
            (&["files:read"], &[], "/v1/key", "-H \"Authorization: Bearer $KEY\""),
        ];
        for (scopes, models, path, body) in cases {
            let key = json!({"scopes": scopes, "allowed_models": models});
            let line = request(&key, &server("127.0.0.1:8080", false), "$KEY");
            assert!(
                line.contains(&format!("curl http://127.0.0.1:8080{path} ")) && line.contains(body),
                "{line}"
            );
        }
    }

    #[test]
    fn an_address_is_one_to_connect_to() {
        let cases = [
            ("0.0.0.0:80", false, "http://127.0.0.1:80"),
            ("[::]:443", true, "https://[::1]:443"),
            ("192.0.2.1:8080", false, "http://192.0.2.1:8080"),
        ];
        for (address, tls, expected) in cases {
            assert_eq!(base(&server(address, tls)), expected);
        }
    }
}
