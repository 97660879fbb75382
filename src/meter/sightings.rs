//! Who was seen between two drains.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::LazyLock;

use crate::domain::id::KeyId;
use crate::domain::sighting::{Seen, Sighting};
use crate::domain::token;

/// The longest user agent that is kept, in characters.
const LONGEST_AGENT: usize = 200;
/// How many are told apart, of all keys and of each; who comes beyond that is counted without address and user agent.
const MOST: usize = 20_000;
const MOST_OF_A_KEY: u32 = 500;

/// One key for the whole process, so that what threads counted can be merged.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Who was seen, by the hash of who they are: 64 bits under a random key, so that nobody makes two alike, and a
/// client that is known already costs no allocation.
#[derive(Debug, Default)]
pub struct Sightings {
    seen: HashMap<u64, (Sighting, Seen)>,
    /// How many of them each key has.
    of_key: HashMap<Option<KeyId>, u32>,
}

/// Who asks for what, as the request itself says it.
#[derive(Clone, Copy, Debug, Hash)]
pub struct Who<'a> {
    /// The key; none where the request had no key that mcpd knows.
    pub key: Option<KeyId>,
    /// Whether the key had a successor by then.
    pub superseded: bool,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The `User-Agent` header, as it was sent.
    pub user_agent: &'a [u8],
    /// The route's pattern.
    pub endpoint: &'static str,
}

impl Sightings {
    /// Counts what was seen of somebody.
    pub fn note(&mut self, who: Who<'_>, seen: &Seen) {
        let who = Who { user_agent: if who.key.is_some() { who.user_agent } else { b"" }, ..who };
        let hash = HASHER.hash_one(who);
        if let Some((_, known)) = self.seen.get_mut(&hash) {
            known.merge(seen);
        } else if self.has_room(who.key) || who.is_nobody() {
            self.insert(hash, who.sighting(), seen.clone());
        } else {
            self.note(who.nobody(), seen);
        }
    }

    /// Adds what others saw.
    pub fn merge(&mut self, other: Self) {
        for (hash, (sighting, seen)) in other.seen {
            if let Some((_, known)) = self.seen.get_mut(&hash) {
                known.merge(&seen);
            } else if self.has_room(sighting.key) {
                self.insert(hash, sighting, seen);
            } else {
                let Sighting { key, superseded, endpoint, .. } = sighting;
                self.note(Who { key, superseded, client: None, user_agent: b"", endpoint }, &seen);
            }
        }
    }

    /// Returns everybody, with what was seen of them.
    pub fn iter(&self) -> impl Iterator<Item = (&Sighting, &Seen)> {
        self.seen.values().map(|(sighting, seen)| (sighting, seen))
    }

    /// Whoever has no known key is told apart by address alone, for the sake of alerts: as far as there is room.
    fn has_room(&self, key: Option<KeyId>) -> bool {
        let of_key = self.of_key.get(&key).copied().unwrap_or(0);
        self.seen.len() < MOST && (key.is_none() || of_key < MOST_OF_A_KEY)
    }

    fn insert(&mut self, hash: u64, sighting: Sighting, seen: Seen) {
        *self.of_key.entry(sighting.key).or_default() += 1;
        self.seen.insert(hash, (sighting, seen));
    }
}

impl Who<'_> {
    /// Returns the same without what tells one client from another.
    const fn nobody(self) -> Self {
        Self { client: None, user_agent: b"", ..self }
    }

    const fn is_nobody(&self) -> bool {
        self.client.is_none() && self.user_agent.is_empty()
    }

    fn sighting(&self) -> Sighting {
        let agent = String::from_utf8_lossy(self.user_agent);
        let agent: String = agent.chars().filter(|letter| !letter.is_control()).take(LONGEST_AGENT).collect();
        Sighting {
            key: self.key,
            superseded: self.superseded,
            client: self.client.map(|client| client.to_canonical()),
            user_agent: token::redact(&agent).into(),
            endpoint: self.endpoint,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    fn seen() -> Seen {
        Seen::once(Timestamp::from_seconds(1_795_000_000))
    }

    fn who(key: Option<&str>, number: u32, user_agent: &'static [u8]) -> Who<'static> {
        let key = key.map(|key| key.parse().unwrap());
        let client = Some(number.to_be_bytes().into());
        Who { key, superseded: false, client, user_agent, endpoint: "/v1/key" }
    }

    const KEY: Option<&str> = Some("key_000000000000000000000001");

    #[test]
    fn the_same_client_is_counted_in_one_place() {
        let (mut here, mut there) = (Sightings::default(), Sightings::default());
        here.note(who(KEY, 1, b"curl"), &seen());
        here.note(who(KEY, 1, b"curl"), &seen());
        there.note(who(KEY, 1, b"curl"), &seen());
        there.note(who(KEY, 1, b"wget"), &seen());
        here.merge(there);
        let mut counts: Vec<_> =
            here.iter().map(|(who, seen)| (who.user_agent.to_string(), seen.requests)).collect();
        counts.sort();
        assert_eq!(counts, [("curl".to_owned(), 3), ("wget".to_owned(), 1)]);
    }

    #[test]
    fn a_key_in_a_user_agent_is_blanked_out_and_strangers_agents_are_not_kept() {
        let mut sightings = Sightings::default();
        sightings.note(who(KEY, 1, b"x mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38\x01\xff"), &seen());
        sightings.note(who(None, 1, b"guesser/1"), &seen());
        let mut agents: Vec<_> = sightings.iter().map(|(who, _)| who.user_agent.to_string()).collect();
        agents.sort();
        assert_eq!(agents, ["", "x mcp_sk_…\u{fffd}"]);
    }

    #[test]
    fn memory_is_bounded_and_nothing_is_lost_for_it() {
        for (key, most) in [(KEY, MOST_OF_A_KEY as usize), (None, MOST)] {
            let (mut one, mut other) = (Sightings::default(), Sightings::default());
            for number in 0..30_000 {
                one.note(who(key, number, b"a"), &seen());
                other.note(who(key, number + 15_000, b"a"), &seen());
            }
            one.merge(other);
            assert!(one.seen.len() <= most + 2, "{}", one.seen.len());
            assert_eq!(one.iter().map(|(_, seen)| seen.requests).sum::<u64>(), 60_000);
        }
    }
}
