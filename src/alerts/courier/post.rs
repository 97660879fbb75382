//! One attempt: what goes over the wire, and what came back.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use awc::Connector;
use awc::error::SendRequestError;

use super::super::render::render;
use crate::clock::Clock;
use crate::domain::webhook::Webhook;
use crate::roots::{self, NoRoots};

/// How long a webhook may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends to webhooks.
pub(super) struct Post {
    clock: Clock,
    plain: awc::Client,
    /// Made when it is first needed: it reads the system's certificates.
    tls: RefCell<Option<awc::Client>>,
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was answered with a good status.
    Taken(u16),
    /// It was answered with another one.
    Refused(u16),
    /// It was not answered.
    Failed(&'static str),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(status) => write!(f, "delivered, status {status}"),
            Self::Refused(status) => write!(f, "it answered with status {status}"),
            Self::Failed(reason) => f.write_str(reason),
        }
    }
}

impl Post {
    /// Returns a post for the thread that calls.
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, plain: client(Connector::new().timeout(PATIENCE)), tls: RefCell::default() }
    }

    /// Sends an alert, which is JSON text, signed as of now.
    pub(super) fn send(
        &self,
        webhook: &Webhook,
        id: &str,
        alert: &str,
    ) -> impl Future<Output = Outcome> + use<> {
        let message = render(webhook.format, alert);
        let request = self.client(webhook.url.is_tls()).map(|client| {
            let timestamp = self.clock.now().wall.as_seconds();
            let mut request = client
                .post(webhook.url.as_str())
                .insert_header(("user-agent", concat!("mcpd/", env!("CARGO_PKG_VERSION"))))
                .insert_header(("content-type", message.media_type))
                .insert_header(("x-mcp-delivery", id))
                .insert_header(("x-mcp-timestamp", timestamp.to_string()));
            for (name, value) in message.headers {
                request = request.insert_header((name, value));
            }
            if let Some(secret) = &webhook.secret {
                let signature = secret.sign(timestamp, message.body.as_bytes());
                request = request.insert_header(("x-mcp-signature", signature));
            }
            request
        });
        async move {
            match request {
                Ok(request) => request.send_body(message.body).await.map_or_else(
                    |error| Outcome::Failed(reason(&error)),
                    |answer| match answer.status() {
                        status if status.is_success() => Outcome::Taken(status.as_u16()),
                        status => Outcome::Refused(status.as_u16()),
                    },
                ),
                Err(reason) => Outcome::Failed(reason),
            }
        }
    }

    fn client(&self, tls: bool) -> Result<awc::Client, &'static str> {
        if !tls {
            return Ok(self.plain.clone());
        }
        if let Some(client) = self.tls.borrow().as_ref() {
            return Ok(client.clone());
        }
        let config = roots::client_config().map_err(|_| NoRoots::WHY)?;
        let made = client(Connector::new().rustls_0_23(Arc::new(config)).timeout(PATIENCE));
        *self.tls.borrow_mut() = Some(made.clone());
        Ok(made)
    }
}

/// Returns a client over such connections, whose type names all that they are made of.
fn client<C>(connector: Connector<C>) -> awc::Client
where
    C: actix_service::Service<
            actix_tls::connect::ConnectInfo<actix_web::http::Uri>,
            Response = actix_tls::connect::Connection<actix_web::http::Uri, tokio::net::TcpStream>,
            Error = actix_tls::connect::ConnectError,
        > + Clone
        + 'static,
{
    awc::Client::builder()
        .connector(connector.handshake_timeout(PATIENCE))
        .timeout(PATIENCE)
        .disable_redirects()
        .no_default_headers()
        .finish()
}

/// Returns why a request was not answered, in words that repeat nothing of its URL.
fn reason(error: &SendRequestError) -> &'static str {
    match error {
        SendRequestError::Timeout => "it did not answer within 10 s",
        SendRequestError::Connect(awc::error::ConnectError::Timeout) => "it took no connection within 10 s",
        SendRequestError::Connect(awc::error::ConnectError::Resolver(_)) => "its host's name has no address",
        SendRequestError::Connect(awc::error::ConnectError::Io(error))
            if error.kind() == std::io::ErrorKind::InvalidData =>
        {
            "its certificate is not trusted, or it speaks no TLS"
        }
        SendRequestError::Connect(_) => "it cannot be reached",
        SendRequestError::Url(_) => "its URL cannot be asked",
        _ => "it hung up without an answer",
    }
}
