//! What is written of a key's day, whose rows are bounded.

use std::collections::HashMap;

use rusqlite::{Connection, named_params};

use super::super::column;
use super::scopes;
use crate::domain::id::KeyId;
use crate::domain::scope::Scopes;
use crate::domain::sighting::{Seen, Sighting};

/// How many rows a page may have; what else is seen stands together, by endpoint, under no client.
pub(super) const MOST: i64 = 500;

/// A day of a key, before its rotation or after it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Page {
    pub(super) key: KeyId,
    pub(super) day: i64,
    pub(super) superseded: bool,
}

/// Where on a page something is added to.
struct Place<'a> {
    client: String,
    user_agent: &'a str,
    endpoint: &'static str,
}

/// Whether a place was there before.
#[derive(PartialEq, Eq)]
enum Found {
    Old,
    New,
}

impl Page {
    /// Adds what was seen: where there is no room for more rows, to those that there are, and the rest together.
    pub(super) fn add(&self, connection: &Connection, seen: &[(&Sighting, &Seen)]) -> rusqlite::Result<()> {
        let mut rows = self.rows(connection)?;
        let mut others: HashMap<&'static str, Seen> = HashMap::new();
        for (sighting, seen) in seen {
            let place = Place::of(sighting);
            if rows < MOST || self.has(connection, &place)? {
                rows += i64::from(self.put(connection, &place, seen)? == Found::New);
            } else {
                let all = others.entry(place.endpoint);
                all.and_modify(|all| all.merge(seen)).or_insert_with(|| (*seen).clone());
            }
        }
        for (endpoint, seen) in &others {
            let nobody = Place { client: String::new(), user_agent: "", endpoint };
            self.put(connection, &nobody, seen)?;
        }
        Ok(())
    }

    /// Counts the rows that there are, as far as it matters.
    fn rows(&self, connection: &Connection) -> rusqlite::Result<i64> {
        connection
            .prepare_cached(
                "SELECT count(*) FROM (
                     SELECT 1 FROM sightings WHERE key_id = ?1 AND day = ?2 AND superseded = ?3 LIMIT ?4)",
            )?
            .query_row((self.key, self.day, self.superseded, MOST), |row| row.get(0))
    }

    /// Adds to a place, there or not.
    fn put(&self, connection: &Connection, place: &Place<'_>, seen: &Seen) -> rusqlite::Result<Found> {
        let (requests, known) = connection
            .prepare_cached(
                "INSERT INTO sightings (key_id, day, superseded, client, user_agent, endpoint,
                     requests, errors, admitted, scopes, first_at, last_at)
                 VALUES (:key, :day, :superseded, :client, :user_agent, :endpoint,
                     :requests, :errors, :admitted, :scopes, :first_at, :last_at)
                 ON CONFLICT DO UPDATE SET
                     requests = requests + excluded.requests,
                     errors = errors + excluded.errors,
                     admitted = admitted + excluded.admitted,
                     first_at = min(first_at, excluded.first_at),
                     last_at = max(last_at, excluded.last_at)
                 RETURNING requests, scopes",
            )?
            .query_row(
                named_params! {
                    ":key": self.key,
                    ":day": self.day,
                    ":superseded": self.superseded,
                    ":client": place.client,
                    ":user_agent": place.user_agent,
                    ":endpoint": place.endpoint,
                    ":requests": column::from_count(seen.requests),
                    ":errors": column::from_count(seen.errors),
                    ":admitted": column::from_count(seen.admitted),
                    ":scopes": names(seen.scopes),
                    ":first_at": seen.first.as_millis(),
                    ":last_at": seen.last.as_millis(),
                },
                |row| Ok((column::count(row, "requests")?, scopes(row)?)),
            )?;
        self.add_scopes(connection, place, known, seen.scopes)?;
        Ok(if requests == seen.requests { Found::New } else { Found::Old })
    }

    fn has(&self, connection: &Connection, place: &Place<'_>) -> rusqlite::Result<bool> {
        connection
            .prepare_cached(
                "SELECT EXISTS (
                     SELECT 1 FROM sightings
                     WHERE key_id = ?1 AND day = ?2 AND superseded = ?3
                       AND client = ?4 AND user_agent = ?5 AND endpoint = ?6)",
            )?
            .query_row(
                (self.key, self.day, self.superseded, &place.client, place.user_agent, place.endpoint),
                |row| row.get(0),
            )
    }

    /// Adds to the scopes that were called for at a place; hardly ever are there any more.
    fn add_scopes(
        &self,
        connection: &Connection,
        place: &Place<'_>,
        known: Scopes,
        more: Scopes,
    ) -> rusqlite::Result<()> {
        let all = known.union(more);
        if all == known {
            return Ok(());
        }
        connection
            .prepare_cached(
                "UPDATE sightings SET scopes = ?7
                 WHERE key_id = ?1 AND day = ?2 AND superseded = ?3
                   AND client = ?4 AND user_agent = ?5 AND endpoint = ?6",
            )?
            .execute((
                self.key,
                self.day,
                self.superseded,
                &place.client,
                place.user_agent,
                place.endpoint,
                names(all),
            ))
            .map(drop)
    }
}

impl<'a> Place<'a> {
    fn of(sighting: &'a Sighting) -> Self {
        Self {
            client: column::to_text(sighting.client).unwrap_or_default(),
            user_agent: &sighting.user_agent,
            endpoint: sighting.endpoint,
        }
    }
}

fn names(scopes: Scopes) -> String {
    scopes.names().join(" ")
}
