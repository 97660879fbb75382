//! Which threads give way to which, and when.

/// As many items of long work are done in a row: some tenths of a millisecond.
const IN_A_ROW: usize = 16;

/// How far a thread goes behind others where a processor is wanted by both, see `nice(2)`.
#[derive(Clone, Copy, Debug)]
pub enum Nice {
    /// It gets a third of what others get: somebody waits for it, but requests do not.
    Behind = 5,
    /// A tenth, for long work.
    FarBehind = 10,
}

/// Lets other threads go before the calling one, and before those that it starts from now on.
pub fn step_back(nice: Nice) {
    use rustix::process::nice as add;
    // Linux takes it for the calling thread alone. Where it is refused, the work is done all the same.
    let _ = add(0).and_then(|now| add((nice as i32 - now).max(0)));
}

/// Returns the items of long work, and lets other threads go first between some of them.
///
/// A thread that wakes may go before one that works only when that one's slice is over, however far that stepped back:
/// with Linux's scheduler, after some milliseconds.
pub fn with_pauses<T>(items: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
    items.into_iter().enumerate().map(|(done, item)| {
        if done % IN_A_ROW == IN_A_ROW - 1 {
            std::thread::yield_now();
        }
        item
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_leave_nothing_out() {
        assert!(with_pauses(0..100).eq(0..100));
    }
}
