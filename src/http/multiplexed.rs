//! What a client may have going on at once on an HTTP/2 connection.
//!
//! The framework sets no bound: one connection, without any key, could hold all of the memory with answers that it never
//! takes. So the bound is told in the connection's first frame, where the framework has none, and who goes far beyond it
//! is cut off. Nor is more read from who takes nothing of what is written.

use std::io;
use std::task::{Context, Poll};

use actix_web::web::Bytes;

use super::turns::Turns;

/// Requests at a time (`SETTINGS_MAX_CONCURRENT_STREAMS`, RFC 9113, 6.5.2).
const MOST: u8 = 128;
/// As many times more end the connection: a client may have begun some before it has heard of the bound.
const TOLERATED: u64 = 2;
/// The setting that tells the bound.
const SETTING: [u8; 6] = [0, 3, 0, 0, 0, MOST];
/// How long a frame's head is, in bytes (RFC 9113, 4.1).
const HEAD: usize = 9;

/// One connection's side of it.
#[derive(Debug, Default)]
pub(super) struct Multiplexed {
    pub turns: Turns,
    is_told: bool,
    has_read: bool,
    is_stuck: bool,
}

impl Multiplexed {
    /// Is ready once more may be read; fails if too much is going on.
    pub fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.turns.going_on() > u64::from(MOST) * TOLERATED {
            return Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into()));
        }
        if self.is_stuck {
            // Whoever waits to write is woken once that goes on.
            return Poll::Pending;
        }
        if std::mem::take(&mut self.has_read) {
            // Requests that have come begin before others are read.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// Notes whether something was read.
    pub fn note_read(&mut self, came: bool) {
        self.has_read = came;
    }

    /// Notes whether what is written is taken.
    pub fn note_write(&mut self, is_taken: bool, cx: &mut Context<'_>) {
        let was_stuck = std::mem::replace(&mut self.is_stuck, !is_taken);
        if was_stuck && is_taken {
            cx.waker().wake_by_ref();
        }
    }

    /// Returns what to write in place of the connection's first bytes, which are its settings.
    pub fn settings(&mut self, written: &[u8]) -> Option<Bytes> {
        if std::mem::replace(&mut self.is_told, true) { None } else { with_setting(written) }
    }
}

/// Adds the bound to a frame of settings, which others may follow.
fn with_setting(written: &[u8]) -> Option<Bytes> {
    let (head, rest) = written.split_at_checked(HEAD)?;
    let length = usize::from(u16::from_be_bytes([head[1], head[2]]));
    let (settings, rest) = rest.split_at_checked(length)?;
    // The rest of the head: of the type SETTINGS, no answer to the client's, of the connection as a whole.
    if head[0] != 0 || head[3..] != [4, 0, 0, 0, 0, 0] {
        return None;
    }
    let longer = u16::try_from(length + SETTING.len()).ok()?.to_be_bytes();
    Some([&[0][..], &longer, &head[3..], settings, &SETTING, rest].concat().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_told_with_the_first_settings_and_nothing_else_is_touched() {
        let mut connection = Multiplexed::default();
        let written = connection.settings(&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 7, 7]);
        let expected = [0, 0, 12, 4, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0, 3, 0, 0, 0, 128, 7, 7];
        assert_eq!(written.as_deref(), Some(&expected[..]));
        assert_eq!(connection.settings(&[0, 0, 0, 4, 0, 0, 0, 0, 0]), None);
        for other in [&[0, 0, 0, 4, 1, 0, 0, 0, 0][..], &[0, 0, 0, 6, 0, 0, 0, 0, 0], &[0, 0, 1, 4], &[]] {
            assert_eq!(with_setting(other), None, "{other:?}");
        }
    }
}
