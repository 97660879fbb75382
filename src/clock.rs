//! The two clocks: the wall, for what people agree on, and a steady one, for intervals.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::domain::time::Timestamp;

/// Steady time begins a day before boot, so that what happened shortly before a boot can be told too.
const BEFORE_BOOT: Duration = Duration::from_secs(86_400);

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Wall time: expiries, signatures, usage. It may be stepped.
    pub wall: Timestamp,
    /// Time since the day before boot, suspension included: limits and durations. It never goes back.
    pub steady: Duration,
}

/// Where the time comes from: the system, or a test's own hand.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The system's clocks.
    #[default]
    System,
    /// A clock that stands still until it is moved.
    Manual(Arc<ManualClock>),
}

/// A clock that a test moves.
#[derive(Debug)]
pub struct ManualClock {
    wall_millis: AtomicI64,
    steady_nanos: AtomicU64,
    boot: Mutex<String>,
}

impl Clock {
    /// Returns a clock that starts at the system's time and is moved by hand.
    pub fn manual() -> (Self, Arc<ManualClock>) {
        let now = Self::System.now();
        let nanos = u64::try_from(now.steady.as_nanos()).expect("584 years after boot");
        let clock = Arc::new(ManualClock {
            wall_millis: AtomicI64::new(now.wall.as_millis()),
            steady_nanos: AtomicU64::new(nanos),
            boot: Mutex::new("first".to_owned()),
        });
        (Self::Manual(Arc::clone(&clock)), clock)
    }

    /// Returns the time on both clocks.
    pub fn now(&self) -> Now {
        match self {
            Self::System => Now { wall: wall(), steady: self.steady() },
            Self::Manual(clock) => Now {
                wall: Timestamp::from_millis(clock.wall_millis.load(Ordering::SeqCst)),
                steady: self.steady(),
            },
        }
    }

    /// Returns the name of the boot that steady times count from; they mean nothing in another one.
    pub fn boot(&self) -> String {
        match self {
            Self::System => std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
                .map(|id| id.trim().to_owned())
                .unwrap_or_default(),
            Self::Manual(clock) => clock.boot.lock().expect("nothing panics with it held").clone(),
        }
    }

    /// Returns the steady time alone.
    pub fn steady(&self) -> Duration {
        match self {
            Self::System => {
                let time = clock_gettime(ClockId::Boottime);
                let seconds = u64::try_from(time.tv_sec).expect("time since boot is not negative");
                let nanos = u32::try_from(time.tv_nsec).expect("below one second");
                Duration::new(seconds, nanos) + BEFORE_BOOT
            }
            Self::Manual(clock) => Duration::from_nanos(clock.steady_nanos.load(Ordering::SeqCst)),
        }
    }
}

impl ManualClock {
    /// Lets time pass on both clocks.
    pub fn advance(&self, by: Duration) {
        self.steady_nanos.fetch_add(u64::try_from(by.as_nanos()).expect("a short while"), Ordering::SeqCst);
        self.step_wall(i64::try_from(by.as_millis()).expect("a short while"));
    }

    /// Boots the machine anew: steady time starts over, wall time goes on.
    pub fn reboot(&self) {
        "again".clone_into(&mut self.boot.lock().expect("nothing panics with it held"));
        let nanos = u64::try_from(BEFORE_BOOT.as_nanos()).expect("one day");
        self.steady_nanos.store(nanos, Ordering::SeqCst);
    }

    /// Steps the wall clock alone, by milliseconds, either way.
    pub fn step_wall(&self, millis: i64) {
        self.wall_millis.fetch_add(millis, Ordering::SeqCst);
    }
}

/// Asks the C library, which libfaketime can stand in front of: so the wall clock of one process can be stepped.
fn wall() -> Timestamp {
    let millis = |span: Duration| i64::try_from(span.as_millis()).expect("within 292 million years of 1970");
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Timestamp::from_millis(millis(since)),
        Err(before) => Timestamp::from_millis(-millis(before.duration())),
    }
}
