//! The keys.

mod list;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, OptionalExtension as _, Row, named_params};
use serde::de::DeserializeOwned;

pub use list::{By, Direction, Filter, Page, count, list};

use super::column;
use crate::domain::digest::Digest;
use crate::domain::id::KeyId;
use crate::domain::key::{Extras, Key, LastUse, Name, Settings, Succession};
use crate::domain::metadata::Metadata;
use crate::domain::models::AllowedModels;
use crate::domain::network::Networks;
use crate::domain::plan::PlanName;
use crate::domain::report_only::ReportOnly;
use crate::domain::scope::Scopes;
use crate::domain::time::Timestamp;
use crate::domain::token::{self, Hint};

/// Names the columns of a key once: what is selected, and where in it each of them is. Looking for a column by its
/// name takes longer than all the rest, when there are a million keys to read.
macro_rules! columns {
    ($($column:ident)+) => {
        #[derive(Clone, Copy)]
        #[expect(non_camel_case_types, reason = "they are called as in the schema")]
        enum Column { $($column),+ }

        const COLUMNS: &[&str] = &[$(stringify!($column)),+];
    };
}

columns! {
    id digest hint name enabled scopes plan requests_per_minute max_concurrent expires_at allowed_ips allowed_models
    metadata require_signature report_only revoke_when_quiet created_at revoked_at rotated_from rotated_to rotated_at
    allowance last_used_at last_used_ip
}

/// Keeps a new key with the digest of its token.
pub fn insert(connection: &Connection, key: &Key, digest: &Digest) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO keys (id, digest, hint, name, enabled, scopes, plan, requests_per_minute,
                 max_concurrent, expires_at, allowed_ips, allowed_models, metadata, require_signature,
                 created_at, rotated_from, allowance)
             VALUES (:id, :digest, :hint, '', 1, '', '', NULL, NULL, NULL, '[]', '[]', '{}', 0,
                 :created_at, :rotated_from, :allowance)",
        )?
        .execute(named_params! {
            ":id": key.id,
            ":digest": digest,
            ":hint": key.hint.to_string(),
            ":created_at": key.created_at.as_millis(),
            ":rotated_from": key.rotated_from(),
            ":allowance": key.line(),
        })?;
    update(connection, key)
}

/// Keeps what may change of a key.
pub fn update(connection: &Connection, key: &Key) -> rusqlite::Result<()> {
    let (settings, extras) = (&key.settings, key.settings.extras());
    let allowed_ips: Vec<String> = extras.allowed_ips.as_slice().iter().map(ToString::to_string).collect();
    connection
        .prepare_cached(
            "UPDATE keys
             SET name = :name, enabled = :enabled, scopes = :scopes, plan = :plan,
                 requests_per_minute = :requests_per_minute, max_concurrent = :max_concurrent,
                 expires_at = :expires_at, allowed_ips = :allowed_ips, allowed_models = :allowed_models,
                 metadata = :metadata, require_signature = :require_signature, report_only = :report_only,
                 revoke_when_quiet = :revoke_when_quiet,
                 revoked_at = :revoked_at, rotated_to = :rotated_to, rotated_at = :rotated_at
             WHERE id = :id",
        )?
        .execute(named_params! {
            ":id": key.id,
            ":name": settings.name.as_str(),
            ":enabled": settings.enabled,
            ":scopes": settings.scopes.names().join(" "),
            ":plan": &*settings.plan,
            ":requests_per_minute": settings.requests_per_minute,
            ":max_concurrent": settings.max_concurrent,
            ":expires_at": settings.expires_at.map(Timestamp::as_millis),
            ":allowed_ips": column::to_json(&allowed_ips),
            ":allowed_models": column::to_json(extras.allowed_models.as_slice()),
            ":metadata": column::to_json(extras.metadata.entries()),
            ":require_signature": settings.require_signature,
            ":report_only": settings.report_only.names().join(" "),
            ":revoke_when_quiet": extras.revoke_when_quiet.map(|quiet| column::from_count(quiet.as_secs())),
            ":revoked_at": key.revoked_at.map(Timestamp::as_millis),
            ":rotated_to": key.rotated_to(),
            ":rotated_at": key.rotated_at().map(Timestamp::as_millis),
        })
        .map(drop)
}

/// Forgets a key; what it used stays.
pub fn delete(connection: &Connection, id: KeyId) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM keys WHERE id = ?1")?.execute([id]).map(drop)
}

/// Notes when a key was last used, unless something later is noted already.
pub fn note_use(connection: &Connection, id: KeyId, last: LastUse) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE keys
             SET last_used_at = ?2, last_used_ip = ?3
             WHERE id = ?1 AND (last_used_at IS NULL OR last_used_at <= ?2)",
        )?
        .execute((id, last.at.as_millis(), column::to_text(last.ip)))
        .map(drop)
}

/// Returns the key with the id.
pub fn find(connection: &Connection, id: KeyId) -> rusqlite::Result<Option<(Key, Option<LastUse>)>> {
    connection
        .prepare_cached(&select("WHERE id = ?1"))?
        .query_row([id], |row| Ok((key(row)?, last_use(row)?)))
        .optional()
}

/// Returns the key that another one took over from or handed over to, as its own record tells; the other may be
/// deleted by now.
pub fn beside(connection: &Connection, id: KeyId) -> rusqlite::Result<Option<(Key, Option<LastUse>)>> {
    connection
        .prepare_cached(&select(
            "WHERE rotated_from = ?1 OR rotated_to = ?1 ORDER BY rotated_from = ?1 DESC",
        ))?
        .query_row([id], |row| Ok((key(row)?, last_use(row)?)))
        .optional()
}

/// Returns the keys that are to be revoked once they are quiet.
pub fn to_revoke(connection: &Connection) -> rusqlite::Result<Vec<(Key, Option<LastUse>)>> {
    connection
        .prepare_cached(&select("WHERE revoke_when_quiet IS NOT NULL AND revoked_at IS NULL"))?
        .query_map([], |row| Ok((key(row)?, last_use(row)?)))?
        .collect()
}

/// Returns how many keys there are.
pub fn count_all(connection: &Connection) -> rusqlite::Result<usize> {
    let count =
        connection.query_row("SELECT count(*) AS count FROM keys", [], |row| column::count(row, "count"))?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// Hands every key to the caller, one at a time: there may be a million.
pub fn for_each(connection: &Connection, mut with: impl FnMut(Key, Digest)) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(&select(""))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        with(key(row)?, row.get(Column::digest as usize)?);
    }
    Ok(())
}

/// Teaches a connection to search texts in any letter case, whatever the script.
pub(super) fn register_functions(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("holds", 2, flags, |context| {
        let (text, wanted) = (context.get::<String>(0)?, context.get::<String>(1)?);
        Ok(text.to_lowercase().contains(&wanted.to_lowercase()))
    })
}

/// Returns the statement that reads keys, for [`key`] and [`last_use`] to understand.
fn select(which: &str) -> String {
    format!("SELECT {} FROM keys {which}", COLUMNS.join(", "))
}

fn key(row: &Row<'_>) -> rusqlite::Result<Key> {
    let id = column::text(row, Column::id as usize)?;
    let created_at = column::time(row, Column::created_at as usize)?;
    let mut key = Key::new(id, hint(row)?, settings(row)?, created_at);
    key.revoked_at = column::optional_time(row, Column::revoked_at as usize)?;
    let found = Succession {
        first: column::text(row, Column::allowance as usize)?,
        from: column::optional_text(row, Column::rotated_from as usize)?,
        to: column::optional_text(row, Column::rotated_to as usize)?,
        at: column::optional_time(row, Column::rotated_at as usize)?,
    };
    key.change_succession(|succession| *succession = found);
    Ok(key)
}

fn hint(row: &Row<'_>) -> rusqlite::Result<Hint> {
    let hint = row.get_ref(Column::hint as usize)?.as_str()?;
    hint.parse().map_err(|_| invalid(row, Column::hint, "not a hint"))
}

fn settings(row: &Row<'_>) -> rusqlite::Result<Settings> {
    let text = |column: Column| Ok::<_, rusqlite::Error>(row.get_ref(column as usize)?.as_str()?);
    let mut settings = Settings {
        name: name(row)?,
        enabled: row.get(Column::enabled as usize)?,
        scopes: Scopes::parse(text(Column::scopes)?.split_whitespace())
            .map_err(|error| invalid(row, Column::scopes, error))?,
        plan: PlanName::new(text(Column::plan)?),
        requests_per_minute: row.get(Column::requests_per_minute as usize)?,
        max_concurrent: row.get(Column::max_concurrent as usize)?,
        expires_at: column::optional_time(row, Column::expires_at as usize)?,
        require_signature: row.get(Column::require_signature as usize)?,
        report_only: ReportOnly::parse(text(Column::report_only)?.split_whitespace())
            .map_err(|error| invalid(row, Column::report_only, error))?,
        extras: None,
    };
    let found = extras(row)?;
    settings.change_extras(|extras| *extras = found);
    Ok(settings)
}

fn extras(row: &Row<'_>) -> rusqlite::Result<Extras> {
    let quiet: Option<i64> = row.get(Column::revoke_when_quiet as usize)?;
    Ok(Extras {
        allowed_ips: networks(row)?,
        allowed_models: models(row)?,
        metadata: metadata(row)?,
        revoke_when_quiet: quiet.map(|seconds| Duration::from_secs(seconds.cast_unsigned())),
    })
}

fn name(row: &Row<'_>) -> rusqlite::Result<Name> {
    let name = row.get_ref(Column::name as usize)?.as_str()?;
    Name::parse(&blank(name)).map_err(|error| invalid(row, Column::name, error))
}

fn networks(row: &Row<'_>) -> rusqlite::Result<Networks> {
    let Some(networks) = listed::<Vec<String>>(row, Column::allowed_ips)? else {
        return Ok(Networks::default());
    };
    Networks::parse(networks.iter().map(String::as_str))
        .map_err(|error| invalid(row, Column::allowed_ips, error))
}

fn models(row: &Row<'_>) -> rusqlite::Result<AllowedModels> {
    let Some(models) = listed::<Vec<String>>(row, Column::allowed_models)? else {
        return Ok(AllowedModels::default());
    };
    AllowedModels::parse(models.iter().map(|model| blank(model).into_owned()).collect())
        .map_err(|error| invalid(row, Column::allowed_models, error))
}

fn metadata(row: &Row<'_>) -> rusqlite::Result<Metadata> {
    let Some(entries) = listed::<BTreeMap<String, String>>(row, Column::metadata)? else {
        return Ok(Metadata::default());
    };
    let owned = |text: &String| blank(text).into_owned();
    Metadata::parse(entries.iter().map(|(name, value)| (owned(name), owned(value))).collect())
        .map_err(|error| invalid(row, Column::metadata, error))
}

/// Returns what the column lists; `None` where it lists nothing, as it does for most keys.
fn listed<T: DeserializeOwned>(row: &Row<'_>, column: Column) -> rusqlite::Result<Option<T>> {
    match row.get_ref(column as usize)?.as_str()? {
        "[]" | "{}" => Ok(None),
        _ => column::from_json(row, column as usize).map(Some),
    }
}

/// An older mcpd may have taken a key that was cut short: it is blanked out, and nothing else suffers from it.
fn blank(text: &str) -> Cow<'_, str> {
    token::redact(text)
}

fn invalid(
    row: &Row<'_>,
    column: Column,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> rusqlite::Error {
    column::invalid(row, column as usize, error)
}

fn last_use(row: &Row<'_>) -> rusqlite::Result<Option<LastUse>> {
    let ip: Option<IpAddr> = column::optional_text(row, Column::last_used_ip as usize)?;
    let at = column::optional_time(row, Column::last_used_at as usize)?;
    Ok(at.map(|at| LastUse { at, ip }))
}
