//! A value that is replaced whole while others use it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The latest of a line of values. Who keeps one sees without a lock whether there is a later one.
pub struct Latest<T> {
    /// Moves on with each new value.
    edition: AtomicU64,
    value: Mutex<Arc<T>>,
}

impl<T> Latest<T> {
    /// Returns a line that begins with this value.
    pub fn new(value: T) -> Self {
        Self { edition: AtomicU64::new(0), value: Mutex::new(Arc::new(value)) }
    }

    /// Returns the number of the latest value.
    pub fn edition(&self) -> u64 {
        self.edition.load(Ordering::Acquire)
    }

    /// Returns the latest value.
    pub fn get(&self) -> Arc<T> {
        Arc::clone(&self.lock())
    }

    /// Returns the latest value and its number.
    pub fn numbered(&self) -> (u64, Arc<T>) {
        let value = self.lock();
        (self.edition(), Arc::clone(&value))
    }

    /// Puts a value in place of the latest.
    pub fn replace(&self, value: T) {
        let mut latest = self.lock();
        *latest = Arc::new(value);
        self.edition.fetch_add(1, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Arc<T>> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What it is may be secret.
impl<T> fmt::Debug for Latest<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latest").field("edition", &self.edition()).finish_non_exhaustive()
    }
}
