//! Lists of keys, in any order, page by page.

use rusqlite::{Connection, named_params};

use super::{key, last_use, select};
use crate::domain::id::KeyId;
use crate::domain::key::{Key, LastUse, Status};
use crate::domain::time::Timestamp;

/// Which keys to list or to count.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Only keys with this status now.
    pub status: Option<Status>,
    /// Only keys whose name, hint, id or metadata hold this text, in any letter case.
    pub search: Option<String>,
    /// The time that statuses are told by.
    pub now: Timestamp,
}

/// Which part of a list to return.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Only keys behind this one.
    pub after: Option<KeyId>,
    /// What the list is in the order of.
    pub by: By,
    /// Which end of it comes first.
    pub direction: Direction,
    /// At most this many.
    pub limit: u32,
}

/// What a list is in the order of. Keys that have no such time are its last, whichever end comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// When keys were made.
    #[default]
    Created,
    /// Their names, in any letter case as far as ASCII goes.
    Name,
    /// When they were last used.
    LastUsed,
    /// When they end by themselves.
    Expires,
}

/// Which end of a list comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// The latest, or the last in the alphabet.
    #[default]
    Descending,
    /// The earliest, or the first in the alphabet.
    Ascending,
}

impl By {
    /// Every order.
    pub const ALL: [Self; 4] = [Self::Created, Self::Name, Self::LastUsed, Self::Expires];

    /// Returns what it is called in the admin API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Name => "name",
            Self::LastUsed => "last_used",
            Self::Expires => "expires",
        }
    }

    /// Returns what rows are compared by. Beyond all times there is a number for those that have none.
    const fn column(self, direction: Direction) -> &'static str {
        match (self, direction) {
            (Self::Created, _) => "created_at",
            (Self::Name, _) => "name COLLATE NOCASE",
            (Self::LastUsed, Direction::Descending) => "coalesce(last_used_at, -9223372036854775807)",
            (Self::LastUsed, Direction::Ascending) => "coalesce(last_used_at, 9223372036854775807)",
            (Self::Expires, Direction::Descending) => "coalesce(expires_at, -9223372036854775807)",
            (Self::Expires, Direction::Ascending) => "coalesce(expires_at, 9223372036854775807)",
        }
    }
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Descending, Self::Ascending];

    /// Returns what it is called in the admin API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Descending => "desc",
            Self::Ascending => "asc",
        }
    }
}

/// What a filter lets through.
const FILTERED: &str = "
    (:status IS NULL
     OR :status = CASE
         WHEN revoked_at IS NOT NULL THEN 'revoked'
         WHEN NOT enabled THEN 'disabled'
         WHEN expires_at <= :now THEN 'expired'
         ELSE 'active'
     END)
    AND (:search IS NULL
         OR holds(name || char(10) || hint || char(10) || id, :search)
         OR EXISTS (SELECT 1 FROM json_each(metadata)
                    WHERE holds(key || char(10) || value, :search)))";

/// Returns a page of the keys that the filter lets through. Keys alike are in the order of their ids.
pub fn list(
    connection: &Connection,
    filter: &Filter,
    page: Page,
) -> rusqlite::Result<Vec<(Key, Option<LastUse>)>> {
    let column = page.by.column(page.direction);
    let (behind, order) = match page.direction {
        Direction::Descending => ("<", "DESC"),
        Direction::Ascending => (">", "ASC"),
    };
    let sql = select(&format!(
        "WHERE (:after IS NULL OR ({column}, id) {behind} (SELECT {column}, id FROM keys WHERE id = :after))
           AND {FILTERED}
         ORDER BY {column} {order}, id {order}
         LIMIT :limit"
    ));
    connection
        .prepare_cached(&sql)?
        .query_map(
            named_params! {
                ":after": page.after,
                ":status": filter.status.map(Status::name),
                ":now": filter.now.as_millis(),
                ":search": filter.search,
                ":limit": page.limit,
            },
            |row| Ok((key(row)?, last_use(row)?)),
        )?
        .collect()
}

/// Returns how many keys the filter lets through.
pub fn count(connection: &Connection, filter: &Filter) -> rusqlite::Result<u64> {
    connection.prepare_cached(&format!("SELECT count(*) AS count FROM keys WHERE {FILTERED}"))?.query_row(
        named_params! {
            ":status": filter.status.map(Status::name),
            ":now": filter.now.as_millis(),
            ":search": filter.search,
        },
        |row| super::column::count(row, "count"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::domain::key::{Name, Settings};
    use crate::domain::scope::Scopes;
    use crate::store::{keys, migrate};

    /// What a key has: its number, name, and when it was made, was used and ends.
    type Made = (u32, &'static str, i64, Option<i64>, Option<i64>);

    const KEYS: [Made; 7] = [
        (3, "beta", 10, Some(50), None),
        (1, "Alpha", 10, None, Some(90)),
        (2, "alpha", 10, Some(50), Some(90)),
        (4, "Gamma", 30, None, Some(80)),
        (5, "BETA", 20, Some(70), None),
        (6, "delta", 40, Some(60), Some(95)),
        (7, "Zeta", 5, None, None),
    ];

    fn id(number: u32) -> KeyId {
        format!("key_{number:024}").parse().unwrap()
    }

    fn number(id: KeyId) -> u32 {
        id.to_string()[4..].parse().unwrap()
    }

    fn database(made: &[Made]) -> Connection {
        let mut database = Connection::open_in_memory().unwrap();
        migrate::run(&mut database).unwrap();
        keys::register_functions(&database).unwrap();
        for (number, name, created_at, used_at, expires_at) in made {
            let mut settings = Settings::new(Name::parse(name).unwrap(), Scopes::EVERY, "standard");
            settings.expires_at = expires_at.map(Timestamp::from_millis);
            let hint = "mcp_sk_AbCd…wXyZ".parse().unwrap();
            let key = Key::new(id(*number), hint, settings, Timestamp::from_millis(*created_at));
            let digest = [u8::try_from(*number).unwrap(); 32];
            keys::insert(&database, &key, &digest).unwrap();
            if let Some(at) = used_at {
                let last = LastUse { at: Timestamp::from_millis(*at), ip: None };
                keys::note_use(&database, key.id, last).unwrap();
            }
        }
        database
    }

    fn everything() -> Filter {
        Filter { status: None, search: None, now: Timestamp::from_millis(85) }
    }

    /// Lists all keys in pages of some length.
    fn paged(database: &Connection, by: By, direction: Direction, limit: u32) -> Vec<u32> {
        let (mut after, mut found) = (None, Vec::new());
        loop {
            let rows = list(database, &everything(), Page { after, by, direction, limit }).unwrap();
            after = rows.last().map(|(key, _)| key.id);
            found.extend(rows.iter().map(|(key, _)| number(key.id)));
            if rows.is_empty() {
                return found;
            }
        }
    }

    #[test]
    fn every_order_is_the_same_whichever_way_it_is_paged() {
        use Direction::{Ascending, Descending};
        let cases = [
            (By::Created, Descending, [6, 4, 5, 3, 2, 1, 7]),
            (By::Created, Ascending, [7, 1, 2, 3, 5, 4, 6]),
            (By::Name, Descending, [7, 4, 6, 5, 3, 2, 1]),
            (By::Name, Ascending, [1, 2, 3, 5, 6, 4, 7]),
            (By::LastUsed, Descending, [5, 6, 3, 2, 7, 4, 1]),
            (By::LastUsed, Ascending, [2, 3, 6, 5, 1, 4, 7]),
            (By::Expires, Descending, [6, 2, 1, 4, 7, 5, 3]),
            (By::Expires, Ascending, [4, 1, 2, 6, 3, 5, 7]),
        ];
        let database = database(&KEYS);
        for (by, direction, expected) in cases {
            for limit in [1, 2, 3, 7, 100] {
                assert_eq!(paged(&database, by, direction, limit), expected, "{by:?} {direction:?} {limit}");
            }
        }
    }

    #[test]
    fn as_many_are_counted_as_are_listed() {
        let database = database(&KEYS);
        let filters = [
            (None, None, 7),
            (None, Some("ETA"), 3),
            (Some(Status::Expired), None, 1),
            (Some(Status::Active), Some("a"), 6),
            (Some(Status::Revoked), None, 0),
        ];
        for (status, search, expected) in filters {
            let filter = Filter { status, search: search.map(ToOwned::to_owned), ..everything() };
            let page = Page { after: None, by: By::Name, direction: Direction::Ascending, limit: 100 };
            assert_eq!(count(&database, &filter).unwrap(), expected, "{filter:?}");
            assert_eq!(list(&database, &filter, page).unwrap().len() as u64, expected, "{filter:?}");
        }
    }
}
