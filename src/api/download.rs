//! Hands out what is in files, whole or in part, a chunk at a time.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_RANGE, ETAG, EntityTag, Header as _,
    HeaderName, IF_RANGE, IfNoneMatch, RANGE, Range as RangeHeader, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::web::Bytes;

use super::{disposition, files};
use crate::domain::hex;
use crate::domain::id::FileId;
use crate::files::{CHUNK, Files};
use crate::http::ApiError;
use crate::http::block::block;
use crate::http::exchange::Exchange;
use crate::http::public::Call;

/// Who may keep a copy: the client, as long as it asks each time whether it may still read the file.
const KEPT: (HeaderName, &str) = (CACHE_CONTROL, "private, no-cache");

/// Returns what is in a file, or the part of it that is asked for (RFC 9110, sections 13 and 14).
pub(super) async fn content(call: Call) -> Result<HttpResponse, ApiError> {
    let (id, files) = (files::parse_id(&call.parameter)?, Arc::clone(&call.rooms.files));
    let file = {
        let files = Arc::clone(&files);
        block(move || files.get(id)).await?
    };
    let etag = EntityTag::new_strong(hex::encode(&file.sha256));
    if is_known(&call.request, &etag) {
        let mut response = HttpResponse::NotModified();
        return Ok(response.insert_header((ETAG, etag.to_string())).insert_header(KEPT).finish());
    }
    let part = part(&call.request, &etag, file.bytes)?;
    let mut response = if part.is_some() { HttpResponse::PartialContent() } else { HttpResponse::Ok() };
    if let Some(part) = &part {
        let Range { start, end } = part;
        response.insert_header((CONTENT_RANGE, format!("bytes {start}-{}/{}", end - 1, file.bytes)));
    }
    let range = part.unwrap_or(0..file.bytes);
    Ok(response
        .content_type("application/octet-stream")
        .insert_header((CONTENT_DISPOSITION, disposition::attachment(&file.filename)))
        .insert_header((ETAG, etag.to_string()))
        .insert_header((ACCEPT_RANGES, "bytes"))
        .insert_header(KEPT)
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(Content::new(files, id, range, &call)))
}

/// Tells whether the client has the file already.
fn is_known(request: &HttpRequest, etag: &EntityTag) -> bool {
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|tag| tag.weak_eq(etag)),
        Err(_) => false,
    }
}

/// Returns the part that is asked for; `None` for the whole, also where several are, or a part of another version.
fn part(request: &HttpRequest, etag: &EntityTag, bytes: u64) -> Result<Option<Range<u64>>, ApiError> {
    let headers = request.headers();
    let same = headers.get(IF_RANGE).is_none_or(|value| value.as_bytes() == etag.to_string().as_bytes());
    let asked = headers.get(RANGE).filter(|_| same).and_then(|value| value.to_str().ok()?.parse().ok());
    match asked {
        Some(RangeHeader::Bytes(specs)) => match specs.as_slice() {
            [spec] => match spec.to_satisfiable_range(bytes) {
                Some((first, last)) => Ok(Some(first..last + 1)),
                None => Err(ApiError::RangeNotSatisfiable(bytes)),
            },
            _ => Ok(None),
        },
        _ => Ok(None),
    }
}

/// A part of a file on its way out.
struct Content {
    files: Arc<Files>,
    id: FileId,
    left: Range<u64>,
    reading: Option<Reading>,
    exchange: Rc<Exchange>,
}

type Reading = Pin<Box<dyn Future<Output = Result<Vec<u8>, ApiError>>>>;

/// Closes the connection, so that nobody takes what came until then for the whole.
#[derive(Debug, thiserror::Error)]
#[error("the download ended early")]
struct EndedEarly;

impl Content {
    fn new(files: Arc<Files>, id: FileId, part: Range<u64>, call: &Call) -> Self {
        let exchange = Rc::clone(&call.exchange);
        let watched = Rc::downgrade(&exchange);
        call.rooms.rounds.watch(watched);
        Self { files, id, left: part, reading: None, exchange }
    }

    /// Reads the next chunk, as much of it as is wanted.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, ApiError>> {
        if self.exchange.is_over() {
            return Poll::Ready(Err(ApiError::key_ended()));
        }
        let chunk = CHUNK as u64;
        let (position, skipped) = (self.left.start / chunk, self.left.start % chunk);
        let reading = self.reading.get_or_insert_with(|| {
            let (files, id) = (Arc::clone(&self.files), self.id);
            let position = u32::try_from(position).unwrap_or(u32::MAX);
            Box::pin(block(move || files.chunk(id, position)))
        });
        let read = ready!(reading.as_mut().poll(cx));
        self.reading = None;
        let bytes = Bytes::from(read?);
        let wanted = (skipped + self.left.end - self.left.start).min(bytes.len() as u64);
        if wanted <= skipped {
            return Poll::Ready(Err(ApiError::Internal));
        }
        self.left.start += wanted - skipped;
        let within = |at: u64| usize::try_from(at).expect("within a chunk");
        Poll::Ready(Ok(bytes.slice(within(skipped)..within(wanted))))
    }
}

impl MessageBody for Content {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.left.end - self.left.start)
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(ready!(self.poll_chunk(cx)).map_err(|error| {
            self.exchange.fail(&error);
            EndedEarly.into()
        })))
    }
}
