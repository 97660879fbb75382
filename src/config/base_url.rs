//! The base URL of an upstream.

use std::net::Ipv6Addr;

use rustls::pki_types::ServerName;

use super::error::Problem;
use super::kind::Kind;

/// A checked `http` or `https` URL without trailing slash, query or user. Paths are appended as they are
/// to `OpenAI`'s (`/chat/completions`), with `/v1` before them to Anthropic's (`/v1/messages`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// Returns the URL that the text names, made to fit the kind: an empty path means `/v1` for `OpenAI`'s,
    /// and a `/v1` at the end of Anthropic's is dropped. Errors never repeat the text.
    pub(super) fn parse(text: &str, kind: Kind) -> Result<Self, Problem> {
        let (scheme, rest) = split_scheme(text)?;
        check_characters(rest)?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        check_authority(authority)?;
        if scheme == "https" && authority.starts_with('[') {
            return Err(Problem::BadUrl(
                "must name a host instead of an IPv6 address: certificates of those cannot be checked",
            ));
        }
        if scheme == "https" && !can_be_certified(authority) {
            return Err(Problem::BadUrl("must name a host that a certificate can have"));
        }
        let path = fit(path.trim_end_matches('/'), kind)?;
        Ok(Self(format!("{scheme}://{}{path}", authority.to_ascii_lowercase())))
    }

    /// Returns the URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn split_scheme(text: &str) -> Result<(&'static str, &str), Problem> {
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok(("http", rest)),
        "https" => Ok(("https", rest)),
        _ => Err(Problem::BadUrl("must begin with http:// or https://")),
    }
}

fn check_characters(rest: &str) -> Result<(), Problem> {
    if rest.contains(['?', '#']) {
        return Err(Problem::BadUrl("must have no query and no fragment"));
    }
    if !rest.chars().all(|c| c.is_ascii_graphic() && !"\"\\<>^`{|}".contains(c)) {
        return Err(Problem::BadUrl("must hold only characters that URLs may hold"));
    }
    Ok(())
}

fn check_authority(authority: &str) -> Result<(), Problem> {
    if authority.contains('@') {
        return Err(Problem::BadUrl("must name no user and no password; keys go into `api_key`"));
    }
    let (host_is_good, port) = split_host(authority);
    if !host_is_good {
        return Err(Problem::BadUrl("must name a host, such as 127.0.0.1 or api.openai.com"));
    }
    if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
        return Err(Problem::BadUrl("must have a port from 1 to 65535, or none"));
    }
    Ok(())
}

/// Tells whether the host is one, and returns what follows it.
fn split_host(authority: &str) -> (bool, &str) {
    if let Some((host, port)) = authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host.parse::<Ipv6Addr>().is_ok(), port);
    }
    let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
    (is_host(host), port)
}

fn is_host(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
}

/// Tells whether the authority's host can stand in a certificate: connections to another cannot be encrypted.
fn can_be_certified(authority: &str) -> bool {
    let host = authority.split(':').next().unwrap_or_default();
    ServerName::try_from(host).is_ok()
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

fn fit(path: &str, kind: Kind) -> Result<&str, Problem> {
    if ["/completions", "/messages", "/models"].iter().any(|end| path.ends_with(end)) {
        return Err(Problem::BadUrl("must end before /chat/completions, /messages or /models"));
    }
    match kind {
        Kind::OpenAi if path.is_empty() => Ok("/v1"),
        Kind::Anthropic => Ok(path.strip_suffix("/v1").unwrap_or(path).trim_end_matches('/')),
        Kind::OpenAi | Kind::Echo => Ok(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_taken_as_the_official_clients_take_it() {
        let cases = [
            (Kind::OpenAi, "http://127.0.0.1:11434/v1", "http://127.0.0.1:11434/v1"),
            (Kind::OpenAi, "http://127.0.0.1:11434/v1/", "http://127.0.0.1:11434/v1"),
            (Kind::OpenAi, "http://127.0.0.1:11434", "http://127.0.0.1:11434/v1"),
            (Kind::OpenAi, "http://127.0.0.1:11434/", "http://127.0.0.1:11434/v1"),
            (Kind::OpenAi, "HTTPS://API.OpenAI.com/v1", "https://api.openai.com/v1"),
            (Kind::OpenAi, "https://models.example/api/v4", "https://models.example/api/v4"),
            (Kind::OpenAi, "http://[::1]:8000", "http://[::1]:8000/v1"),
            (Kind::OpenAi, "http://vllm_1", "http://vllm_1/v1"),
            (Kind::OpenAi, "https://vllm_1:8000", "https://vllm_1:8000/v1"),
            (Kind::OpenAi, "https://127.0.0.1", "https://127.0.0.1/v1"),
            (Kind::Anthropic, "https://api.anthropic.com", "https://api.anthropic.com"),
            (Kind::Anthropic, "https://api.anthropic.com/", "https://api.anthropic.com"),
            (Kind::Anthropic, "https://api.anthropic.com/v1/", "https://api.anthropic.com"),
            (Kind::Anthropic, "https://proxy.example/anthropic/v1", "https://proxy.example/anthropic"),
        ];
        for (kind, text, expected) in cases {
            assert_eq!(BaseUrl::parse(text, kind).unwrap().as_str(), expected, "{kind:?} {text}");
        }
    }

    #[test]
    fn what_is_no_base_url_is_refused_without_being_repeated() {
        let cases = [
            ("", "must begin"),
            ("127.0.0.1:11434", "must begin"),
            ("localhost:11434/v1", "must begin"),
            ("ftp://host", "must begin"),
            ("unix:///run/llama.sock", "must begin"),
            ("http://", "must name a host"),
            ("http:///v1", "must name a host"),
            ("http://:8080", "must name a host"),
            ("http://[::1", "must name a host"),
            ("http://[12]", "must name a host"),
            ("http://a,b", "must name a host"),
            ("http://host:", "must have a port"),
            ("http://host:0", "must have a port"),
            ("http://host:65536", "must have a port"),
            ("http://host:+80", "must have a port"),
            ("http://[::1]8000", "must have a port"),
            ("https://[::1]:8000", "must name a host instead of an IPv6 address"),
            ("https://a..b", "must name a host that a certificate"),
            ("https://vllm-:8000", "must name a host that a certificate"),
            ("http://user:secret@host", "must name no user"),
            ("http://host/v1?key=secret", "must have no query"),
            ("http://host/v1#secret", "must have no query"),
            ("http://host/ v1", "must hold only"),
            ("http://host/v1\r\nX: y", "must hold only"),
            ("http://hôst/v1", "must hold only"),
            ("http://host/v1/chat/completions", "must end before"),
            ("https://api.anthropic.com/v1/messages", "must end before"),
        ];
        for (text, expected) in cases {
            let problem = BaseUrl::parse(text, Kind::OpenAi).unwrap_err().to_string();
            assert!(problem.starts_with(expected) && !problem.contains("secret"), "{text}: {problem}");
        }
    }
}
