//! Who asked for what with each key, by UTC day.

use std::net::IpAddr;

use rusqlite::{Connection, OptionalExtension as _, Row, named_params};

use super::column;
use crate::domain::id::KeyId;
use crate::domain::scope::Scopes;
use crate::domain::sighting::{Seen, Sighting};
use crate::domain::time::Timestamp;

/// How many rows a key may have in a day, before its rotation and after it each; what else is seen of it stands
/// together, by endpoint, under no client.
const MOST: usize = 500;

/// What was seen of one client at one endpoint, all days together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighted {
    /// The client's address; none where it could not be read, or beyond the bound.
    pub client: Option<IpAddr>,
    /// What the client calls itself.
    pub user_agent: String,
    /// The route's pattern.
    pub endpoint: String,
    /// Answered requests.
    pub requests: u64,
    /// Those with a status of 400 and more.
    pub errors: u64,
    /// Those that the gate let through.
    pub admitted: u64,
    /// The scopes that admitted ones called for.
    pub scopes: Scopes,
    /// When the first of them came in.
    pub first_at: Timestamp,
    /// When the last of them came in.
    pub last_at: Timestamp,
}

/// Adds what was seen to the day that its first request came in on; what had no known key is left out.
pub fn add(connection: &Connection, sighting: &Sighting, seen: &Seen) -> rusqlite::Result<()> {
    let Some(key) = sighting.key else { return Ok(()) };
    let mut place = Place {
        key,
        day: seen.first.day(),
        superseded: sighting.superseded,
        client: column::to_text(sighting.client).unwrap_or_default(),
        user_agent: &sighting.user_agent,
        endpoint: sighting.endpoint,
    };
    let mut scopes = place.scopes(connection)?;
    if scopes.is_none() && place.is_full(connection)? {
        place = Place { client: String::new(), user_agent: "", ..place };
        scopes = place.scopes(connection)?;
    }
    place.add(connection, seen, scopes.unwrap_or(Scopes::NONE))
}

/// Returns what was seen of a key from a day on (counted from the epoch), the latest first; of the time before
/// its rotation or after it alone, if so asked.
pub fn of(
    connection: &Connection,
    key: KeyId,
    superseded: Option<bool>,
    since_day: i64,
) -> rusqlite::Result<Vec<Sighted>> {
    connection
        .prepare_cached(
            "SELECT client, user_agent, endpoint,
                    sum(requests) AS requests, sum(errors) AS errors, sum(admitted) AS admitted,
                    group_concat(scopes, ' ') AS scopes, min(first_at) AS first_at, max(last_at) AS last_at
             FROM sightings
             WHERE key_id = :key AND day >= :day AND (:superseded IS NULL OR superseded = :superseded)
             GROUP BY client, user_agent, endpoint
             ORDER BY last_at DESC, requests DESC, client, user_agent, endpoint",
        )?
        .query_map(named_params! {":key": key, ":day": since_day, ":superseded": superseded}, sighted)?
        .collect()
}

/// Forgets at most so many rows of the days before the given time's; returns how many.
pub fn delete_before(connection: &Connection, time: Timestamp, most: usize) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM sightings
             WHERE (key_id, day, superseded, client, user_agent, endpoint) IN (
                 SELECT key_id, day, superseded, client, user_agent, endpoint FROM sightings
                 WHERE day < ?1 LIMIT ?2)",
        )?
        .execute((time.day(), super::rows(most)))
}

/// Where something seen is added to.
struct Place<'a> {
    key: KeyId,
    day: i64,
    superseded: bool,
    client: String,
    user_agent: &'a str,
    endpoint: &'a str,
}

impl Place<'_> {
    /// Returns the scopes that were called for there, if anything was seen.
    fn scopes(&self, connection: &Connection) -> rusqlite::Result<Option<Scopes>> {
        connection
            .prepare_cached(
                "SELECT scopes
                 FROM sightings
                 WHERE key_id = :key AND day = :day AND superseded = :superseded
                   AND client = :client AND user_agent = :user_agent AND endpoint = :endpoint",
            )?
            .query_row(
                named_params! {
                    ":key": self.key,
                    ":day": self.day,
                    ":superseded": self.superseded,
                    ":client": self.client,
                    ":user_agent": self.user_agent,
                    ":endpoint": self.endpoint,
                },
                scopes,
            )
            .optional()
    }

    fn is_full(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let rows: i64 = connection
            .prepare_cached(
                "SELECT count(*) FROM (
                     SELECT 1 FROM sightings WHERE key_id = ?1 AND day = ?2 AND superseded = ?3 LIMIT ?4)",
            )?
            .query_row((self.key, self.day, self.superseded, super::rows(MOST)), |row| row.get(0))?;
        Ok(rows >= super::rows(MOST))
    }

    fn add(&self, connection: &Connection, seen: &Seen, known: Scopes) -> rusqlite::Result<()> {
        connection
            .prepare_cached(
                "INSERT INTO sightings (key_id, day, superseded, client, user_agent, endpoint,
                     requests, errors, admitted, scopes, first_at, last_at)
                 VALUES (:key, :day, :superseded, :client, :user_agent, :endpoint,
                     :requests, :errors, :admitted, :scopes, :first_at, :last_at)
                 ON CONFLICT DO UPDATE SET
                     requests = requests + excluded.requests,
                     errors = errors + excluded.errors,
                     admitted = admitted + excluded.admitted,
                     scopes = excluded.scopes,
                     first_at = min(first_at, excluded.first_at),
                     last_at = max(last_at, excluded.last_at)",
            )?
            .execute(named_params! {
                ":key": self.key,
                ":day": self.day,
                ":superseded": self.superseded,
                ":client": self.client,
                ":user_agent": self.user_agent,
                ":endpoint": self.endpoint,
                ":requests": column::from_count(seen.requests),
                ":errors": column::from_count(seen.errors),
                ":admitted": column::from_count(seen.admitted),
                ":scopes": known.union(seen.scopes).names().join(" "),
                ":first_at": seen.first.as_millis(),
                ":last_at": seen.last.as_millis(),
            })
            .map(drop)
    }
}

fn sighted(row: &Row<'_>) -> rusqlite::Result<Sighted> {
    let client: String = row.get("client")?;
    let client = (!client.is_empty()).then(|| column::text(row, "client")).transpose()?;
    Ok(Sighted {
        client,
        user_agent: row.get("user_agent")?,
        endpoint: row.get("endpoint")?,
        requests: column::count(row, "requests")?,
        errors: column::count(row, "errors")?,
        admitted: column::count(row, "admitted")?,
        scopes: scopes(row)?,
        first_at: column::time(row, "first_at")?,
        last_at: column::time(row, "last_at")?,
    })
}

fn scopes(row: &Row<'_>) -> rusqlite::Result<Scopes> {
    let names: String = row.get("scopes")?;
    Scopes::parse(names.split_whitespace()).map_err(|error| column::invalid(row, "scopes", error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::scope::Scope;
    use crate::store::migrate;

    const DAY: i64 = 86_400;

    fn database() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate::run(&mut connection).unwrap();
        connection
    }

    fn key(last: char) -> KeyId {
        format!("key_00000000000000000000000{last}").parse().unwrap()
    }

    fn sighting(client: &str, user_agent: &str) -> Sighting {
        Sighting {
            key: Some(key('1')),
            superseded: false,
            client: client.parse().ok(),
            user_agent: user_agent.into(),
            endpoint: "/v1/models",
        }
    }

    fn seen(seconds: i64, scope: Scope) -> Seen {
        let at = Timestamp::from_seconds(seconds);
        Seen {
            requests: 3,
            errors: 1,
            admitted: 2,
            failures: 0,
            rate_limited: 0,
            failed_auth: 0,
            scopes: Scopes::NONE.with(scope),
            first: at,
            last: at,
        }
    }

    #[test]
    fn what_was_seen_adds_up_over_days_and_is_told_apart_by_who_asked_for_what() {
        let database = database();
        let one = sighting("203.0.113.9", "curl");
        let see = |sighting: &Sighting, seconds, scope| {
            add(&database, sighting, &seen(seconds, scope)).unwrap();
        };
        see(&one, DAY + 2, Scope::ModelsRead);
        see(&one, DAY + 1, Scope::ChatsCreate);
        see(&one, 2 * DAY, Scope::FilesRead);
        see(&Sighting { superseded: true, ..one.clone() }, 2 * DAY + 5, Scope::ModelsRead);
        see(&sighting("unreadable", ""), 3 * DAY, Scope::ModelsRead);
        see(&Sighting { key: Some(key('2')), ..one.clone() }, DAY, Scope::ModelsRead);
        see(&Sighting { key: None, ..one }, DAY, Scope::ModelsRead);

        let rows = of(&database, key('1'), Some(false), 0).unwrap();
        let expected = Sighted {
            client: "203.0.113.9".parse().ok(),
            user_agent: "curl".to_owned(),
            endpoint: "/v1/models".to_owned(),
            requests: 9,
            errors: 3,
            admitted: 6,
            scopes: Scopes::parse(["models:read", "chats:create", "files:read"]).unwrap(),
            first_at: Timestamp::from_seconds(DAY + 1),
            last_at: Timestamp::from_seconds(2 * DAY),
        };
        assert_eq!(rows[1], expected);
        assert_eq!((rows.len(), rows[0].client, rows[0].user_agent.as_str()), (2, None, ""));
        assert_eq!(of(&database, key('1'), Some(true), 0).unwrap().len(), 1);
        let all = of(&database, key('1'), None, 0).unwrap();
        assert_eq!((all.len(), all[1].requests), (2, 12));
        assert_eq!(of(&database, key('1'), Some(false), 2).unwrap()[1].requests, 3);
        assert_eq!(of(&database, key('2'), None, 0).unwrap().len(), 1);
    }

    #[test]
    fn a_key_s_rows_of_a_day_are_bounded_and_no_request_is_lost_for_it() {
        let database = database();
        let most = u64::try_from(MOST).unwrap();
        for number in 0..most + 7 {
            let agent = format!("agent {number}");
            add(&database, &sighting("203.0.113.9", &agent), &seen(1, Scope::ModelsRead)).unwrap();
        }
        // Who is known by then is still told apart, and so is what comes after a rotation, or on another day.
        let known = sighting("203.0.113.9", "agent 4");
        add(&database, &known, &seen(1, Scope::FilesRead)).unwrap();
        let after = Sighting { superseded: true, ..sighting("203.0.113.9", "new") };
        add(&database, &after, &seen(1, Scope::ModelsRead)).unwrap();
        let rows = of(&database, key('1'), None, 0).unwrap();
        assert_eq!(rows.len(), MOST + 2);
        assert_eq!(rows.iter().map(|row| row.requests).sum::<u64>(), 3 * (most + 9));
        let others = rows.iter().find(|row| row.client.is_none()).unwrap();
        assert_eq!((others.user_agent.as_str(), others.requests), ("", 21));
        let known = rows.iter().find(|row| row.user_agent == "agent 4").unwrap();
        assert_eq!((known.requests, known.scopes.names()), (6, vec!["models:read", "files:read"]));
        assert!(rows.iter().any(|row| row.user_agent == "new"));
        add(&database, &sighting("203.0.113.9", "next day"), &seen(DAY, Scope::ModelsRead)).unwrap();
        assert!(of(&database, key('1'), None, 1).unwrap()[0].client.is_some());
    }

    #[test]
    fn days_past_their_time_are_forgotten_a_few_rows_at_a_time() {
        let database = database();
        for (number, day) in [(1, 4), (2, 4), (3, 5), (4, 6)] {
            let sighting = sighting("203.0.113.9", &number.to_string());
            add(&database, &sighting, &seen(day * DAY + 9, Scope::ModelsRead)).unwrap();
        }
        let time = Timestamp::from_seconds(6 * DAY + 1);
        assert_eq!([2, 2, 2].map(|most| delete_before(&database, time, most).unwrap()), [2, 1, 0]);
        assert_eq!(of(&database, key('1'), None, 0).unwrap().len(), 1);
    }
}
