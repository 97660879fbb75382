//! The way to work that waits: for the database, for a disk.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SendError, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use actix_web::web;
use tokio::sync::oneshot;

use super::ApiError;
use crate::nice::{Nice, step_back};

/// Runs blocking work where it holds nobody up.
pub async fn block<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, ApiError>
where
    T: Send + 'static,
    E: Into<ApiError> + Send + 'static,
{
    match web::block(work).await {
        Ok(result) => result.map_err(Into::into),
        Err(error) => {
            tracing::error!("work was cut off: {error}");
            Err(ApiError::Internal)
        }
    }
}

/// Does as [`block`] on a thread that gives way to all others: for long work that nobody's answer but its own waits for.
pub async fn gently<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, ApiError>
where
    T: Send + 'static,
    E: Into<ApiError> + Send + 'static,
{
    let (sender, result) = oneshot::channel();
    let job = move || {
        // Who has left needs no result.
        let _ = sender.send(work());
    };
    if let Err(error) = hand_over(Box::new(job)) {
        tracing::error!("no thread for work: {error}");
        return Err(ApiError::Internal);
    }
    match result.await {
        Ok(result) => result.map_err(Into::into),
        // The panic itself is in the log already.
        Err(_) => Err(ApiError::Internal),
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// The threads that wait for long work. The one that was busy last is given the next: malloc keeps some of what a thread
/// used for that thread, so that a new one for each piece of work would come to many times as much.
static IDLE: Mutex<Vec<Sender<Job>>> = Mutex::new(Vec::new());
/// As many of them stay.
const MOST_IDLE: usize = 2;

fn hand_over(mut job: Job) -> io::Result<()> {
    loop {
        // Not in the condition of a loop, which would hold the lock for its body.
        let Some(thread) = idle().pop() else { break };
        match thread.send(job) {
            Ok(()) => return Ok(()),
            Err(SendError(unsent)) => job = unsent,
        }
    }
    let thread = std::thread::Builder::new().name("gently".to_owned());
    thread.spawn(move || work_through(job)).map(drop)
}

fn work_through(mut job: Job) {
    step_back(Nice::FarBehind);
    let (sender, jobs) = channel();
    loop {
        // A panic ends the job, not the thread: who waits is told by its end of the channel.
        let _ = catch_unwind(AssertUnwindSafe(job));
        {
            let mut idle = idle();
            if idle.len() >= MOST_IDLE {
                return;
            }
            idle.push(sender.clone());
        }
        let Ok(next) = jobs.recv() else { return };
        job = next;
    }
}

fn idle() -> MutexGuard<'static, Vec<Sender<Job>>> {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Barrier};

    use super::*;

    #[tokio::test]
    async fn long_work_is_done_side_by_side_on_threads_that_are_used_again() {
        let here = || Ok::<_, ApiError>(std::thread::current().id());
        // One is idle a moment after its answer is here.
        let idle_threads = async |most| {
            while idle().len() < most {
                tokio::task::yield_now().await;
            }
        };
        let first = gently(here).await.unwrap();
        idle_threads(1).await;
        let panicked: Result<(), ApiError> = gently(|| -> Result<(), ApiError> { panic!("a fault") }).await;
        assert!(matches!(panicked, Err(ApiError::Internal)));
        idle_threads(1).await;
        assert_eq!(gently(here).await.unwrap(), first);
        // All of them wait for each other.
        let barrier = Arc::new(Barrier::new(5));
        let all = (0..5).map(|_| {
            let barrier = Arc::clone(&barrier);
            gently(move || Ok::<_, ApiError>(barrier.wait().is_leader()))
        });
        let led = futures_util::future::join_all(all).await;
        assert_eq!(led.into_iter().filter(|leads| *leads.as_ref().unwrap()).count(), 1);
        idle_threads(MOST_IDLE).await;
        assert_eq!(idle().len(), MOST_IDLE);
    }
}
