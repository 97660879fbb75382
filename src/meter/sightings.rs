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
const MOST_OF_A_KEY: usize = 500;
/// How many of those who have no known key: they are told apart by address alone, for the sake of alerts.
const MOST_STRANGERS: usize = 20_000;

/// One key for the whole process, so that what threads counted can be merged.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Who was seen, by the hash of who they are: 64 bits under a random key, so that nobody makes two alike, and a
/// client that is known already costs no allocation.
#[derive(Debug, Default)]
pub struct Sightings {
    seen: super::batch::HashMap<u64, (Sighting, Seen)>,
    /// How many of them each key has.
    of_key: HashMap<Option<KeyId>, usize>,
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
        // By the day too, which they are kept by.
        let hash = HASHER.hash_one((who, seen.first.day()));
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

    /// Whoever has no known key takes no room from those who have one.
    fn has_room(&self, key: Option<KeyId>) -> bool {
        let strangers = self.count(None);
        match key {
            None => strangers < MOST_STRANGERS,
            Some(_) => self.seen.len() - strangers < MOST && self.count(key) < MOST_OF_A_KEY,
        }
    }

    fn count(&self, key: Option<KeyId>) -> usize {
        self.of_key.get(&key).copied().unwrap_or(0)
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
    fn strangers_take_no_room_from_keys_nor_keys_from_strangers() {
        let note = |sightings: &mut Sightings, keys: bool, times: u32| {
            for number in 0..times {
                let key = keys.then(|| format!("key_{number:024}"));
                sightings.note(who(key.as_deref(), number, b""), &seen());
            }
        };
        let told_apart = |sightings: &Sightings, keys: bool| {
            sightings.iter().filter(|(who, _)| who.client.is_some() && who.key.is_some() == keys).count()
        };
        for (flood_of_keys, most) in [(true, MOST), (false, MOST_STRANGERS)] {
            let (mut here, mut there) = (Sightings::default(), Sightings::default());
            note(&mut here, flood_of_keys, 30_000);
            assert_eq!(told_apart(&here, flood_of_keys), most);
            note(&mut here, !flood_of_keys, 100);
            note(&mut there, !flood_of_keys, 200);
            here.merge(there);
            assert_eq!(told_apart(&here, !flood_of_keys), 200, "a flood of keys: {flood_of_keys}");
        }
    }

    #[test]
    fn what_is_seen_over_midnight_is_told_apart_by_day() {
        let midnight = 1_795_046_400;
        let (mut here, mut there) = (Sightings::default(), Sightings::default());
        for (sightings, seconds) in [(&mut here, [-2, 0]), (&mut there, [-1, 1])] {
            for second in seconds {
                let at = Timestamp::from_seconds(midnight + second);
                sightings.note(who(KEY, 1, b"curl"), &Seen::once(at));
            }
        }
        here.merge(there);
        let mut days: Vec<_> =
            here.iter().map(|(_, seen)| (seen.first.day(), seen.last.day(), seen.requests)).collect();
        days.sort_unstable();
        let day = Timestamp::from_seconds(midnight).day();
        assert_eq!(days, [(day - 1, day - 1, 2), (day, day, 2)]);
    }

    #[test]
    fn memory_is_bounded_and_nothing_is_lost_for_it() {
        for (key, most) in [(KEY, MOST_OF_A_KEY), (None, MOST_STRANGERS)] {
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
