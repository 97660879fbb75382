//! Who asked for what with each key, by UTC day.

mod page;

use std::collections::HashMap;
use std::net::IpAddr;

use rusqlite::{Connection, Row, named_params};

use self::page::Page;
use super::column;
use crate::domain::id::KeyId;
use crate::domain::scope::Scopes;
use crate::domain::sighting::{Seen, Sighting};
use crate::domain::time::Timestamp;
use crate::nice::with_pauses;

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

/// Adds what was seen to the days that it was first seen on; what had no known key is left out.
pub fn add<'a>(
    connection: &Connection,
    seen: impl IntoIterator<Item = (&'a Sighting, &'a Seen)>,
) -> rusqlite::Result<()> {
    let mut pages: HashMap<Page, Vec<_>> = HashMap::new();
    for (sighting, seen) in seen {
        let Some(key) = sighting.key else { continue };
        let page = Page { key, day: seen.first.day(), superseded: sighting.superseded };
        pages.entry(page).or_default().push((sighting, seen));
    }
    with_pauses(&pages).try_for_each(|(page, seen)| page.add(connection, seen))
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
            add(&database, [(sighting, &seen(seconds, scope))]).unwrap();
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
        let most = usize::try_from(page::MOST).unwrap();
        let agents = (0..most + 7).map(|number| sighting("203.0.113.9", &format!("agent {number}")));
        let agents: Vec<Sighting> = agents.collect();
        // One by one, in two batches, and all at once.
        for at_once in [1, most - 3, most + 7] {
            let database = database();
            let see = |sightings: &[Sighting], seen: &Seen| {
                add(&database, sightings.iter().map(|sighting| (sighting, seen))).unwrap();
            };
            agents.chunks(at_once).for_each(|agents| see(agents, &seen(1, Scope::ModelsRead)));
            // Who is known by then is still told apart, and so is what comes after a rotation, or on another day.
            see(&agents[4..5], &seen(1, Scope::FilesRead));
            let after = Sighting { superseded: true, ..sighting("203.0.113.9", "new") };
            see(&[after, sighting("203.0.113.9", "late")], &seen(1, Scope::ModelsRead));
            let rows = of(&database, key('1'), None, 0).unwrap();
            assert_eq!(rows.len(), most + 2, "{at_once} at once");
            assert_eq!(rows.iter().map(|row| row.requests).sum::<u64>(), 3 * (most as u64 + 10));
            let others = rows.iter().find(|row| row.client.is_none()).unwrap();
            assert_eq!((others.user_agent.as_str(), others.requests), ("", 24));
            let known = rows.iter().find(|row| row.user_agent == "agent 4").unwrap();
            assert_eq!((known.requests, known.scopes.names()), (6, vec!["models:read", "files:read"]));
            assert!(rows.iter().any(|row| row.user_agent == "new"));
            see(&[sighting("203.0.113.9", "next day")], &seen(DAY, Scope::ModelsRead));
            assert!(of(&database, key('1'), None, 1).unwrap()[0].client.is_some());
        }
    }

    #[test]
    fn days_past_their_time_are_forgotten_a_few_rows_at_a_time() {
        let database = database();
        for (number, day) in [(1, 4), (2, 4), (3, 5), (4, 6)] {
            let sighting = sighting("203.0.113.9", &number.to_string());
            add(&database, [(&sighting, &seen(day * DAY + 9, Scope::ModelsRead))]).unwrap();
        }
        let time = Timestamp::from_seconds(6 * DAY + 1);
        assert_eq!([2, 2, 2].map(|most| delete_before(&database, time, most).unwrap()), [2, 1, 0]);
        assert_eq!(of(&database, key('1'), None, 0).unwrap().len(), 1);
    }
}
