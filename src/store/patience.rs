//! How long who wants a connection waits for those who have it.
//!
//! Counted in looks, not by the clock: where the machine or the process stood still for a while, all who wait would find
//! that they had waited too long, though the database is as good as before.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Connected, Pool, StoreError};

/// How long each look takes.
const LOOK: Duration = Duration::from_secs(1);
/// As many looks while others get on: a disk that is slow, with many in the line, is no broken one.
const LOOKS: u32 = 15;
/// As many while another program holds the database: each of those before may wait as long for that, too.
const LOOKS_WHILE_HELD: u32 = 5;

/// How long is waited, by whether the last transaction that was wanted could be begun.
#[derive(Debug)]
pub(super) struct Patience {
    look: Duration,
    is_held: AtomicBool,
}

impl Default for Patience {
    fn default() -> Self {
        Self { look: LOOK, is_held: AtomicBool::new(false) }
    }
}

impl Patience {
    /// Notes whether a transaction could be begun.
    pub(super) fn note(&self, is_begun: bool) {
        self.is_held.store(!is_begun, Ordering::Relaxed);
    }

    /// Waits for a connection; fails if there is none for too long.
    pub(super) fn wait(&self, pool: &Pool) -> Result<Connected, StoreError> {
        let mut looks = 1;
        loop {
            match pool.get_timeout(self.look) {
                Err(_) if looks < self.looks() => looks += 1,
                got => return Ok(got?),
            }
        }
    }

    fn looks(&self) -> u32 {
        if self.is_held.load(Ordering::Relaxed) { LOOKS_WHILE_HELD } else { LOOKS }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::super::Store;
    use super::*;

    #[test]
    fn a_write_waits_for_one_that_takes_long_and_less_so_while_another_program_holds_the_database() {
        let folder = std::env::temp_dir().join(format!("mcpd-patience-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let look = Duration::from_millis(100);
        let mut store = Store::open(&folder.join("mcpd.db")).unwrap();
        store.patience.look = look;
        let behind_another = |is_begun| {
            let (sender, begun) = channel();
            thread::scope(|scope| {
                let store = &store;
                scope.spawn(move || {
                    let slow = store.write(|_| {
                        sender.send(()).unwrap();
                        thread::sleep(look * (LOOKS_WHILE_HELD + 1));
                        Ok::<_, StoreError>(())
                    });
                    slow.unwrap();
                });
                begun.recv().unwrap();
                store.patience.note(is_begun);
                store.write(|_| Ok::<_, StoreError>(()))
            })
        };
        assert!(matches!(behind_another(false), Err(StoreError::Pool(_))));
        behind_another(true).unwrap();
        drop(store);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
