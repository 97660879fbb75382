//! Chat completions and completions.

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderName, HeaderValue};

use super::expand::{expand, is_called_for};
use super::relay::Relay;
use super::transcript;
use crate::domain::usage::Tokens;
use crate::http::exchange::Certainty;
use crate::http::public::Call;
use crate::http::{ApiError, JSON, body};
use crate::upstream::{Answer, Ask, Shape};

const EVENTS: (HeaderName, HeaderValue) =
    (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Answers a chat.
pub(super) fn chat(call: Call) -> impl Future<Output = Result<HttpResponse, ApiError>> {
    complete(call, Shape::Chat)
}

/// Goes on from a text.
pub(super) fn completion(call: Call) -> impl Future<Output = Result<HttpResponse, ApiError>> {
    complete(call, Shape::Completion)
}

async fn complete(call: Call, shape: Shape) -> Result<HttpResponse, ApiError> {
    body::check_json(call.request.headers())?;
    let Call { rooms, exchange, body, id, .. } = call;
    let (mut ask, mut append) = (Ask::parse(shape, body)?, None);
    exchange.permit()?.check_model(&ask.model)?;
    if is_called_for(&ask) {
        // Seldom: what it needs is not carried along by all others.
        (ask, append) = Box::pin(expand(&rooms, &exchange, ask)).await?;
    }
    let found = rooms.upstream.find(&ask.model).await?;
    exchange.set_model(found.model.clone());
    let answered = Box::pin(rooms.upstream.complete(&found, &ask, id.as_str())).await?;
    let prompt = estimate(ask.body.len());
    let mut response = HttpResponse::Ok();
    if !answered.ignored.is_empty() {
        response.insert_header(("x-mcp-ignored", list(&answered.ignored)));
    }
    match answered.answer {
        Answer::Whole(whole) => {
            match whole.tokens {
                Some(tokens) => exchange.set_tokens(tokens, Certainty::Told),
                None => {
                    let tokens = Tokens { prompt, completion: estimate(whole.body.len()) };
                    exchange.set_tokens(tokens, Certainty::Estimated);
                }
            }
            if let Some(append) = append {
                if exchange.is_over() {
                    return Err(ApiError::key_ended());
                }
                Box::pin(append.append(transcript::of_answer(&whole.body)?)).await?;
            }
            Ok(response.insert_header(JSON).body(whole.body))
        }
        Answer::Stream(events) => Ok(response
            .insert_header(EVENTS)
            .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-cache")))
            // nginx in front would hold events back otherwise.
            .insert_header((BUFFERING, HeaderValue::from_static("no")))
            .body(Relay::new(*events, exchange, prompt, append, &rooms.rounds))),
    }
}

/// About four bytes make a token in the languages most spoken to models.
const fn estimate(bytes: usize) -> u64 {
    (bytes / 4) as u64
}

/// Names as a header's value; they are the client's own words, so what no header can carry is left out.
fn list(names: &[String]) -> String {
    let printable = |letter: &char| letter.is_ascii_graphic() && *letter != ',';
    let names: Vec<String> =
        names.iter().map(|name| name.chars().filter(printable).take(80).collect()).collect();
    names.iter().take(32).map(String::as_str).collect::<Vec<_>>().join(", ")
}
