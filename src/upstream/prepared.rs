//! The requests of one worker to one upstream, made once: only their bodies differ.

use actix_web::http::header::{ACCEPT, CONTENT_TYPE};
use awc::{ClientRequest, FrozenClientRequest, SendClientRequest};

use super::ask::{Ask, Shape};
use super::body::Body;
use super::model_server::ModelServer;
use crate::config::Kind;

/// The version of Anthropic's API that is spoken.
const ANTHROPIC_VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

/// Requests to an upstream, ready but for their bodies.
pub(super) struct Prepared {
    http: awc::Client,
    chat: PerAnswer,
    completion: PerAnswer,
}

/// The two ways in which an answer is asked for; none for the upstream that is no server.
struct PerAnswer {
    whole: Option<FrozenClientRequest>,
    stream: Option<FrozenClientRequest>,
}

impl Prepared {
    /// Returns the requests to an upstream, over the connections of this client.
    pub(super) fn new(http: awc::Client, server: &ModelServer) -> Self {
        let ask = |shape, accept| {
            let request = http.post(server.completion_url(shape));
            // The caller's request id stays here: some servers refuse ids that are not of their own form.
            let request =
                request.insert_header((CONTENT_TYPE, "application/json")).insert_header((ACCEPT, accept));
            authorized(request, server).freeze().ok().filter(|_| server.kind != Kind::Echo)
        };
        let both = |shape| PerAnswer {
            whole: ask(shape, "application/json"),
            stream: ask(shape, "text/event-stream"),
        };
        Self { chat: both(Shape::Chat), completion: both(Shape::Completion), http }
    }

    /// Sends a body where the ask wants it; `None` for the upstream that is no server.
    pub(super) fn send(&self, ask: &Ask, body: Body) -> Option<SendClientRequest> {
        let requests = match ask.shape {
            Shape::Chat => &self.chat,
            Shape::Completion => &self.completion,
        };
        let request = if ask.stream { &requests.stream } else { &requests.whole };
        request.as_ref().map(|request| request.send_body(body))
    }

    /// Returns a request for the upstream's models.
    pub(super) fn models(&self, server: &ModelServer) -> ClientRequest {
        authorized(self.http.get(server.models_url()), server)
    }
}

fn authorized(request: ClientRequest, server: &ModelServer) -> ClientRequest {
    let request = match server.kind {
        Kind::Anthropic => request.insert_header(ANTHROPIC_VERSION),
        _ => request,
    };
    match &server.credentials {
        Some((name, value)) => request.insert_header((name.clone(), value.clone())),
        None => request,
    }
}
