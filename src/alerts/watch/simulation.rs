//! Days of generated traffic: what is planted into them is found, and nothing else is.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::alerts::{AlertsError, NewRule};
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
        (Kind::UnusualHour, Some(office), ""),
        (Kind::FailedAuth, None, "192.0.2.99"),
        (Kind::RotatedKeyInUse, Some(old), ""),
    ];
    assert_eq!(found, expected, "{}", summaries(&raised));
    let goes_on = raised.iter().filter(|alert| alert.status != Status::Resolved);
    let goes_on: Vec<Kind> = goes_on.map(|alert| alert.kind).collect();
    assert_eq!(goes_on, [Kind::RotatedKeyInUse], "a night later all else is over");
    let of = |kind: Kind| raised.iter().find(|alert| alert.kind == kind).unwrap();
    assert_eq!(of(Kind::FailedAuth).count, 200);
    assert_eq!(of(Kind::RotatedKeyInUse).count, 2);
    assert_eq!(of(Kind::NewClientAddress).count, 5);
    assert_eq!(of(Kind::UnusualHour).count, 10);
    assert!(of(Kind::RotatedKeyInUse).summary.contains("was replaced by `old`"));
    assert!(of(Kind::FailedAuth).summary.starts_with("Somebody at 192.0.2.99 tries invalid keys: "));
    assert_eq!(of(Kind::NewClientAddress).details["ip"], "192.0.2.66");
    assert_eq!(of(Kind::UnusualHour).details["hours"], serde_json::json!(["04:00 UTC"]));
    world.hand.advance(24 * 60 * MINUTE);
    world.flush();
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
fn ten_thousand_refused_requests_are_one_alert_whatever_is_known_of_the_key() {
    let mut world = World::new(1);
    // It is midnight then: an unusual hour for the office, and far more than the hobby ever asks for.
    world.run(0..LEARNT, |_, _| {});
    let [office, _, _, hobby, _] = world.ids;
    for _ in 0..100 {
        world.see(Some(office), OFFICE[0], |_, seen| {
            *seen = Seen { requests: 100, errors: 100, rate_limited: 100, ..*seen };
        });
        // Somebody goes on with a key that was revoked.
        world.see(Some(hobby), "192.0.2.99", |_, seen| {
            *seen = Seen { requests: 100, errors: 100, failed_auth: 100, ..*seen };
        });
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
fn a_night_over_three_unusual_hours_is_one_alert() {
    let mut world = World::new(7);
    world.run(0..LEARNT, |_, _| {});
    let office = world.ids[0];
    world.run(LEARNT..LEARNT + 1, |world, minute| {
        if (120..300).contains(&minute) && minute % 20 == 0 || (120..125).contains(&minute) {
            world.ask(office, OFFICE[0], 1, 0);
        }
    });
    let raised = world.raised();
    assert_eq!(raised.len(), 1, "{}", summaries(&raised));
    let night = &raised[0];
    assert_eq!((night.kind, night.count, night.status), (Kind::UnusualHour, 13, Status::Resolved));
    assert_eq!(night.details["hours"], serde_json::json!(["02:00 UTC", "03:00 UTC", "04:00 UTC"]));
}

#[test]
fn a_weekly_peak_is_an_alert_once_and_on_another_day_again() {
    let mut world = World::new(7);
    let service = world.ids[2];
    let mut days = Vec::new();
    for day in 0..24 {
        let peaks = [7, 14, 16, 21].contains(&day);
        world.run(day..day + 1, |world, minute| {
            if peaks && (600..660).contains(&minute) {
                world.ask(service, SERVICE[0], 60, 1);
            }
        });
        days.extend(std::iter::repeat_n(day, world.raised().len() - days.len()));
    }
    assert_eq!(days, [7, 16], "{}", summaries(&world.raised()));
}

#[test]
fn a_rotated_key_that_is_used_every_hour_is_one_alert() {
    let mut world = World::new(1);
    world.rotate_the_old_key();
    let old = world.ids[4];
    for _ in 0..30 {
        world.see(Some(old), OFFICE[0], |sighting, seen| {
            sighting.superseded = true;
            *seen = Seen { requests: 1, admitted: 1, ..*seen };
        });
        world.flush();
        world.hand.advance(60 * MINUTE);
    }
    assert_eq!(world.raised().iter().map(|alert| alert.count).collect::<Vec<_>>(), [30]);
    world.hand.advance(24 * 60 * MINUTE);
    world.flush();
    assert_eq!(world.raised()[0].status, Status::Resolved);
}

/// Has two keys used from one place each, for long enough to know them.
fn settled(world: &mut World) -> [KeyId; 2] {
    let [one, other, ..] = world.ids;
    for key in [one, other] {
        let kind = Kind::NewClientAddress;
        let rule = NewRule {
            kind,
            enabled: true,
            key: Some(key),
            threshold: Some(255.0),
            window: None,
            webhook: None,
        };
        world.alerts.create::<AlertsError>(ORDER, || Ok(rule)).unwrap();
        world.ask(key, "10.0.0.1", 1, 0);
    }
    world.flush();
    world.hand.advance(2 * 24 * 60 * MINUTE);
    [one, other]
}

#[test]
fn a_new_place_is_over_an_hour_later_though_it_stays_in_use() {
    let mut world = World::new(1);
    let [key, _] = settled(&mut world);
    for minute in 0..90 {
        world.ask(key, "203.0.113.9", 1, 0);
        world.flush();
        if minute == 30 {
            world.restart();
        }
        world.hand.advance(MINUTE);
    }
    let raised = world.raised();
    assert_eq!(raised.len(), 1, "{}", summaries(&raised));
    assert_eq!((raised[0].status, raised[0].count), (Status::Resolved, 61));
}

#[test]
fn many_new_places_of_one_key_hide_nothing_of_another() {
    let mut world = World::new(1);
    let [key, other] = settled(&mut world);
    for address in 1..=25 {
        world.ask(key, &format!("203.0.113.{address}"), 1, 0);
        world.flush();
    }
    world.ask(other, "192.0.2.1", 1, 0);
    world.ask(key, "203.0.113.25", 2, 0);
    world.flush();
    let raised = world.raised();
    assert_eq!(raised.len(), 22, "{}", summaries(&raised));
    let others = raised.iter().find(|alert| alert.subject == "others").unwrap();
    assert_eq!((others.key, others.count), (Some(key), 7));
    assert_eq!(others.details["latest_network"], "203.0.113.25");
    assert_eq!(others.details["latest_key"], key.to_string());
    assert_eq!(raised.iter().filter(|alert| alert.key == Some(other)).count(), 1);
}

#[test]
fn more_keys_that_end_soon_than_are_told_apart_are_counted_as_long_as_there_are_any() {
    let mut world = World::new(1);
    let end = world.clock.now().wall.after(Duration::from_secs(5 * 86_400));
    let issue = |number: u32| {
        let name = KeyName::parse(&format!("guest {number}")).unwrap();
        let settings = Settings { expires_at: Some(end), ..Settings::new(name, Scopes::EVERY, "standard") };
        world.keys.issue::<KeysError>(ORDER, || Ok(settings)).unwrap().key.id
    };
    let keys: Vec<KeyId> = (0..1_003).map(issue).collect();
    world.flush();
    let others = |world: &World| {
        let filter = Filter { after: None, status: None, key: None, kind: None, limit: 2_000 };
        let mut raised = world.alerts.list(&filter).unwrap();
        assert_eq!(raised.len(), 1_001);
        raised.retain(|alert| alert.subject == "others");
        (raised[0].count, raised[0].status)
    };
    assert_eq!(others(&world), (3, Status::Open));
    let extend = |key: &Key| Ok::<_, KeysError>(Settings { expires_at: None, ..key.settings.clone() });
    let filter = |key| Filter { after: None, status: None, key: Some(key), kind: None, limit: 1 };
    let folded: Vec<KeyId> =
        keys.into_iter().filter(|key| world.alerts.list(&filter(*key)).unwrap().is_empty()).collect();
    for (key, expected) in
        folded.into_iter().zip([(2, Status::Open), (1, Status::Open), (1, Status::Resolved)])
    {
        world.keys.change(key, Actor::System, extend).unwrap();
        world.flush();
        assert_eq!(others(&world), expected);
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
