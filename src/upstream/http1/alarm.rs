//! A deadline that moves on with each request, at the cost of a timer once in a while.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

/// Goes off when a deadline has passed.
///
/// Deadlines of one connection mostly lie in the order of its requests: the timer of one is left to run out, long after
/// its answer, and only then set to the deadline that holds by then.
#[derive(Debug, Default)]
pub(super) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Is ready once the deadline has passed, and wakes whoever asked last.
    pub(super) fn poll(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if timer.deadline() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn each_deadline_is_kept_whatever_the_ones_before_it_were() {
        let mut alarm = Alarm::default();
        for millis in [10, 30, 5, 40, 0] {
            let deadline = Instant::now() + Duration::from_millis(millis);
            poll_fn(|cx| alarm.poll(deadline, cx)).await;
            assert!(Instant::now() >= deadline, "{millis} ms");
            // An answer that comes in time leaves its timer behind.
            let in_time = Instant::now() + Duration::from_millis(20);
            assert!(poll_fn(|cx| Poll::Ready(alarm.poll(in_time, cx).is_pending())).await);
        }
    }
}
