//! A body passed on in pieces: the client's own bytes, uncopied, with small edits between them.

use std::ops::Range;

use actix_web::web::Bytes;

/// A request body of known length, in one or more pieces.
#[derive(Clone, Debug, Default)]
pub struct Body(Vec<Bytes>);

impl Body {
    /// Returns the bytes with the ranges replaced; the edits are in order and do not overlap.
    pub fn with_edits(bytes: &Bytes, edits: Vec<(Range<usize>, String)>) -> Self {
        let mut pieces = Vec::with_capacity(edits.len() * 2 + 1);
        let mut done = 0;
        for (at, text) in edits {
            pieces.push(bytes.slice(done..at.start));
            pieces.push(text.into());
            done = at.end;
        }
        pieces.push(bytes.slice(done..));
        pieces.retain(|piece| !piece.is_empty());
        Self(pieces)
    }

    /// Returns the pieces, in their order.
    pub fn pieces(&self) -> &[Bytes] {
        &self.0
    }

    /// Returns all of it in one piece.
    #[cfg(test)]
    pub fn concat(&self) -> Vec<u8> {
        self.0.iter().flatten().copied().collect()
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self(vec![bytes.into()])
    }
}
