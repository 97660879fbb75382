//! How many files the process may have open: each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit to the most that the system allows the process: many start programs with 1,024, which is for those
/// that cannot deal with more.
pub(super) fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    let told = |limit: Option<u64>| limit.map_or("any number of".to_owned(), |limit| limit.to_string());
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => tracing::debug!("may have {} files open instead of {}", told(maximum), told(current)),
        Err(error) => tracing::warn!("may have {} files open, and no more: {error}", told(current)),
    }
}
