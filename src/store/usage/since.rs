//! From when on each tier is whole.

use rusqlite::Connection;

use super::Tier;

/// From when on each tier is whole, in seconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since([i64; 3]);

/// Whole from the beginning: nothing was ever forgotten.
const BEGINNING: i64 = i64::MIN;

impl Since {
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut since = [BEGINNING; 3];
        let mut statement = connection.prepare_cached("SELECT step, since FROM usage_since")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (step, time): (i64, i64) = (row.get(0)?, row.get(1)?);
            let place = Tier::ALL.iter().position(|tier| tier.seconds() == step);
            if let Some(place) = place.filter(|_| time > 0) {
                since[place] = time;
            }
        }
        Ok(Self(since))
    }

    #[cfg(test)]
    pub(super) const fn new(since: [i64; 3]) -> Self {
        Self(since)
    }

    /// Returns the start of the first step that is whole, before all that can be if nothing was ever forgotten.
    pub(super) const fn of(self, tier: Tier) -> i64 {
        self.0[tier as usize]
    }
}

/// Notes that what a tier has before a point in time is not whole any more.
pub(super) fn forget(connection: &Connection, tier: Tier, before: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE usage_since SET since = max(since, ?2) WHERE step = ?1")?
        .execute((tier.seconds(), before))?;
    Ok(())
}
