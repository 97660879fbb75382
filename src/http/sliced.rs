//! Hands a long answer over slice by slice: the framework copies what it is handed into a buffer of the connection,
//! which stays as long as the longest of them for as long as the client stays.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::web::Bytes;

/// How much is handed over at once, in bytes.
const SLICE: usize = 32 * 1024;

/// A body whose pieces are short.
pub struct Sliced {
    body: BoxBody,
    /// What is left of a long piece.
    rest: Bytes,
}

impl Sliced {
    /// Returns the body, slice by slice.
    pub fn new(body: impl MessageBody + 'static) -> Self {
        Self { body: body.boxed(), rest: Bytes::new() }
    }
}

impl MessageBody for Sliced {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let mut piece = if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_next(cx)) {
                Some(Ok(piece)) => piece,
                ended => return Poll::Ready(ended),
            }
        } else {
            std::mem::take(&mut self.rest)
        };
        if piece.len() > SLICE {
            self.rest = piece.split_off(SLICE);
        }
        Poll::Ready(Some(Ok(piece)))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::stream;

    use super::*;

    #[tokio::test]
    async fn a_long_piece_comes_in_short_ones_and_nothing_is_lost() {
        let lengths = [0, 1, SLICE, SLICE + 1, 3 * SLICE + 5];
        let pieces = lengths.map(|length| (0..=250).cycle().take(length).collect::<Bytes>());
        let whole = pieces.concat();
        let stream = stream::iter(pieces.map(Ok::<_, std::io::Error>));
        let mut body = Sliced::new(actix_web::body::SizedStream::new(whole.len() as u64, stream));
        assert_eq!(body.size(), BodySize::Sized(whole.len() as u64));
        let mut passed = Vec::new();
        while let Some(piece) = poll_fn(|cx| Pin::new(&mut body).poll_next(cx)).await {
            let piece = piece.unwrap();
            assert!(piece.len() <= SLICE);
            passed.extend_from_slice(&piece);
        }
        assert!(passed == whole);
    }
}
