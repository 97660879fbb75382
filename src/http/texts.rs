//! Short texts for headers, written one behind the other into memory that they share and that is used again.

use std::cell::RefCell;

use actix_web::http::header::HeaderValue;
use actix_web::web::BytesMut;

/// As much memory as is taken at once: the texts of some twenty answers.
const ROOM: usize = 4 * 1024;
/// The longest of the texts.
const LONGEST: usize = 64;

/// Where one worker writes such texts.
#[derive(Debug, Default)]
pub struct Texts(RefCell<BytesMut>);

impl Texts {
    /// Returns the pieces of a text as a header's value.
    ///
    /// # Panics
    ///
    /// Where they are not visible ASCII and blanks.
    pub fn header(&self, pieces: &[&str]) -> HeaderValue {
        let mut room = self.0.borrow_mut();
        if room.capacity() < LONGEST {
            // Where all that was written into it is gone, it is used again.
            room.reserve(ROOM);
        }
        for piece in pieces {
            room.extend_from_slice(piece.as_bytes());
        }
        HeaderValue::from_maybe_shared(room.split().freeze()).expect("visible ASCII and blanks")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_as_they_were_written() {
        let texts = Texts::default();
        let written: Vec<HeaderValue> =
            (0..5_000).map(|number| texts.header(&["number ", &number.to_string()])).collect();
        for (number, text) in written.iter().enumerate() {
            assert_eq!(text.to_str().unwrap(), format!("number {number}"));
        }
    }
}
