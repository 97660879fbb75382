//! Which threads give way to which.

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
