//! The one background writer: everything that must outlive the process but may not hold up a request.
//!
//! Usage and last uses go to the database every flush interval, windows every second, and signatures at
//! once, the request waiting for them. Each batch is one transaction. Between batches it forgets what is past
//! its time.

mod clearing;
mod files_watch;
mod log_watch;
mod pruning;
mod quiet;
mod telling;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod unwritten;
mod watching;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Transaction;
use tokio::sync::oneshot;

use crate::alerts::Watch;
use crate::clock::Clock;
use crate::domain::id::KeyId;
use crate::domain::signature::Seal;
use crate::domain::time::Timestamp;
use crate::domain::window::{SPAN, Slice, Window};
use crate::files::Files;
use crate::gate::allowance::Allowance;
use crate::gate::keyring::Keyring;
use crate::gate::replay;
use crate::gate::trail::Trail;
use crate::keys::Keys;
use crate::latest::Latest;
use crate::meter::{Batch, Meter};
use crate::nice::{Nice, step_back, with_pauses};
use crate::pulse::Pulse;
use crate::store::usage::Step;
use crate::store::windows::SavedWindow;
use crate::store::{self, Store, StoreError};
use clearing::Clearing;
use files_watch::FilesWatch;
pub use log_watch::LogLimits;
use log_watch::LogWatch;
use pruning::Pruning;
use quiet::Quiet;
use telling::Telling;
use unwritten::{Step as UsageStep, Unwritten};

/// How often windows are kept, and how often the writer looks whether they changed: `kill -9` forgives no
/// more than both together.
const WINDOWS: Duration = Duration::from_millis(700);
const LOOK: Duration = Duration::from_millis(200);
/// How soon a failed write is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Hands work to the background writer.
#[derive(Clone, Debug)]
pub struct Keeper {
    jobs: Sender<Job>,
    trouble: Arc<Trouble>,
}

/// Why what was counted cannot be written, if it cannot.
type Trouble = Latest<Option<String>>;

/// How long usage is told apart by minute, hour and day; `None` is forever.
#[derive(Clone, Copy, Debug)]
pub struct Retention(pub [(Step, Option<Duration>); 3]);

/// What the writer works with.
#[derive(Debug)]
pub struct Rooms {
    /// Where it writes.
    pub store: Arc<Store>,
    /// What it writes: usage,
    pub meter: Arc<Meter>,
    /// and the windows of allowances that changed.
    pub changed: Receiver<Arc<Allowance>>,
    /// The keys, whose left-overs it clears away.
    pub keys: Arc<Keys>,
    /// What the gate refused, of which it tells the log.
    pub trail: Arc<Trail>,
    /// The files, of which it clears away what is not wanted any more.
    pub files: Arc<Files>,
    /// What looks at it all, and finds what is unusual.
    pub watch: Watch,
    /// The time.
    pub clock: Clock,
    /// How often usage is flushed.
    pub flush: Duration,
    /// How long usage is kept.
    pub retention: Retention,
    /// How long the write-ahead log may get.
    pub log_limits: LogLimits,
    /// Beats before each step: where the disk is slow, a turn of several takes long.
    pub pulse: Arc<Pulse>,
}

#[derive(Debug)]
enum Job {
    Seal { key: KeyId, seal: Seal, expires_at: Timestamp, kept: oneshot::Sender<()> },
    Flush { done: oneshot::Sender<()> },
    Change { flush: Duration, retention: Retention },
    Stop,
}

impl Keeper {
    /// Starts the writer. Its thread ends once it was told to stop, and tells whether everything is written.
    pub fn start(rooms: Rooms) -> std::io::Result<(Self, JoinHandle<bool>)> {
        let (sender, jobs) = channel();
        let trouble = Arc::new(Trouble::new(None));
        let writer = Writer::new(rooms, Arc::clone(&trouble));
        let thread = std::thread::Builder::new().name("keeper".to_owned()).spawn(move || {
            // Requests need not wait until usage is written.
            step_back(Nice::Behind);
            writer.run(&jobs)
        })?;
        Ok((Self { jobs: sender, trouble }, thread))
    }

    /// Returns why what was counted cannot be written, if it cannot.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.get().as_ref().clone()
    }

    /// Keeps an accepted signature; false if it could not be kept.
    pub async fn keep_seal(&self, key: KeyId, seal: Seal, expires_at: Timestamp) -> bool {
        let (kept, answer) = oneshot::channel();
        self.jobs.send(Job::Seal { key, seal, expires_at, kept }).is_ok() && answer.await.is_ok()
    }

    /// Writes out what was counted up to now; false if it could not be written yet.
    pub async fn flush(&self) -> bool {
        let (done, answer) = oneshot::channel();
        self.jobs.send(Job::Flush { done }).is_ok() && answer.await.is_ok()
    }

    /// Changes how often usage is written out, and how long it is kept.
    pub fn change(&self, flush: Duration, retention: Retention) {
        // It ends with the server only.
        let _ = self.jobs.send(Job::Change { flush, retention });
    }

    /// Tells the writer to write out everything and end.
    pub fn stop(&self) {
        // It may have ended already.
        let _ = self.jobs.send(Job::Stop);
    }
}

/// Puts windows and signatures back that were kept before a restart, and adds up usage that a crash left in its journal.
pub fn restore(
    store: &Store,
    keyring: &Keyring,
    clock: &Clock,
    max_skew: Duration,
) -> Result<(), StoreError> {
    store.write(|transaction| store::usage::recover(transaction).map_err(StoreError::from))?;
    let now = clock.now();
    let boot = clock.boot();
    for saved in store.read(store::windows::all)? {
        // Steady times count on within one boot; across boots the wall clock tells how much time went by.
        let asleep = if saved.boot == boot { None } else { Some(now.wall.since(saved.saved.wall)) };
        let then = |steady: Duration| match asleep {
            None => steady.min(now.steady),
            Some(asleep) => {
                let age = saved.saved.steady.saturating_sub(steady) + asleep;
                now.steady.saturating_sub(age)
            }
        };
        let slices = saved.slices.iter().map(|slice| Slice {
            first: then(slice.first),
            last: then(slice.last),
            count: slice.count,
        });
        let slices = slices.filter(|slice| now.steady.saturating_sub(slice.last) < SPAN);
        let window = Window::restore(slices);
        if !window.is_idle(now.steady) {
            keyring.restore_window(saved.allowance, window);
        }
    }
    let since = now.wall.before(replay::STEP_BACK);
    for saved in store.read(|connection| store::seals::live(connection, since))? {
        if let Some(entry) = keyring.get(saved.key) {
            // Never longer than a new one: the clock may have been stepped back meanwhile.
            let left = saved.expires_at.since(now.wall).min(replay::memory(max_skew));
            let until = (now.steady + left).saturating_sub(now.wall.since(saved.expires_at));
            entry.seals().restore(saved.seal, until);
        }
    }
    Ok(())
}

struct Writer {
    rooms: Rooms,
    /// Allowances whose windows have changed since they were last written.
    unkept: HashMap<KeyId, Arc<Allowance>>,
    usage: Unwritten,
    last_windows: Instant,
    pruning: Pruning,
    clearing: Clearing,
    quiet: Quiet,
    telling: Telling,
    log_watch: LogWatch,
    files_watch: FilesWatch,
    /// Whether something could not be written, and still is not.
    failing: bool,
    trouble: Arc<Trouble>,
    /// Before that nothing is tried again that nobody waits for.
    again: Instant,
}

/// What a batch has to do.
struct Work {
    jobs: Vec<Job>,
    usage: UsageStep,
    /// What the watch found.
    findings: bool,
    windows: bool,
}

impl Writer {
    fn new(rooms: Rooms, trouble: Arc<Trouble>) -> Self {
        Self {
            rooms,
            unkept: HashMap::new(),
            usage: Unwritten::new(),
            last_windows: Instant::now(),
            pruning: Pruning::new(),
            clearing: Clearing::new(),
            quiet: Quiet::default(),
            telling: Telling::default(),
            log_watch: LogWatch::new(),
            files_watch: FilesWatch::default(),
            failing: false,
            trouble,
            again: Instant::now(),
        }
    }

    /// Writes until told to stop; tells whether the last batch, which has all that was left, could be written.
    fn run(mut self, jobs: &Receiver<Job>) -> bool {
        let mut next = Instant::now() + self.rooms.flush;
        loop {
            self.rooms.pulse.beat();
            if catch_unwind(AssertUnwindSafe(|| self.pruning.step(&self.rooms))).is_err() {
                tracing::error!("a fault in mcpd keeps what is past its time");
            }
            self.rooms.pulse.beat();
            if catch_unwind(AssertUnwindSafe(|| self.clearing.step(&self.rooms.files))).is_err() {
                tracing::error!("a fault in mcpd keeps what an upload left");
            }
            self.rooms.pulse.beat();
            self.look_after_files();
            self.rooms.pulse.beat();
            if self.log_watch.look(&self.rooms) {
                next = Instant::now();
            }
            let look = if self.pruning.under_way || self.clearing.under_way { pruning::BREATH } else { LOOK };
            self.rooms.pulse.beat();
            let patience = next.saturating_duration_since(Instant::now()).min(look);
            let first = match jobs.recv_timeout(patience) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(Job::Stop),
            };
            let batch: Vec<Job> = first.into_iter().chain(jobs.try_iter()).collect();
            if self.follow(&batch) {
                next = next.min(Instant::now() + self.pause());
            }
            let due = Instant::now() >= next;
            let stop = batch.iter().any(|job| matches!(job, Job::Stop));
            let flush = due || batch.iter().any(|job| matches!(job, Job::Flush { .. } | Job::Stop));
            let work = self.gather(batch, flush, stop);
            let (windows, findings) = (work.windows, work.findings);
            // A fault in one batch must not end the writing of all to come, nor come again with each of them.
            let written = catch_unwind(AssertUnwindSafe(|| self.carry_out(work))).unwrap_or_else(|_| {
                tracing::error!("a batch of usage and limits was lost to a fault in mcpd");
                self.usage = Unwritten::new();
                if findings {
                    self.rooms.watch.written();
                }
                if windows {
                    self.leave_windows();
                }
                false
            });
            if stop {
                return written;
            }
            self.rooms.pulse.beat();
            let look = || self.quiet.step(&self.rooms);
            if flush && written && catch_unwind(AssertUnwindSafe(look)).is_err() {
                tracing::error!("a fault in mcpd keeps keys that are quiet");
            }
            if flush {
                next = Instant::now() + self.pause();
            }
        }
    }

    /// Goes on as the latest change says; tells whether there was one.
    fn follow(&mut self, batch: &[Job]) -> bool {
        let changed = batch.iter().rev().find_map(|job| match job {
            Job::Change { flush, retention } => Some((*flush, *retention)),
            _ => None,
        });
        let Some((flush, retention)) = changed else { return false };
        (self.rooms.flush, self.rooms.retention) = (flush, retention);
        true
    }

    /// Returns how long to wait before usage is written again.
    fn pause(&self) -> Duration {
        let at_least = if self.failing { AGAIN } else { Duration::ZERO };
        self.rooms.flush.max(at_least).max(self.sparing().unwrap_or_default())
    }

    /// Returns how long windows may go unwritten.
    fn pause_of_windows(&self) -> Duration {
        self.sparing().unwrap_or(WINDOWS)
    }

    fn sparing(&self) -> Option<Duration> {
        self.log_watch.pause(self.rooms.log_limits)
    }

    fn gather(&mut self, jobs: Vec<Job>, flush: bool, stop: bool) -> Work {
        self.unkept.extend(self.rooms.changed.try_iter().map(|allowance| (allowance.id, allowance)));
        if flush {
            let fresh = self.rooms.meter.drain();
            self.watch(&fresh);
            self.tell(&fresh);
            self.usage.take(fresh);
        }
        let is_waited_for = stop || jobs.iter().any(|job| matches!(job, Job::Flush { .. }));
        let usage = if flush { self.usage.step(is_waited_for) } else { UsageStep::Nothing };
        let now = Instant::now();
        let windows_are_due =
            now.duration_since(self.last_windows) >= self.pause_of_windows() && now >= self.again;
        Work {
            jobs,
            usage,
            findings: flush && !self.rooms.watch.is_written(),
            windows: !self.unkept.is_empty() && (stop || windows_are_due),
        }
    }

    /// Shows what was just counted to the watch, each of it once.
    fn watch(&mut self, usage: &Batch) {
        let now = self.rooms.clock.now();
        let watch = &mut self.rooms.watch;
        let look = AssertUnwindSafe(|| {
            watch.observe(usage.sightings.iter(), now);
            watch.tick(now);
        });
        if catch_unwind(look).is_err() {
            tracing::error!("a fault in mcpd keeps alerts from being raised");
        }
    }

    /// Tells the log whose requests were refused, or would have been.
    fn tell(&mut self, fresh: &Batch) {
        if catch_unwind(AssertUnwindSafe(|| self.telling.tell(&self.rooms, &fresh.reports))).is_err() {
            tracing::error!("a fault in mcpd keeps refusals out of the log");
        }
    }

    /// Writes one batch and tells those who wait for it; false if it could not be written. Dropping a job
    /// unanswered tells them it failed.
    fn carry_out(&mut self, work: Work) -> bool {
        if work.is_anything()
            && let Err(error) = self.rooms.store.write(|transaction| self.write(transaction, &work))
        {
            self.again = Instant::now() + AGAIN;
            self.note_trouble(Some(error.to_string()));
            // Once, not with every attempt: the log may be on the same full disk.
            if !std::mem::replace(&mut self.failing, true) {
                tracing::error!("cannot write usage and limits, trying again until it works: {error}");
            }
            return false;
        }
        self.usage.written(work.usage);
        if work.findings {
            self.rooms.watch.written();
        }
        if work.windows {
            self.leave_windows();
        }
        // A signature may find room where what was counted does not.
        let is_all = self.usage.is_on_disk() && self.rooms.watch.is_written() && self.unkept.is_empty();
        if is_all && std::mem::take(&mut self.failing) {
            self.note_trouble(None);
            tracing::info!("usage and limits are being written again");
        }
        for job in work.jobs {
            match job {
                // Who stopped waiting needs no answer.
                Job::Seal { kept: done, .. } | Job::Flush { done } => drop(done.send(())),
                Job::Change { .. } | Job::Stop => {}
            }
        }
        true
    }

    fn look_after_files(&mut self) {
        match self.files_watch.look(&self.rooms) {
            Some(Err(error)) => self.note_trouble(Some(error.to_string())),
            Some(Ok(())) if !self.failing => self.note_trouble(None),
            _ => {}
        }
    }

    fn note_trouble(&self, trouble: Option<String>) {
        if *self.trouble.get() != trouble {
            self.trouble.replace(trouble);
        }
    }

    /// Leaves the windows, kept or given up, alone until they change again.
    fn leave_windows(&mut self) {
        self.unkept.clear();
        self.last_windows = Instant::now();
    }

    fn write(&self, transaction: &Transaction<'_>, work: &Work) -> Result<(), StoreError> {
        for job in &work.jobs {
            if let Job::Seal { key, seal, expires_at, .. } = job {
                store::seals::insert(transaction, *key, seal, *expires_at)?;
            }
        }
        self.usage.write(transaction, work.usage)?;
        if work.findings {
            self.rooms.watch.write(transaction)?;
        }
        if work.windows { self.write_windows(transaction) } else { Ok(()) }
    }

    fn write_windows(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        let (boot, saved) = (self.rooms.clock.boot(), self.rooms.clock.now());
        for allowance in with_pauses(self.unkept.values()) {
            let window = SavedWindow {
                allowance: allowance.id,
                boot: boot.clone(),
                saved,
                slices: allowance.checkpoint(),
            };
            store::windows::save(transaction, &window)?;
        }
        Ok(())
    }
}

impl Work {
    fn is_anything(&self) -> bool {
        let seals = self.jobs.iter().any(|job| matches!(job, Job::Seal { .. }));
        seals || self.usage != UsageStep::Nothing || self.findings || self.windows
    }
}
