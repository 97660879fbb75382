//! Reads bodies whole, a client's and an upstream's alike.

use std::time::Duration;

use actix_web::web::{Bytes, BytesMut};
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use tokio::time::timeout;

/// A body that could not be read whole.
#[derive(Debug)]
pub enum Collect<E> {
    /// No piece came in time.
    TimedOut,
    /// It is longer than it may be.
    TooLong,
    /// It broke off.
    Broken(E),
}

/// Returns the next piece. One that is there already costs no timer.
async fn next<E>(
    pieces: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
    patience: Duration,
) -> Result<Option<Result<Bytes, E>>, Collect<E>> {
    if let Some(piece) = pieces.next().now_or_never() {
        return Ok(piece);
    }
    timeout(patience, pieces.next()).await.map_err(|_| Collect::TimedOut)
}

/// Reads a whole body of at most `most` bytes; `patience` is for each piece. One that comes in one piece is not
/// copied.
pub async fn collect<E>(
    pieces: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
    most: usize,
    patience: Duration,
) -> Result<Bytes, Collect<E>> {
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(piece) = next(pieces, patience).await? {
        let piece = piece.map_err(Collect::Broken)?;
        if first.len() + joined.len() + piece.len() > most {
            return Err(Collect::TooLong);
        }
        if first.is_empty() && joined.is_empty() {
            first = piece;
            continue;
        }
        if joined.is_empty() {
            joined.reserve(first.len() + piece.len());
            joined.extend_from_slice(&std::mem::take(&mut first));
        }
        joined.extend_from_slice(&piece);
    }
    Ok(if joined.is_empty() { first } else { joined.freeze() })
}
