//! Being told to stop in the middle of what must not be left half done.

use std::future::poll_fn;
use std::task::Poll;

use anyhow::{Context as _, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A signal told the command to stop: exit status 128 and its number, as shells have it.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(super) struct Interrupted(pub(super) u8);

/// Signals that do not end the command by themselves any more, with their numbers.
pub(super) struct Listening(Vec<(u8, Signal)>);

/// Begins to listen for signals, within a runtime.
pub(super) fn listen(signals: &[SignalKind]) -> Result<Listening> {
    let listen = |kind: &SignalKind| Ok((u8::try_from(kind.as_raw_value())?, signal(*kind)?));
    let listening: Result<Vec<_>> = signals.iter().map(listen).collect();
    listening.map(Listening).context("cannot listen for signals")
}

/// Does work that clears up behind itself when it is dropped, and drops it when one of these signals comes.
pub(super) async fn unless<T>(signals: &[SignalKind], work: impl Future<Output = Result<T>>) -> Result<T> {
    listen(signals)?.unless(work).await
}

impl Listening {
    /// Does work, and drops it when one of the signals comes.
    pub(super) async fn unless<T>(mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let told = poll_fn(|context| {
            let mut told = self
                .0
                .iter_mut()
                .filter_map(|(number, signal)| signal.poll_recv(context).is_ready().then_some(*number));
            told.next().map_or(Poll::Pending, Poll::Ready)
        });
        tokio::select! {
            number = told => Err(Interrupted(128 + number).into()),
            done = work => done,
        }
    }
}
