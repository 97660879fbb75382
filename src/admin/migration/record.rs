//! What is known of a key of a rotation, deleted ones too.

use rusqlite::Connection;
use serde_json::Value;

use crate::domain::id::KeyId;
use crate::domain::key::{Key, LastUse, Status};
use crate::domain::time::Timestamp;
use crate::store;
use crate::store::audit::Filter;

/// What is known of a key.
pub(super) enum Record {
    Kept(Box<Key>),
    Deleted(Remains),
}

/// What the audit log knows of a deleted key.
#[derive(Default)]
pub(super) struct Remains {
    name: Option<String>,
    rotated_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    deleted_at: Option<Timestamp>,
}

impl Record {
    /// Reads what is known of the key, and when it was last used.
    pub(super) fn find(db: &Connection, id: KeyId) -> rusqlite::Result<(Self, Option<LastUse>)> {
        Ok(match store::keys::find(db, id)? {
            Some((key, last_use)) => (Self::Kept(Box::new(key)), last_use),
            None => (Self::Deleted(Remains::find(db, id)?), None),
        })
    }

    pub(super) fn key(&self) -> Option<&Key> {
        match self {
            Self::Kept(key) => Some(key),
            Self::Deleted(_) => None,
        }
    }

    pub(super) fn name(&self) -> Option<String> {
        match self {
            Self::Kept(key) => Some(key.settings.name.as_str().to_owned()),
            Self::Deleted(remains) => remains.name.clone(),
        }
    }

    pub(super) fn status(&self, now: Timestamp) -> Option<Status> {
        self.key().map(|key| key.status(now))
    }

    pub(super) fn created_at(&self) -> Option<Timestamp> {
        self.key().map(|key| key.created_at)
    }

    pub(super) fn rotated_at(&self) -> Option<Timestamp> {
        match self {
            Self::Kept(key) => key.rotated_at(),
            Self::Deleted(remains) => remains.rotated_at,
        }
    }

    pub(super) fn expires_at(&self) -> Option<Timestamp> {
        match self {
            Self::Kept(key) => key.settings.expires_at,
            Self::Deleted(remains) => remains.expires_at,
        }
    }

    /// Returns when the key stopped working, or will; of a disabled one that is not known.
    pub(super) fn ends_at(&self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Deleted(remains) => remains.deleted_at,
            Self::Kept(key) => match key.status(now) {
                Status::Active | Status::Expired => key.settings.expires_at,
                Status::Revoked => key.revoked_at,
                Status::Disabled => None,
            },
        }
    }
}

impl Remains {
    /// Reads what the latest change tells: the deletion, as a rule.
    fn find(db: &Connection, id: KeyId) -> rusqlite::Result<Self> {
        let filter = Filter { target: Some(id.to_string()), limit: 1, ..Filter::default() };
        let Some(change) = store::audit::list(db, &filter)?.into_iter().next() else {
            return Ok(Self::default());
        };
        let before: Value =
            change.row.before.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
        let time = |field: &str| before[field].as_str().and_then(|text| Timestamp::parse(text).ok());
        Ok(Self {
            name: before["name"].as_str().map(ToOwned::to_owned),
            rotated_at: time("rotated_at"),
            expires_at: time("expires_at"),
            deleted_at: (change.row.action == "key.delete").then_some(change.row.at),
        })
    }
}
