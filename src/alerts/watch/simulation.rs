//! Days of generated traffic: what is planted into them is found, and nothing else is.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::domain::alert::{Kind, Status};
use crate::domain::audit::Actor;
use crate::domain::key::{Key, Name as KeyName, Settings};
use crate::domain::order::Order;
use crate::domain::plan::Plans;
use crate::domain::scope::Scopes;
use crate::keys::{Keys, KeysError, Rotation};
use crate::store::alerts::Filter;

const MINUTE: Duration = Duration::from_secs(60);
const ENDPOINT: &str = "/v1/chat/completions";
/// 2026-11-02, a Monday.
const MONDAY: i64 = 20_759;
const ORDER: Order = Order { actor: Actor::System, idempotency: None };
const LEARNT: i64 = 10;

const OFFICE: [&str; 2] = ["198.51.100.7", "198.51.100.8"];
const BATCH: [&str; 1] = ["10.0.0.5"];
const SERVICE: [&str; 1] = ["2001:db8:1::7"];
const HOBBY: [&str; 1] = ["203.0.113.40"];

/// A world with a clock, a database, four keys in use and one that was rotated.
struct World {
    folder: PathBuf,
    clock: Clock,
    hand: Arc<ManualClock>,
    store: Arc<Store>,
    keys: Keys,
    alerts: Arc<Alerts>,
    watch: Watch,
    ids: [KeyId; 5],
    random: Random,
    batch: HashMap<Sighting, Seen>,
    /// What the keeper keeps of a day: hours and requests by quarter.
    profiles: HashMap<KeyId, (u32, BTreeMap<i64, u64>)>,
    /// The day's volume of each key, in percent of the usual.
    volume: [u64; 4],
    hobby: Option<(i64, u64)>,
}

/// A small generator: the same numbers with the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % end
    }
}

impl World {
    fn new(seed: u64) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("mcpd-watch-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        let (clock, hand) = Clock::manual();
        hand.step_wall(MONDAY * 86_400_000 - clock.now().wall.as_millis());
        let store = Arc::new(Store::open(&folder.join("mcpd.db")).unwrap());
        let plans = BTreeMap::from([("standard".to_owned(), NonZeroU32::new(60))]);
        let plans = Plans::new(plans, "standard".to_owned()).unwrap();
        let keys = Keys::load(Arc::clone(&store), plans, clock.clone()).unwrap();
        let alerts = Arc::new(Alerts::load(Arc::clone(&store), clock.clone()).unwrap());
        let watch = Watch::new(Arc::clone(&alerts), Arc::clone(&store), keys.keyring(), clock.now()).unwrap();
        let ids = ["office", "batch", "service", "hobby", "old"].map(|name| {
            let settings = Settings::new(KeyName::parse(name).unwrap(), Scopes::EVERY, "standard");
            keys.issue::<KeysError>(ORDER, || Ok(settings)).unwrap().key.id
        });
        Self {
            folder,
            clock,
            hand,
            store,
            keys,
            alerts,
            watch,
            ids,
            random: Random(seed),
            batch: HashMap::new(),
            profiles: HashMap::new(),
            volume: [100; 4],
            hobby: None,
        }
    }

    fn rotate_the_old_key(&self) {
        let rotation = Rotation {
            expire_old_in: Duration::from_secs(30 * 86_400),
            expires_at: None,
            revoke_when_quiet: None,
        };
        self.keys.rotate::<KeysError>(self.ids[4], ORDER, || Ok(rotation)).unwrap();
    }

    fn see(&mut self, key: Option<KeyId>, client: &str, change: impl FnOnce(&mut Sighting, &mut Seen)) {
        let at = self.clock.now().wall;
        let mut sighting = Sighting {
            key,
            superseded: false,
            client: Some(client.parse::<IpAddr>().unwrap()),
            user_agent: "client/1.0".into(),
            endpoint: ENDPOINT,
        };
        let mut seen = Seen {
            requests: 0,
            errors: 0,
            admitted: 0,
            failures: 0,
            rate_limited: 0,
            failed_auth: 0,
            scopes: Scopes::NONE,
            first: at,
            last: at,
        };
        change(&mut sighting, &mut seen);
        if let Some(key) = key {
            let (hours, quarters) = self.profiles.entry(key).or_default();
            *hours |= 1 << at.as_seconds().div_euclid(3_600).rem_euclid(24);
            *quarters.entry(at.as_seconds().div_euclid(900)).or_default() += seen.requests;
        }
        match self.batch.get_mut(&sighting) {
            Some(held) => held.merge(&seen),
            None => drop(self.batch.insert(sighting, seen)),
        }
    }

    /// Requests that are let through, of which so many fail.
    fn ask(&mut self, key: KeyId, client: &str, requests: u64, failures: u64) {
        self.see(Some(key), client, |_, seen| {
            *seen = Seen { requests, errors: failures, admitted: requests, failures, ..*seen };
        });
    }

    fn guess(&mut self, client: &str, attempts: u64) {
        self.see(None, client, |_, seen| {
            *seen = Seen { requests: attempts, errors: attempts, failed_auth: attempts, ..*seen };
        });
    }

    /// Shows the watch what came since the last time, and writes what it found.
    fn flush(&mut self) {
        let now = self.clock.now();
        self.watch.observe(self.batch.iter(), now);
        self.watch.tick(now);
        self.batch.clear();
        if !self.watch.is_written() {
            let watch = &self.watch;
            // Twenty days of it need not wait for the disk.
            let written = self.store.write_part(|transaction| Ok(watch.write(transaction)));
            written.unwrap().unwrap();
            self.watch.written();
        }
    }

    fn begin_day(&mut self) {
        self.volume = [(); 4].map(|()| 50 + self.random.below(101));
        let plays = self.random.below(10) < 7;
        let (minute, requests) = (18 * 60 + self.random.below(240).cast_signed(), 5 + self.random.below(36));
        self.hobby = plays.then_some((minute, requests));
    }

    fn end_day(&mut self, day: i64) {
        for (key, (hours, quarters)) in std::mem::take(&mut self.profiles) {
            let (requests, busiest) =
                (quarters.values().sum::<u64>(), quarters.values().max().copied().unwrap_or(0));
            let row = (key.to_string(), day, requests.cast_signed(), hours, busiest.cast_signed());
            self.store
                .write(|transaction| {
                    transaction
                        .execute("INSERT INTO profiles VALUES (?1, ?2, ?3, ?4, ?5, 1, 1)", row)
                        .map_err(StoreError::from)
                })
                .unwrap();
        }
    }

    /// So many requests as the day's volume makes of it, one in 33 of which fails.
    fn usual(&mut self, which: usize, client: &str, per_minute: u64) {
        let hundredths = per_minute * self.volume[which] * (50 + self.random.below(101)) / 100;
        let requests = hundredths / 100 + u64::from(self.random.below(100) < hundredths % 100);
        let failures = (0..requests).filter(|_| self.random.below(33) == 0).count() as u64;
        if requests > 0 {
            self.ask(self.ids[which], client, requests, failures);
        }
    }

    /// A minute as all others.
    fn minute(&mut self, day: i64, minute: i64) {
        let hour = minute / 60;
        let is_weekend = (day - MONDAY).rem_euclid(7) >= 5;
        if !is_weekend && (8..17).contains(&hour) {
            let client = OFFICE[usize::from(self.random.below(2) == 0)];
            self.usual(0, client, 2);
        }
        if (1..3).contains(&hour) {
            self.usual(1, BATCH[0], 20);
        }
        self.usual(2, SERVICE[0], 5);
        if let Some((start, requests)) = self.hobby
            && (start..start + 20).contains(&minute)
        {
            self.ask(self.ids[3], HOBBY[0], requests / 20 + u64::from(minute == start), 0);
        }
        if self.random.below(400) == 0 {
            let limited = 1 + self.random.below(5);
            self.see(Some(self.ids[2]), SERVICE[0], |_, seen| {
                *seen = Seen { requests: limited, errors: limited, rate_limited: limited, ..*seen };
            });
        }
        if self.random.below(700) == 0 {
            self.guess(OFFICE[0], 2);
        }
    }

    /// Lets days pass, with what else happens at each minute.
    fn run(&mut self, days: std::ops::Range<i64>, mut also: impl FnMut(&mut Self, i64)) {
        for day in days.map(|day| MONDAY + day) {
            self.begin_day();
            for minute in 0..1_440 {
                self.minute(day, minute);
                also(self, minute);
                self.flush();
                self.hand.advance(MINUTE);
            }
            self.end_day(day);
        }
    }

    fn raised(&self) -> Vec<Alert> {
        let filter = Filter { after: None, status: None, key: None, kind: None, limit: 1_000 };
        self.alerts.list(&filter).unwrap()
    }

    /// Begins anew with what is on the disk.
    fn restart(&mut self) {
        let (alerts, store) = (Arc::clone(&self.alerts), Arc::clone(&self.store));
        self.watch = Watch::new(alerts, store, self.keys.keyring(), self.clock.now()).unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn summaries(alerts: &[Alert]) -> String {
    let lines: Vec<String> =
        alerts.iter().map(|alert| format!("{}: {}", alert.first_seen_at, alert.summary)).collect();
    lines.join("\n")
}

/// What is unusual in a day.
fn plant(world: &mut World, minute: i64) {
    let [office, batch, service, _, old] = world.ids;
    match minute {
        // Work at four in the morning.
        245..255 => world.ask(office, OFFICE[0], 1, 0),
        // An address from which the nightly work never came.
        95..100 => world.ask(batch, "192.0.2.66", 1, 0),
        // The service fails.
        500..506 => world.ask(service, SERVICE[0], 8, 8),
        // Somebody lets the office's key run.
        700..712 => world.ask(office, OFFICE[1], 40, 0),
        // A key that was replaced.
        800 | 803 => world.see(Some(old), OFFICE[0], |sighting, seen| {
            sighting.superseded = true;
            *seen = Seen { requests: 1, admitted: 0, ..*seen };
        }),
        // Guessing.
        1_000..1_004 => world.guess("192.0.2.99", 50),
        _ => {}
    }
}

#[test]
fn a_day_with_six_incidents_raises_six_alerts() {
    let mut world = World::new(7);
    world.rotate_the_old_key();
    world.run(0..LEARNT, |_, _| {});
    assert_eq!(world.raised(), [], "{}", summaries(&world.raised()));
    world.run(LEARNT..LEARNT + 1, plant);
    let raised = world.raised();
    let [office, batch, service, _, old] = world.ids;
    let mut found: Vec<(Kind, Option<KeyId>, &str)> =
        raised.iter().map(|alert| (alert.kind, alert.key, alert.subject.as_str())).collect();
    found.sort();
    let expected = [
        (Kind::ErrorRate, Some(service), ""),
        (Kind::RequestSpike, Some(office), ""),
        (Kind::NewClientAddress, Some(batch), "192.0.2.66"),
        (Kind::UnusualHour, Some(office), "04:00 UTC"),
        (Kind::FailedAuth, None, "192.0.2.99"),
        (Kind::RotatedKeyInUse, Some(old), ""),
    ];
    assert_eq!(found, expected, "{}", summaries(&raised));
    assert!(raised.iter().all(|alert| alert.status == Status::Resolved), "a night later all is over");
    let of = |kind: Kind| raised.iter().find(|alert| alert.kind == kind).unwrap();
    assert_eq!(of(Kind::FailedAuth).count, 200);
    assert_eq!(of(Kind::RotatedKeyInUse).count, 2);
    assert_eq!(of(Kind::NewClientAddress).count, 5);
    assert_eq!(of(Kind::UnusualHour).count, 10);
    assert!(of(Kind::RotatedKeyInUse).summary.contains("was replaced by `old`"));
    assert!(of(Kind::FailedAuth).summary.starts_with("Somebody at 192.0.2.99 tries invalid keys: "));
    assert_eq!(of(Kind::NewClientAddress).details["ip"], "192.0.2.66");
    assert_eq!(world.alerts.open_count(), 0);
}

#[test]
fn ordinary_days_raise_nothing_however_they_fall() {
    for seed in [1, 22, 333] {
        let mut world = World::new(seed);
        world.run(0..2 * LEARNT, |_, _| {});
        let raised = world.raised();
        assert_eq!(raised.len(), 0, "seed {seed}: {}", summaries(&raised));
    }
}

#[test]
fn ten_thousand_refused_requests_are_one_alert() {
    let mut world = World::new(1);
    let key = world.ids[2];
    for _ in 0..100 {
        world.see(Some(key), SERVICE[0], |_, seen| {
            *seen = Seen { requests: 100, errors: 100, rate_limited: 100, ..*seen };
        });
        world.guess("192.0.2.99", 100);
        world.flush();
        world.hand.advance(Duration::from_millis(200));
    }
    let raised = world.raised();
    let counts: Vec<(Kind, u64)> = raised.iter().map(|alert| (alert.kind, alert.count)).collect();
    assert_eq!(counts.len(), 2, "{}", summaries(&raised));
    assert!(counts.contains(&(Kind::RateLimited, 10_000)) && counts.contains(&(Kind::FailedAuth, 10_000)));
    assert_eq!(world.alerts.open_count(), 2);
}

#[test]
fn what_goes_on_over_a_restart_is_still_one_alert_and_what_comes_later_is_another() {
    let mut world = World::new(1);
    world.guess("192.0.2.99", 25);
    world.flush();
    world.restart();
    world.hand.advance(MINUTE);
    world.guess("192.0.2.99", 25);
    world.flush();
    assert_eq!(world.raised().iter().map(|alert| alert.count).collect::<Vec<_>>(), [50]);
    // Now it is quiet for longer than it may be, and the server is down for a part of it.
    world.hand.advance(4 * MINUTE);
    world.restart();
    world.hand.advance(2 * MINUTE);
    world.guess("192.0.2.99", 25);
    world.flush();
    let raised = world.raised();
    let found: Vec<_> = raised.iter().map(|alert| (alert.status, alert.count)).collect();
    assert_eq!(found, [(Status::Open, 25), (Status::Resolved, 50)]);
    assert!(raised.is_sorted_by(|newer, older| newer.id > older.id));
}

#[test]
fn more_addresses_than_are_told_apart_are_one_alert_with_the_others() {
    let mut world = World::new(1);
    for round in 0..3 {
        for address in 0..50 {
            world.guess(&format!("192.0.2.{address}"), 20);
        }
        world.flush();
        let raised = world.raised();
        assert_eq!(raised.len(), 21, "round {round}");
        let counts: u64 = raised.iter().map(|alert| alert.count).sum();
        assert_eq!(counts, 1_000 * (round + 1));
        let others = raised.iter().find(|alert| alert.subject == "others").unwrap();
        assert_eq!(others.count, 600 * (round + 1));
        world.hand.advance(MINUTE);
    }
}

#[test]
fn what_cannot_be_written_is_kept_until_it_can_be() {
    let mut world = World::new(1);
    world.guess("192.0.2.99", 25);
    let now = world.clock.now();
    world.watch.observe(world.batch.iter(), now);
    world.batch.clear();
    let full = world.store.write(|transaction| {
        world.watch.write(transaction)?;
        Err::<(), _>(StoreError::InUse)
    });
    assert!(full.is_err() && !world.watch.is_written());
    assert_eq!(world.raised(), []);
    world.guess("192.0.2.99", 5);
    world.flush();
    assert!(world.watch.is_written());
    assert_eq!(world.raised().iter().map(|alert| alert.count).collect::<Vec<_>>(), [30]);
}

#[test]
fn a_key_that_ends_soon_is_told_of_until_it_does_not_any_more() {
    let mut world = World::new(1);
    let end = world.clock.now().wall.after(Duration::from_secs(10 * 86_400));
    let (id, extended) = (world.ids[0], end.after(Duration::from_secs(30 * 86_400)));
    let set = |world: &World, end| {
        let edit = |key: &Key| Ok::<_, KeysError>(Settings { expires_at: Some(end), ..key.settings.clone() });
        world.keys.change(id, Actor::System, edit).unwrap();
    };
    set(&world, end);
    world.flush();
    assert_eq!(world.raised(), []);
    world.hand.advance(Duration::from_secs(3 * 86_400));
    for _ in 0..3 {
        world.flush();
        world.hand.advance(MINUTE);
    }
    let raised = world.raised();
    assert_eq!(raised.len(), 1, "{}", summaries(&raised));
    assert!(raised[0].summary.contains("expires in 7 days"), "{}", raised[0].summary);
    assert_eq!((raised[0].status, raised[0].count), (Status::Open, 1));
    world.restart();
    set(&world, extended);
    world.flush();
    assert_eq!(world.raised()[0].status, Status::Resolved);
    // A key made for an hour is meant to end.
    let soon = world.clock.now().wall.after(Duration::from_secs(3_600));
    let name = KeyName::parse("guest").unwrap();
    let settings = Settings { expires_at: Some(soon), ..Settings::new(name, Scopes::EVERY, "standard") };
    world.keys.issue::<KeysError>(ORDER, || Ok(settings)).unwrap();
    world.flush();
    assert_eq!(world.raised().len(), 1);
}
