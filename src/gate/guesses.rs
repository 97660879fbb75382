//! Failed attempts by client address, so that guessing keys is slow.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::window::{Quota, Window};

const SHARDS: usize = 64;
/// Addresses remembered in each shard. Beyond it idle ones make room, then any.
const MOST: usize = 1_024;

/// How often each client address has failed in the last 60 seconds.
#[derive(Debug)]
pub(super) struct Guesses {
    limit: AtomicU32,
    hasher: RandomState,
    shards: Box<[Mutex<HashMap<IpAddr, Window>>]>,
}

impl Guesses {
    /// Returns a count that lets `limit` failures a minute pass.
    pub(super) fn new(limit: u32) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { limit: AtomicU32::new(limit), hasher: RandomState::new(), shards }
    }

    /// Lets so many failures a minute pass from now on; what was counted stays.
    pub(super) fn set_limit(&self, limit: u32) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Counts a failure; an error once there were too many, with the time to wait.
    pub(super) fn fail(&self, client: IpAddr, now: Duration) -> Result<(), Quota> {
        let client = network(client);
        let mut windows = self.shard(client);
        if windows.len() >= MOST && !windows.contains_key(&client) {
            make_room(&mut windows, now);
        }
        windows.entry(client).or_default().take(self.limit(), now).map(drop)
    }

    /// Tells what [`Guesses::fail`] would, counting nothing.
    pub(super) fn peek(&self, client: IpAddr, now: Duration) -> Result<(), Quota> {
        let client = network(client);
        let quota = self.shard(client).get_mut(&client).map(|window| window.peek(self.limit(), now));
        quota.filter(|quota| quota.remaining == 0).map_or(Ok(()), Err)
    }

    fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    fn shard(&self, client: IpAddr) -> MutexGuard<'_, HashMap<IpAddr, Window>> {
        let at = usize::try_from(self.hasher.hash_one(client) % SHARDS as u64).expect("below the shards");
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever has one IPv6 address has its /64, so that counts as one.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn make_room(windows: &mut HashMap<IpAddr, Window>, now: Duration) {
    windows.retain(|_, window| !window.is_idle(now));
    if windows.len() >= MOST
        && let Some(any) = windows.keys().next().copied()
    {
        windows.remove(&any);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_fails_too_often_waits() {
        let guesses = Guesses::new(2);
        let (now, one, other) =
            (Duration::from_secs(9), "192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        assert!(guesses.fail(one, now).is_ok() && guesses.peek(one, now).is_ok());
        assert!(guesses.fail(one, now).is_ok() && guesses.peek(one, now).is_err());
        assert_eq!(guesses.fail(one, now).unwrap_err().reset_seconds(), 60);
        assert!(guesses.peek(other, now).is_ok() && guesses.fail(other, now).is_ok());
        assert!(guesses.fail(one, now + Duration::from_secs(60)).is_ok());
    }

    #[test]
    fn one_ipv6_network_counts_as_one_address() {
        let guesses = Guesses::new(1);
        let now = Duration::from_secs(9);
        assert!(guesses.fail("2001:db8::1".parse().unwrap(), now).is_ok());
        assert!(guesses.fail("2001:db8::2".parse().unwrap(), now).is_err());
        assert!(guesses.fail("2001:db8:0:1::1".parse().unwrap(), now).is_ok());
    }

    #[test]
    fn memory_is_bounded_whoever_guesses() {
        let guesses = Guesses::new(1);
        for number in 0..200_000_u32 {
            let _ = guesses.fail(number.to_be_bytes().into(), Duration::from_secs(9));
        }
        let kept: usize = guesses.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert!(kept <= SHARDS * MOST, "{kept} addresses");
    }
}
