//! Watches the write-ahead log. While somebody reads the database in one long transaction, it cannot be brought to an
//! end and grows with every write; then less is written.

use std::time::{Duration, Instant};

use super::Rooms;

/// How long the write-ahead log may get, in bytes, before something is done about it.
#[derive(Clone, Copy, Debug)]
pub struct LogLimits {
    /// Beyond it somebody is told.
    pub warn: u64,
    /// Beyond it usage is written seldom.
    pub spare: u64,
}

/// How often usage and the state of limits are written while the log is to be spared: half as often with each doubling
/// of the log, down to the latter.
const SPARING: Duration = Duration::from_secs(60);
const SELDOM: Duration = Duration::from_secs(600);
/// How often the log is looked at.
const PAUSE: Duration = Duration::from_millis(500);
const MIB: u64 = 1024 * 1024;

impl Default for LogLimits {
    fn default() -> Self {
        Self { warn: 64 * MIB, spare: 256 * MIB }
    }
}

/// How the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Short,
    /// Another program may hold it, or one of the store's own reads, which end by themselves.
    MayBeHeld,
    Long,
    TooLong,
}

/// When to look at the log, and how it was.
#[derive(Debug)]
pub(super) struct LogWatch {
    next: Instant,
    state: State,
    /// How long it was, in bytes, if somebody held it.
    held: u64,
}

impl LogWatch {
    /// Returns a watch that looks at once.
    pub(super) fn new() -> Self {
        Self { next: Instant::now(), state: State::Short, held: 0 }
    }

    /// Returns how long to wait between writes if the log is to be spared.
    pub(super) fn pause(&self, limits: LogLimits) -> Option<Duration> {
        let doublings = (self.held / limits.spare.max(1)).max(1).ilog2();
        (self.state == State::TooLong).then(|| SPARING.saturating_mul(1 << doublings.min(8)).min(SELDOM))
    }

    /// Looks at the log, if it is time to; tells whether it need not be spared any more.
    pub(super) fn look(&mut self, rooms: &Rooms) -> bool {
        let now = Instant::now();
        if now < self.next {
            return false;
        }
        self.next = now + PAUSE;
        let reads_before = rooms.store.long_reads();
        // What keeps the database from being read is told of by whoever writes.
        let Ok(held) = held(rooms) else { return false };
        self.held = held;
        let is_ours = reads_before + rooms.store.long_reads() > 0;
        let now = self.judge(is_ours, rooms.log_limits);
        let before = std::mem::replace(&mut self.state, now);
        // While new reads go on and on beside old ones, there is no moment at which nobody holds the log.
        rooms.store.hold_long_reads(self.state == State::MayBeHeld && held > rooms.log_limits.spare);
        tell(before, self.state, held);
        before == State::TooLong && self.state != before
    }

    /// Blames another program only once it has held the log twice in a row while no long read of the store's own did.
    fn judge(&self, is_ours: bool, limits: LogLimits) -> State {
        match self.held {
            held if held <= limits.warn => State::Short,
            _ if self.state == State::Short || self.state == State::MayBeHeld && is_ours => State::MayBeHeld,
            held if held <= limits.spare => State::Long,
            _ => State::TooLong,
        }
    }
}

/// Returns how many bytes of the log somebody holds.
fn held(rooms: &Rooms) -> Result<u64, crate::store::StoreError> {
    if rooms.store.log_bytes() <= rooms.log_limits.warn { Ok(0) } else { rooms.store.held_log() }
}

fn tell(before: State, now: State, bytes: u64) {
    let mebibytes = bytes as f64 / MIB as f64;
    if before < State::Long && now >= State::Long {
        tracing::warn!(
            "the write-ahead log of the database is {mebibytes:.1} MiB long and grows: another program reads the \
             database in one long transaction, such as an open sqlite3 shell or a copy that hangs. Once that ends, the \
             log gets short again"
        );
    }
    if before != State::TooLong && now == State::TooLong {
        tracing::warn!(
            "the write-ahead log is {mebibytes:.1} MiB long: usage and used-up limits are written every \
             {SPARING:?}, and less often the longer it gets, until nobody holds it any more"
        );
    }
    if before >= State::Long && now == State::Short {
        tracing::info!("nothing holds the write-ahead log any more");
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};

    use rusqlite::Connection;

    use super::*;
    use crate::domain::report_only::Findings;
    use crate::domain::sighting::Seen;
    use crate::domain::time::Timestamp;
    use crate::domain::usage::{Bucket, Measured};
    use crate::keeper::{Keeper, testing};
    use crate::meter::Who;
    use crate::meter::{Meter, Record};
    use crate::store::Store;

    const LIMITS: LogLimits = LogLimits { warn: 200 * 1024, spare: 600 * 1024 };

    fn read_on(path: &std::path::Path) -> Connection {
        let other_program = Connection::open(path).unwrap();
        other_program.execute_batch("BEGIN; SELECT count(*) FROM keys").unwrap();
        other_program
    }

    /// Has the pool open all of its connections, each of which reads for a moment as it is opened.
    fn open_all(store: &Store, connections: u32) {
        if connections > 0 {
            let more = |_: &Connection| {
                open_all(store, connections - 1);
                Ok(())
            };
            store.read(more).unwrap();
        }
    }

    /// Makes the log longer by so many bytes and a little more.
    fn write(store: &Store, bytes: u64) {
        let before = store.log_bytes();
        while store.log_bytes() < before + bytes {
            let written = store.write_part(|transaction| {
                transaction.execute_batch("INSERT INTO secrets VALUES (hex(randomblob(16)), zeroblob(50000))")
            });
            written.unwrap();
        }
    }

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn who_holds_the_log_is_told_of_once_and_nobody_else() {
        let folder = testing::folder("log-told");
        let rooms = Rooms { log_limits: LIMITS, ..testing::rooms(&folder) };
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        let said = || std::mem::take(&mut *log.0.lock().unwrap());
        let said = || String::from_utf8(said()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            let mut watch = LogWatch::new();
            let mut look = || {
                watch.next = Instant::now();
                let over = watch.look(&rooms);
                (watch.state, over)
            };
            open_all(&rooms.store, 4);
            // A long log that nobody holds is no cause for anything.
            write(&rooms.store, 2 * LIMITS.spare);
            assert_eq!((look(), said()), ((State::Short, false), String::new()));
            let reader = read_on(rooms.store.path());
            write(&rooms.store, LIMITS.warn);
            // Whoever reads may be done by the next look.
            assert_eq!((look().0, said()), (State::MayBeHeld, String::new()));
            assert!(look().0 >= State::Long);
            assert_eq!(said().matches("another program reads the database").count(), 1);
            write(&rooms.store, LIMITS.spare);
            assert_eq!(look(), (State::TooLong, false));
            look();
            let text = said();
            assert_eq!(text.matches("another program reads the database").count(), 0, "{text}");
            drop(reader);
            assert_eq!(look(), (State::Short, true));
            assert!(said().contains("nothing holds the write-ahead log"));
        });
        drop(rooms);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_log_that_a_read_of_its_own_holds_is_neither_spared_nor_told_of_and_more_such_reads_wait_for_it() {
        let folder = testing::folder("log-own");
        let rooms = Rooms { log_limits: LIMITS, ..testing::rooms(&folder) };
        let (store, mut watch) = (&rooms.store, LogWatch::new());
        open_all(store, 4);
        let mut look = || {
            watch.next = Instant::now();
            watch.look(&rooms);
            (watch.state, watch.pause(LIMITS))
        };
        let held = store.read_apart(|db| {
            let read = || db.execute_batch("BEGIN; SELECT count(*) FROM keys");
            read()?;
            write(store, LIMITS.spare * 2);
            assert_eq!((look(), look()), ((State::MayBeHeld, None), (State::MayBeHeld, None)));
            std::thread::scope(|scope| {
                let more = scope.spawn(|| store.read_apart(|_| Ok(())).unwrap());
                std::thread::sleep(Duration::from_millis(50));
                assert!(!more.is_finished());
                db.execute_batch("COMMIT")?;
                assert_eq!(look(), (State::Short, None));
                more.join().unwrap();
                Ok(store.held_log().unwrap())
            })
        });
        assert_eq!(held.unwrap(), 0);
        drop(rooms);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_longer_a_log_is_held_the_more_seldom_it_is_written() {
        let limits = LogLimits::default();
        let pause = |state, mebibytes: u64| {
            let watch = LogWatch { next: Instant::now(), state, held: mebibytes * MIB };
            watch.pause(limits).map(|pause| pause.as_secs())
        };
        let cases = [(257, 60), (511, 60), (512, 120), (1024, 240), (2048, 480), (4096, 600), (1 << 30, 600)];
        for (mebibytes, seconds) in cases {
            assert_eq!(pause(State::TooLong, mebibytes), Some(seconds), "{mebibytes} MiB");
            assert_eq!(pause(State::MayBeHeld, mebibytes), None);
        }
    }

    /// Counts a request of another minute with each call.
    fn count(meter: &Meter, minute: i64) {
        let bucket = Bucket { minute, key: None, endpoint: "/v1/key", status: 401, model: None };
        let measured = Measured::default();
        let who = Who { key: None, superseded: false, client: None, user_agent: b"", endpoint: "/v1/key" };
        let (seen, findings) = (Seen::once(Timestamp::from_seconds(minute * 60)), Findings::default());
        meter.count(Record { bucket, measured, code: None, activity: None, findings, who, seen });
    }

    /// Ends what goes on beside a test with the test, however that ends.
    struct Ends<'a>(&'a AtomicBool);

    impl Drop for Ends<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_log_that_is_held_stops_growing_and_is_written_anew_once_it_is_let_go() {
        let folder = testing::folder("log-held");
        let rooms = testing::rooms(&folder);
        let rooms = Rooms { log_limits: LIMITS, flush: Duration::from_millis(2), ..rooms };
        let (store, meter, done) =
            (Arc::clone(&rooms.store), Arc::clone(&rooms.meter), AtomicBool::new(false));
        let rows = || -> i64 {
            store.read(|db| db.query_row("SELECT count(*) FROM usage", [], |row| row.get(0))).unwrap()
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for minute in 0.. {
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                    count(&meter, minute);
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            let counting = Ends(&done);
            let reader = read_on(store.path());
            let (keeper, thread) = Keeper::start(rooms).unwrap();
            let start = Instant::now();
            let growth = || {
                let before = (store.log_bytes(), rows());
                std::thread::sleep(Duration::from_millis(700));
                (store.log_bytes().saturating_sub(before.0), rows() - before.1)
            };
            while store.log_bytes() < LIMITS.spare || growth() != (0, 0) {
                assert!(start.elapsed() < Duration::from_secs(20), "{} bytes", store.log_bytes());
                std::thread::sleep(Duration::from_millis(5));
            }
            let held = store.held_log().unwrap();
            assert!(held > LIMITS.spare, "{held}");
            drop(reader);
            // It is written again from its beginning: much is, and the file stays as it is.
            while !matches!(growth(), (0, 100..)) {
                assert!(start.elapsed() < Duration::from_secs(40), "{} bytes", store.log_bytes());
            }
            drop(counting);
            keeper.stop();
            assert!(thread.join().unwrap());
        });
        drop(store);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
