//! Where an alert is sent to, in which form, and what it is signed with.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use ring::hmac;

use super::{hex, token};

/// The longest URL, in bytes.
const LONGEST_URL: usize = 2_048;
/// How many characters a secret has.
const SECRET: std::ops::RangeInclusive<usize> = 8..=200;

/// A receiver of alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Where it is.
    pub url: WebhookUrl,
    /// What it takes.
    pub format: Format,
    /// What deliveries to it are signed with.
    pub secret: Option<WebhookSecret>,
}

/// An `http` or `https` URL without user and fragment. Its path and query may be secret: `Debug` hides them.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct WebhookUrl {
    text: String,
    /// How long scheme and authority are together.
    origin: usize,
}

/// What a receiver takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant's name is its meaning")]
pub enum Format {
    Json,
    Ntfy,
    Slack,
    Discord,
}

/// What deliveries are signed with: 8 to 200 characters. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(String);

/// Text that is no such URL, format or secret. It is never repeated.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidWebhook(&'static str);

impl WebhookUrl {
    /// Returns the URL that the text names.
    pub fn parse(text: &str) -> Result<Self, InvalidWebhook> {
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => "http",
            "https" => "https",
            _ => return Err(InvalidWebhook("must begin with http:// or https://")),
        };
        if text.len() > LONGEST_URL {
            return Err(InvalidWebhook("is longer than 2048 bytes"));
        }
        if !rest.chars().all(|c| c.is_ascii_graphic() && !"\"\\<>^`{|}#".contains(c)) {
            return Err(InvalidWebhook("must hold only characters that URLs may hold, and no fragment"));
        }
        if token::is_within(text) {
            return Err(InvalidWebhook("holds an API key, which is never stored: take it out"));
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        check_authority(authority)?;
        if scheme == "https" && authority.starts_with('[') {
            return Err(InvalidWebhook(
                "must name a host instead of an IPv6 address: certificates of those cannot be checked",
            ));
        }
        let origin = format!("{scheme}://{}", authority.to_ascii_lowercase());
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self { origin: origin.len(), text: format!("{origin}{slash}{path}") })
    }

    /// Returns the whole URL.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns scheme and host, which may be told to anybody.
    pub fn origin(&self) -> &str {
        &self.text[..self.origin]
    }

    /// Tells whether it is encrypted.
    pub fn is_tls(&self) -> bool {
        self.text.starts_with("https:")
    }
}

fn check_authority(authority: &str) -> Result<(), InvalidWebhook> {
    if authority.contains('@') {
        return Err(InvalidWebhook("must name no user and no password; deliveries are signed with `secret`"));
    }
    let (host_is_good, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host.parse::<Ipv6Addr>().is_ok(), port),
        None => {
            let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            let is_good = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
            (!host.is_empty() && host.chars().all(is_good), port)
        }
    };
    if !host_is_good {
        return Err(InvalidWebhook("must name a host, such as 127.0.0.1 or ntfy.example.org"));
    }
    let is_port = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
    };
    if port.is_empty() || port.strip_prefix(':').is_some_and(is_port) {
        Ok(())
    } else {
        Err(InvalidWebhook("must have a port from 1 to 65535, or none"))
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/…", self.origin())
    }
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Json, Self::Ntfy, Self::Slack, Self::Discord];

    /// Returns the format's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ntfy => "ntfy",
            Self::Slack => "slack",
            Self::Discord => "discord",
        }
    }
}

impl FromStr for Format {
    type Err = InvalidWebhook;

    fn from_str(text: &str) -> Result<Self, InvalidWebhook> {
        let found = Self::ALL.into_iter().find(|format| format.name() == text);
        found.ok_or(InvalidWebhook("must be one of json, ntfy, slack, discord"))
    }
}

impl WebhookSecret {
    /// Returns the secret; fails if it is too short, too long or has control characters.
    pub fn parse(text: &str) -> Result<Self, InvalidWebhook> {
        if !SECRET.contains(&text.chars().count()) {
            return Err(InvalidWebhook("must have 8 to 200 characters"));
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidWebhook("has a control character"));
        }
        if token::is_within(text) {
            return Err(InvalidWebhook("holds an API key, which is never stored: choose another secret"));
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns the secret itself, to keep it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the signature of a body, sent at that time in unix seconds: hexadecimal digits.
    pub fn sign(&self, timestamp: i64, body: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_bytes());
        let mut context = hmac::Context::with_key(&key);
        context.update(timestamp.to_string().as_bytes());
        context.update(b".");
        context.update(body);
        hex::encode(context.sign().as_ref())
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_http_and_names_a_host_and_nobody() {
        let cases = [
            (
                "http://127.0.0.1:9000/hook?x=1",
                Ok(("http://127.0.0.1:9000/hook?x=1", "http://127.0.0.1:9000")),
            ),
            ("HTTPS://Ntfy.SH/Topic", Ok(("https://ntfy.sh/Topic", "https://ntfy.sh"))),
            ("http://[::1]:80", Ok(("http://[::1]:80/", "http://[::1]:80"))),
            ("http://host?topic=a", Ok(("http://host/?topic=a", "http://host"))),
            ("ftp://host/", Err("must begin")),
            ("host/path", Err("must begin")),
            ("", Err("must begin")),
            ("http://user:pw@host/", Err("must name no user")),
            ("http:///path", Err("must name a host")),
            ("http://a b/", Err("must hold only")),
            ("http://host/#part", Err("must hold only")),
            ("https://[::1]:9/", Err("must name a host instead of an IPv6 address")),
            ("http://host:0/", Err("must have a port")),
            ("http://host:99999/", Err("must have a port")),
            ("http://host/mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38", Err("holds an API key")),
        ];
        for (text, expected) in cases {
            let url = WebhookUrl::parse(text);
            match expected {
                Ok((whole, origin)) => {
                    let url = url.unwrap();
                    assert_eq!((url.as_str(), url.origin()), (whole, origin));
                }
                Err(reason) => {
                    let error = url.unwrap_err().to_string();
                    assert!(error.starts_with(reason), "{text}: {error}");
                }
            }
        }
    }

    #[test]
    fn what_may_be_secret_of_a_webhook_does_not_print() {
        let webhook = Webhook {
            url: WebhookUrl::parse("https://hooks.example/services/T0/B0/hidden?token=hidden").unwrap(),
            format: Format::Slack,
            secret: Some(WebhookSecret::parse("hidden as well").unwrap()),
        };
        let text = format!("{webhook:?}");
        assert!(text.contains("https://hooks.example/…") && !text.contains("hidden"), "{text}");
    }

    #[test]
    fn a_signature_is_the_hmac_of_time_and_body() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac 'a shared secret'
        let secret = WebhookSecret::parse("a shared secret").unwrap();
        let expected = "ef23e49b675f867e011b03c7b15d2eea3779f42e414e32f844cdfbc0b5a8cb49";
        assert_eq!(secret.sign(1_700_000_000, br#"{"a":1}"#), expected);
        for text in ["seven77", &"x".repeat(201), "a\nsecret"] {
            assert!(WebhookSecret::parse(text).is_err(), "{text}");
        }
    }
}
