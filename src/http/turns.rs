//! Whose turn it is on a connection: the client's, to send a request, or the server's, to answer it.
//!
//! The framework times the first head on a connection and the silence between two requests. It does not time a head
//! that has begun behind an answer, nor mind requests behind one that was to be the last.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// How often it is looked at whether a client makes use of its turn.
const LOOK: Duration = Duration::from_secs(5);
/// As many looks a head may take once it has begun: ten seconds at least.
const LOOKS_AT_HEAD: u32 = 3;
/// As many looks a client may stay silent: 75 seconds at least. The framework's own timer begins anew with each look, and
/// with half a head it never begins.
const LOOKS_AT_SILENCE: u32 = 16;

/// The turns on one connection; clones are of the same.
#[derive(Clone, Debug, Default)]
pub struct Turns(Rc<State>);

#[derive(Debug, Default)]
struct State {
    begun: Cell<u64>,
    ended: Cell<u64>,
    /// Whether a request was to be the last.
    is_closing: Cell<bool>,
}

/// The server's turn, from a request's head to its answer's end.
#[derive(Debug)]
pub struct Turn {
    turns: Turns,
    /// Whether the request came behind one that was to be the connection's last, and so is none.
    pub is_behind_last: bool,
}

impl Turns {
    /// Begins the turn of the server with a request, which may say that it is the last.
    pub fn begin(&self, is_last: bool) -> Turn {
        self.0.begun.set(self.0.begun.get() + 1);
        let is_behind_last = self.0.is_closing.replace(self.0.is_closing.get() || is_last);
        Turn { turns: self.clone(), is_behind_last }
    }

    /// Returns how many requests are being answered.
    pub(super) fn going_on(&self) -> u64 {
        self.0.begun.get() - self.0.ended.get()
    }

    /// Returns the number of the client's turn; `None` while it is not, and before the first answer.
    fn of_client(&self) -> Option<u64> {
        let begun = self.0.begun.get();
        (begun > 0 && begun == self.0.ended.get()).then_some(begun)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.0.ended.set(self.turns.0.ended.get() + 1);
    }
}

/// Looks whether a client makes use of its turns.
#[derive(Debug, Default)]
pub(super) struct Watch {
    pub turns: Turns,
    /// Whether an answer is not yet all on its way.
    pub is_writing: bool,
    /// The turn that was looked at, how often, and whether it has begun to send in it.
    turn: u64,
    looks: u32,
    has_begun: bool,
    look: Option<Pin<Box<Sleep>>>,
}

impl Watch {
    /// Notes whether something came, and is ready once the client is to be given up, with whether it had begun.
    pub fn poll(&mut self, came: bool, cx: &mut Context<'_>) -> Poll<bool> {
        let Some(turn) = self.turns.of_client().filter(|_| !self.is_writing) else { return Poll::Pending };
        if self.turn != turn || (came && !self.has_begun) {
            (self.turn, self.looks, self.has_begun) = (turn, 0, came);
        }
        let look = self.look.get_or_insert_with(|| Box::pin(sleep(LOOK)));
        while look.as_mut().poll(cx).is_ready() {
            look.as_mut().reset(Instant::now() + LOOK);
            self.looks += 1;
        }
        let most = if self.has_begun { LOOKS_AT_HEAD } else { LOOKS_AT_SILENCE };
        if self.looks < most { Poll::Pending } else { Poll::Ready(self.has_begun) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_behind_the_last_request_is_none() {
        let turns = Turns::default();
        let told: Vec<_> =
            [false, false, true, false, true].map(|is_last| turns.begin(is_last).is_behind_last).into();
        assert_eq!(told, [false, false, false, true, true]);
    }

    #[test]
    fn it_is_the_clients_turn_between_the_servers() {
        let turns = Turns::default();
        assert_eq!(turns.of_client(), None, "the framework times the first head");
        let first = turns.begin(false);
        assert_eq!(turns.of_client(), None);
        drop(first);
        assert_eq!(turns.of_client(), Some(1));
        let (second, third) = (turns.begin(false), turns.begin(false));
        drop(second);
        assert_eq!(turns.of_client(), None);
        drop(third);
        assert_eq!(turns.of_client(), Some(3));
    }
}
