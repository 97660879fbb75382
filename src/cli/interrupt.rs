//! Being told to stop in the middle of what must not be left half done.

use std::future::poll_fn;
use std::task::Poll;

use anyhow::{Context as _, Result};
use tokio::signal::unix::{SignalKind, signal};

/// A signal told the command to stop: exit status 128 and its number, as shells have it.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(super) struct Interrupted(pub(super) u8);

/// Does work that clears up behind itself when it is dropped, and drops it when one of these signals comes.
pub(super) async fn unless<T>(signals: &[SignalKind], work: impl Future<Output = Result<T>>) -> Result<T> {
    let listen = |kind: &SignalKind| Ok((u8::try_from(kind.as_raw_value())?, signal(*kind)?));
    let listening: Result<Vec<_>> = signals.iter().map(listen).collect();
    let mut listening = listening.context("cannot listen for signals")?;
    let told = poll_fn(|context| {
        let mut told = listening
            .iter_mut()
            .filter_map(|(number, signal)| signal.poll_recv(context).is_ready().then_some(*number));
        told.next().map_or(Poll::Pending, Poll::Ready)
    });
    tokio::select! {
        number = told => Err(Interrupted(128 + number).into()),
        done = work => done,
    }
}
