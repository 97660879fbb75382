//! Seeing a rotation through: who still uses the old key, who the new one, and whether the old one may go.

mod record;

use actix_web::HttpResponse;
use rusqlite::Connection;
use serde::Serialize;

use self::record::Record;
use super::{Call, Desk, Rooms};
use crate::domain::id::KeyId;
use crate::domain::key::{LastUse, Status};
use crate::domain::migration::{Client, Migration};
use crate::domain::time::{Timestamp, format_duration};
use crate::http::ApiError;
use crate::keys::KeysError;
use crate::store;
use crate::store::sightings::Sighted;

/// How many clients of a key are listed.
const MOST: usize = 200;

/// A hand-over from one key to the next, and who has followed it.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Migration")]
pub(crate) struct MigrationView {
    /// Always `migration`.
    pub(crate) object: &'static str,
    pub(crate) rotated_at: Option<String>,
    pub(crate) old_expires_at: Option<String>,
    /// The status of the old key, or `deleted`.
    pub(crate) old_status: &'static str,
    /// The status of the new key, or `deleted`.
    pub(crate) new_status: &'static str,
    /// How long the old key is to be quiet to be revoked by itself.
    pub(crate) revoke_when_quiet: Option<String>,
    /// What the old key was asked for since the rotation.
    pub(crate) old: SideView,
    /// What the new key was asked for.
    pub(crate) new: SideView,
    /// Whether the old key may be revoked without locking anybody out who uses it.
    pub(crate) safe_to_revoke: bool,
    /// Why, and what to do next.
    pub(crate) verdict: String,
}

#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "MigratingKey")]
pub(crate) struct SideView {
    pub(crate) key: String,
    /// `null` only for a deleted key of which nothing is known any more.
    pub(crate) name: Option<String>,
    /// Refused ones included.
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    /// When a request was last let through.
    pub(crate) last_used_at: Option<String>,
    /// The latest first.
    pub(crate) clients: Vec<ClientView>,
    /// How many more there are.
    pub(crate) more_clients: usize,
}

#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Client")]
pub(crate) struct ClientView {
    /// `null` where it could not be read, or for clients beyond the number that is told apart.
    pub(crate) ip: Option<String>,
    pub(crate) user_agent: String,
    pub(crate) endpoint: String,
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    pub(crate) last_seen_at: String,
}

pub(super) async fn answer(call: Call) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(of(&call.desk, call.key_id()?).await?))
}

/// Tells how far a rotation is that the key took part in.
pub(crate) async fn of(desk: &Desk, id: KeyId) -> Result<MigrationView, ApiError> {
    // What is not written yet could be the use that must not be missed.
    if !desk.rooms.keeper.flush().await {
        return Err(ApiError::StorageUnavailable);
    }
    let found = desk.block(move |rooms| rooms.store.read(|db| Rotated::find(db, id))).await?;
    let rotated = found.ok_or(KeysError::NotFound)?.ok_or_else(|| {
        let message = "this key was neither rotated nor made by a rotation: there is nothing to see through";
        ApiError::Conflict("key_not_rotated", message.to_owned())
    })?;
    Ok(rotated.view(&desk.rooms, desk.now()))
}

/// Both keys of a rotation.
struct Rotated {
    old: Side,
    new: Side,
}

/// One of them.
struct Side {
    id: KeyId,
    record: Record,
    clients: Vec<Client>,
    last_used_at: Option<Timestamp>,
}

impl Rotated {
    /// Returns the rotation that the key took part in, its own where it took part in two; nothing inside if it took
    /// part in none, nothing at all if there is no such key.
    fn find(db: &Connection, id: KeyId) -> rusqlite::Result<Option<Option<Self>>> {
        let record = match store::keys::find(db, id)? {
            Some((key, _)) => Some(key),
            None => store::keys::beside(db, id)?.map(|(key, _)| key),
        };
        let Some(key) = record else { return Ok(None) };
        let is_own = key.id == id;
        let (old, new) = match (key.rotated_from(), key.rotated_to()) {
            (_, Some(next)) if is_own || next == id => (key.id, next),
            (Some(previous), _) => (previous, key.id),
            _ => return Ok(Some(None)),
        };
        Ok(Some(Some(Self { old: Side::load(db, old, Some(true))?, new: Side::load(db, new, None)? })))
    }

    fn view(self, rooms: &Rooms, now: Timestamp) -> MigrationView {
        let migration = self.migration(rooms, now);
        let verdict = migration.verdict(now);
        MigrationView {
            object: "migration",
            rotated_at: text(migration.rotated_at),
            old_expires_at: text(self.old.record.expires_at()),
            old_status: self.old.record.status(now).map_or("deleted", Status::name),
            new_status: self.new.record.status(now).map_or("deleted", Status::name),
            revoke_when_quiet: migration.revoke_when_quiet.map(format_duration),
            safe_to_revoke: verdict.safe_to_revoke,
            verdict: verdict.text,
            old: self.old.view(),
            new: self.new.view(),
        }
    }

    fn migration(&self, rooms: &Rooms, now: Timestamp) -> Migration {
        let key = self.old.record.key();
        Migration {
            rotated_at: self.old.record.rotated_at().or(self.new.record.created_at()),
            old_status: self.old.record.status(now),
            old_ends_at: self.old.record.ends_at(now),
            old_last_used_at: self.old.last_used_at,
            old_is_in_use: rooms.keys.keyring().get(self.old.id).is_some_and(|entry| entry.is_in_use()),
            revoke_when_quiet: key.and_then(|key| key.settings.extras().revoke_when_quiet),
            old_clients: self.old.clients.clone(),
            new_admitted: self.new.clients.iter().map(|client| client.admitted).sum(),
            new_works: key.is_some_and(|key| rooms.keys.live_successor(key, now).is_some()),
        }
    }
}

impl Side {
    /// Loads what a key was asked for: all of it, or only since it has a successor.
    fn load(db: &Connection, id: KeyId, superseded: Option<bool>) -> rusqlite::Result<Self> {
        let (record, last_use) = Record::find(db, id)?;
        let sighted = store::sightings::of(db, id, superseded, 0)?;
        let clients: Vec<Client> = sighted.into_iter().map(client).collect();
        let since = if superseded == Some(true) { record.rotated_at() } else { None };
        let last_used_at = last_used_at(&clients, last_use, since);
        Ok(Self { id, record, clients, last_used_at })
    }

    fn view(self) -> SideView {
        SideView {
            key: self.id.to_string(),
            name: self.record.name(),
            requests: self.clients.iter().map(|client| client.requests).sum(),
            errors: self.clients.iter().map(|client| client.errors).sum(),
            last_used_at: text(self.last_used_at),
            more_clients: self.clients.len().saturating_sub(MOST),
            clients: self.clients.into_iter().take(MOST).map(ClientView::new).collect(),
        }
    }
}

impl ClientView {
    fn new(client: Client) -> Self {
        Self {
            ip: client.ip.map(|ip| ip.to_string()),
            user_agent: client.user_agent,
            endpoint: client.endpoint,
            requests: client.requests,
            errors: client.errors,
            last_seen_at: client.last_seen_at.to_string(),
        }
    }
}

fn client(sighted: Sighted) -> Client {
    Client {
        ip: sighted.client,
        user_agent: sighted.user_agent,
        endpoint: sighted.endpoint,
        requests: sighted.requests,
        errors: sighted.errors,
        admitted: sighted.admitted,
        last_seen_at: sighted.last_at,
    }
}

/// Returns when a request was last let through. The record tells it to the moment; where it does not (the key is
/// deleted, or the clock was stepped back), who was let through at all counts with its latest request.
fn last_used_at(
    clients: &[Client],
    last_use: Option<LastUse>,
    since: Option<Timestamp>,
) -> Option<Timestamp> {
    let noted = last_use.map(|last| last.at).filter(|at| since.is_none_or(|since| *at >= since));
    let seen = clients.iter().filter(|client| client.admitted > 0).map(|client| client.last_seen_at);
    noted.or_else(|| seen.max())
}

fn text(time: Option<Timestamp>) -> Option<String> {
    time.map(|time| time.to_string())
}
