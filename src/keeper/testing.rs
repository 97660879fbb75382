//! What tests of the writer share.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::{LogLimits, Retention, Rooms};
use crate::alerts::{Alerts, Watch};
use crate::clock::Clock;
use crate::domain::plan::Plans;
use crate::files::{Files, Limits};
use crate::keys::Keys;
use crate::meter::Meter;
use crate::store::Store;
use crate::store::usage::Step;

/// Where a test's database may be; nothing is there yet.
pub(super) fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("mcpd-keeper-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    path
}

/// Rooms around a new database; usage by the minute is kept for an hour.
pub(super) fn rooms(folder: &Path) -> Rooms {
    let (clock, _) = Clock::manual();
    let store = Arc::new(Store::open(&folder.join("mcpd.db")).unwrap());
    let plans = BTreeMap::from([("standard".to_owned(), NonZeroU32::new(60))]);
    let plans = Plans::new(plans, "standard".to_owned()).unwrap();
    let keys = Arc::new(Keys::load(Arc::clone(&store), plans, clock.clone()).unwrap());
    let hour = Some(Duration::from_secs(3_600));
    let retention = Retention([(Step::Minute, hour), (Step::Hour, None), (Step::Day, None)]);
    let (meter, changed) = (Arc::new(Meter::new()), channel().1);
    let files =
        Files::open(Arc::clone(&store), clock.clone(), Limits { max_bytes: 0, total_bytes: 0 }).unwrap();
    let alerts = Arc::new(Alerts::load(Arc::clone(&store), clock.clone()).unwrap());
    let (watch, trail) =
        (Watch::new(alerts, Arc::clone(&store), keys.keyring(), clock.now()).unwrap(), Arc::default());
    let (flush, log_limits, pulse) = (Duration::from_millis(200), LogLimits::default(), Arc::default());
    Rooms { store, meter, changed, keys, trail, files, watch, clock, flush, retention, log_limits, pulse }
}
