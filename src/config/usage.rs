//! `[usage]`: how usage is written down, and for how long.

use std::time::Duration;

use super::bounds::within;
use super::error::{Fault, Problem};
use super::file::UsageFile;
use crate::domain::time::parse_duration;

/// The longest time that usage is kept, unless it is kept forever: a hundred years.
const LONGEST: (&str, Duration) = ("36500d", days(36_500));

/// How usage is written down, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// How often counts in memory are written to the database.
    pub flush: Duration,
    /// How long figures by the minute are kept; `None` is forever.
    pub keep_minutes: Option<Duration>,
    /// How long figures by the hour are kept; `None` is forever.
    pub keep_hours: Option<Duration>,
    /// How long figures by the day are kept; `None` is forever.
    pub keep_days: Option<Duration>,
}

impl TryFrom<UsageFile> for Usage {
    type Error = Fault;

    fn try_from(file: UsageFile) -> Result<Self, Fault> {
        let flush = within("usage.flush_milliseconds", file.flush_milliseconds, 1..=60_000)?;
        Ok(Self {
            flush: Duration::from_millis(flush),
            keep_minutes: keep("usage.keep_minutes", &file.keep_minutes, ("1h", Duration::from_secs(3600)))?,
            keep_hours: keep("usage.keep_hours", &file.keep_hours, ("1d", days(1)))?,
            keep_days: keep("usage.keep_days", &file.keep_days, ("7d", days(7)))?,
        })
    }
}

fn keep(setting: &str, text: &str, least: (&'static str, Duration)) -> Result<Option<Duration>, Fault> {
    if text == "forever" {
        return Ok(None);
    }
    let time = parse_duration(text).map_err(|_| Fault::new(setting, Problem::NotATime))?;
    if !(least.1..=LONGEST.1).contains(&time) {
        return Err(Fault::new(setting, Problem::TimeOutOfRange { least: least.0, most: LONGEST.0 }));
    }
    Ok(Some(time))
}

const fn days(count: u64) -> Duration {
    Duration::from_secs(count * 86_400)
}
