//! One configured upstream: where it is, how to speak to it, and how it has been doing.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::Uri;
use actix_web::http::header::{HeaderName, HeaderValue};

use super::ask::Shape;
use crate::config::{Kind, Models, Upstream};
use crate::domain::token;

/// How long an upstream that could not be reached is asked last.
const AVOIDED: Duration = Duration::from_secs(5);

/// A configured upstream, shared by all workers.
#[derive(Debug)]
pub struct ModelServer {
    /// Its name in the configuration.
    pub name: String,
    /// What it speaks.
    pub kind: Kind,
    /// The models that the configuration lists.
    pub models: Models,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long it may be silent: until the answer begins, and between its pieces.
    pub timeout: Duration,
    /// Its share of the load, beside others with the same model.
    pub weight: u32,
    /// As it is configured.
    config: Upstream,
    base_url: String,
    /// What it knows mcpd by.
    pub credentials: Option<(HeaderName, HeaderValue)>,
    /// Whether any model of it has refused a request for asking about usage, and which.
    refuses_stream_options: AtomicBool,
    refusing_models: Mutex<HashSet<String>>,
    /// Counted on where an upstream of the same name is configured otherwise.
    outcomes: Arc<[AtomicU64; Outcome::ALL.len()]>,
    health: Mutex<Health>,
}

/// How an upstream has been doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Nobody has asked it yet.
    #[default]
    Unknown,
    /// It answered the last time.
    Up,
    /// It could not be reached, last at this steady time.
    Down(Duration),
}

/// How a request to an upstream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answered.
    Answered,
    /// It refused the request: the client's doing.
    Rejected,
    /// It failed, refused mcpd itself, or answered with garbage.
    Failed,
    /// It could not be reached.
    Unreachable,
    /// It took too long.
    TimedOut,
    /// It was still at it when nobody waited for it any more: the client had left, or its key had ended.
    Cancelled,
}

/// An upstream that cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
#[error("upstreams: `{name}`: {reason}")]
pub struct InvalidUpstream {
    name: String,
    reason: &'static str,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 6] =
        [Self::Answered, Self::Rejected, Self::Failed, Self::Unreachable, Self::TimedOut, Self::Cancelled];

    /// Returns the outcome's name in the metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
        }
    }
}

impl ModelServer {
    /// Returns the upstream as it is configured; fails if its URL or key cannot be sent.
    pub fn new(config: &Upstream) -> Result<Self, InvalidUpstream> {
        let invalid = |reason| InvalidUpstream { name: config.name.clone(), reason };
        let base_url = config.base_url.as_ref().map(|url| url.as_str().to_owned()).unwrap_or_default();
        let credentials = config.api_key.as_ref().map(|key| {
            let (name, value) = match config.kind {
                Kind::Anthropic => (HeaderName::from_static("x-api-key"), key.expose().to_owned()),
                _ => (HeaderName::from_static("authorization"), format!("Bearer {}", key.expose())),
            };
            let mut value = HeaderValue::from_str(&value)
                .map_err(|_| invalid("its api_key has characters that no header can carry"))?;
            value.set_sensitive(true);
            Ok((name, value))
        });
        let server = Self {
            name: config.name.clone(),
            kind: config.kind,
            models: config.models.clone(),
            connect_timeout: config.connect_timeout,
            timeout: config.timeout,
            weight: config.weight.get(),
            base_url,
            credentials: credentials.transpose()?,
            refuses_stream_options: AtomicBool::new(false),
            refusing_models: Mutex::default(),
            outcomes: Arc::default(),
            config: config.clone(),
            health: Mutex::default(),
        };
        if server.kind != Kind::Echo {
            server.models_url().parse::<Uri>().map_err(|_| invalid("its base_url is no URL"))?;
        }
        Ok(server)
    }

    /// Tells whether it is configured just so.
    pub fn is_configured_as(&self, config: &Upstream) -> bool {
        self.config == *config
    }

    /// Goes on counting where another of the same name is.
    pub(super) fn count_on(&mut self, before: &Self) {
        self.outcomes = Arc::clone(&before.outcomes);
    }

    /// Returns what the upstream said, without keys: it may quote what it was sent, its own key too.
    pub fn without_secrets(&self, text: &str) -> String {
        let text = token::redact(text);
        let secret = self.credentials.as_ref().and_then(|(_, value)| value.to_str().ok());
        let secret = secret.map(|secret| secret.strip_prefix("Bearer ").unwrap_or(secret));
        // Shorter ones are words that stand for no key, as Ollama's clients send them.
        match secret.filter(|secret| secret.len() >= 8) {
            Some(secret) => text.replace(secret, "…"),
            None => text.into_owned(),
        }
    }

    /// Returns where to ask for a completion.
    pub fn completion_url(&self, shape: Shape) -> String {
        match (self.kind, shape) {
            (Kind::Anthropic, _) => format!("{}/v1/messages", self.base_url),
            (_, Shape::Chat) => format!("{}/chat/completions", self.base_url),
            (_, Shape::Completion) => format!("{}/completions", self.base_url),
        }
    }

    /// Returns where to ask for the models.
    pub fn models_url(&self) -> String {
        match self.kind {
            Kind::Anthropic => format!("{}/v1/models?limit=1000", self.base_url),
            _ => format!("{}/models", self.base_url),
        }
    }

    /// Tells whether it is asked for its models, since the configuration lists `*`.
    pub fn tells_models(&self) -> bool {
        self.models == Models::All && self.kind != Kind::Echo
    }

    /// Tells whether its connections are encrypted.
    pub fn is_tls(&self) -> bool {
        self.base_url.starts_with("https:")
    }

    /// Counts how a request ended; `now` is steady time.
    pub fn note(&self, outcome: Outcome, now: Duration) {
        self.outcomes[outcome as usize].fetch_add(1, Ordering::Relaxed);
        if outcome == Outcome::Cancelled {
            // How it is doing, nobody waited to see.
            return;
        }
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        *health = if outcome == Outcome::Unreachable { Health::Down(now) } else { Health::Up };
    }

    /// Returns how it has been doing.
    pub fn health(&self) -> Health {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whether it was unreachable a moment ago, so that others are better asked first.
    pub fn is_avoided(&self, now: Duration) -> bool {
        matches!(self.health(), Health::Down(at) if now.saturating_sub(at) < AVOIDED)
    }

    /// Returns how many requests ended each way.
    pub fn outcomes(&self) -> [(Outcome, u64); Outcome::ALL.len()] {
        Outcome::ALL.map(|outcome| (outcome, self.outcomes[outcome as usize].load(Ordering::Relaxed)))
    }

    /// Tells whether a stream's usage can be asked of a model.
    pub fn tells_stream_usage(&self, model: &str) -> bool {
        // Nearly no server refuses: those that do not are not held up by a lock.
        !self.refuses_stream_options.load(Ordering::Acquire)
            || !self.refusing_models.lock().unwrap_or_else(PoisonError::into_inner).contains(model)
    }

    /// Notes that a model refuses to be asked for a stream's usage.
    pub fn note_refused_stream_options(&self, model: &str) {
        self.refusing_models.lock().unwrap_or_else(PoisonError::into_inner).insert(model.to_owned());
        self.refuses_stream_options.store(true, Ordering::Release);
    }
}
