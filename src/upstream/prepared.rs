//! The requests of one worker to one upstream, made once: only their bodies differ.

use std::rc::Rc;
use std::time::Duration;

use actix_web::http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::http::{Method, Uri};

use super::ask::{Ask, Shape};
use super::body::Body;
use super::connect::Connections;
use super::http1::{Pool, Request, Response, SendError};
use super::model_server::ModelServer;
use crate::config::Kind;

/// The version of Anthropic's API that is spoken.
const ANTHROPIC_VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("anthropic-version"), HeaderValue::from_static("2023-06-01"));

/// Requests to an upstream, ready but for their bodies, and the connections that they go out on.
pub(super) struct Prepared {
    pool: Rc<Pool>,
    chat: PerAnswer,
    completion: PerAnswer,
    models: Request,
}

/// The two ways in which an answer is asked for.
struct PerAnswer {
    whole: Request,
    stream: Request,
}

impl Prepared {
    /// Returns the requests to an upstream; none to one that is no server.
    pub(super) fn new(connections: &Connections, server: &ModelServer) -> Option<Self> {
        if server.kind == Kind::Echo {
            return None;
        }
        let both = |shape| {
            let url = server.completion_url(shape);
            let whole = post(server, &url, "application/json")?;
            Some(PerAnswer { whole, stream: post(server, &url, "text/event-stream")? })
        };
        Some(Self {
            pool: connections.pool(server)?,
            chat: both(Shape::Chat)?,
            completion: both(Shape::Completion)?,
            models: request(server, &Method::GET, &server.models_url(), Vec::new())?,
        })
    }

    /// Sends a body where the ask wants it; the answer is to begin within `patience`.
    pub(super) fn send<'a>(
        &'a self,
        ask: &Ask,
        body: &'a Body,
        patience: Duration,
    ) -> impl Future<Output = Result<Response, SendError>> + use<'a> {
        let requests = match ask.shape {
            Shape::Chat => &self.chat,
            Shape::Completion => &self.completion,
        };
        let request = if ask.stream { &requests.stream } else { &requests.whole };
        self.pool.send(request, body.pieces(), patience)
    }

    /// Asks for the upstream's models.
    pub(super) async fn ask_for_models(&self, patience: Duration) -> Result<Response, SendError> {
        self.pool.send(&self.models, &[], patience).await
    }
}

/// A request with a body in JSON. The caller's request id stays here: some servers refuse ids that are not of their own
/// form.
fn post(server: &ModelServer, url: &str, accept: &'static str) -> Option<Request> {
    let headers = vec![
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (ACCEPT, HeaderValue::from_static(accept)),
    ];
    request(server, &Method::POST, url, headers)
}

fn request(
    server: &ModelServer,
    method: &Method,
    url: &str,
    mut headers: Vec<(HeaderName, HeaderValue)>,
) -> Option<Request> {
    if server.kind == Kind::Anthropic {
        headers.push(ANTHROPIC_VERSION);
    }
    headers.extend(server.credentials.clone());
    Request::new(method, &url.parse::<Uri>().ok()?, &headers)
}
