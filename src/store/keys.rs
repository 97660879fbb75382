//! The keys.

mod list;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, OptionalExtension as _, Row, named_params};

pub use list::{By, Direction, Filter, Page, count, list};

use super::column;
use crate::domain::digest::Digest;
use crate::domain::id::KeyId;
use crate::domain::key::{Key, LastUse, Name, Settings};
use crate::domain::metadata::Metadata;
use crate::domain::models::AllowedModels;
use crate::domain::network::Networks;
use crate::domain::report_only::ReportOnly;
use crate::domain::scope::Scopes;
use crate::domain::time::Timestamp;
use crate::domain::token::{self, Hint};

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
            ":rotated_from": key.rotated_from,
            ":allowance": key.allowance,
        })?;
    update(connection, key)
}

/// Keeps what may change of a key.
pub fn update(connection: &Connection, key: &Key) -> rusqlite::Result<()> {
    let settings = &key.settings;
    let allowed_ips: Vec<String> = settings.allowed_ips.as_slice().iter().map(ToString::to_string).collect();
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
            ":plan": settings.plan,
            ":requests_per_minute": settings.requests_per_minute,
            ":max_concurrent": settings.max_concurrent,
            ":expires_at": settings.expires_at.map(Timestamp::as_millis),
            ":allowed_ips": column::to_json(&allowed_ips),
            ":allowed_models": column::to_json(settings.allowed_models.as_slice()),
            ":metadata": column::to_json(settings.metadata.entries()),
            ":require_signature": settings.require_signature,
            ":report_only": settings.report_only.names().join(" "),
            ":revoke_when_quiet": settings.revoke_when_quiet.map(|quiet| column::from_count(quiet.as_secs())),
            ":revoked_at": key.revoked_at.map(Timestamp::as_millis),
            ":rotated_to": key.rotated_to,
            ":rotated_at": key.rotated_at.map(Timestamp::as_millis),
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
        .prepare_cached("SELECT * FROM keys WHERE id = ?1")?
        .query_row([id], |row| Ok((key(row)?, last_use(row)?)))
        .optional()
}

/// Returns the key that another one took over from or handed over to, as its own record tells; the other may be
/// deleted by now.
pub fn beside(connection: &Connection, id: KeyId) -> rusqlite::Result<Option<(Key, Option<LastUse>)>> {
    connection
        .prepare_cached(
            "SELECT * FROM keys WHERE rotated_from = ?1 OR rotated_to = ?1 ORDER BY rotated_from = ?1 DESC",
        )?
        .query_row([id], |row| Ok((key(row)?, last_use(row)?)))
        .optional()
}

/// Returns the keys that are to be revoked once they are quiet.
pub fn to_revoke(connection: &Connection) -> rusqlite::Result<Vec<(Key, Option<LastUse>)>> {
    connection
        .prepare_cached("SELECT * FROM keys WHERE revoke_when_quiet IS NOT NULL AND revoked_at IS NULL")?
        .query_map([], |row| Ok((key(row)?, last_use(row)?)))?
        .collect()
}

/// Hands every key to the caller, one at a time: there may be a million.
pub fn for_each(connection: &Connection, mut with: impl FnMut(Key, Digest)) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("SELECT * FROM keys")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        with(key(row)?, row.get("digest")?);
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

fn key(row: &Row<'_>) -> rusqlite::Result<Key> {
    Ok(Key {
        id: column::text(row, "id")?,
        hint: hint(row)?,
        allowance: column::text(row, "allowance")?,
        settings: settings(row)?,
        created_at: column::time(row, "created_at")?,
        revoked_at: column::optional_time(row, "revoked_at")?,
        rotated_from: column::optional_text(row, "rotated_from")?,
        rotated_to: column::optional_text(row, "rotated_to")?,
        rotated_at: column::optional_time(row, "rotated_at")?,
    })
}

fn hint(row: &Row<'_>) -> rusqlite::Result<Hint> {
    let text: String = row.get("hint")?;
    text.parse().map_err(|_| column::invalid(row, "hint", "not a hint"))
}

fn settings(row: &Row<'_>) -> rusqlite::Result<Settings> {
    let scopes: String = row.get("scopes")?;
    let report_only: String = row.get("report_only")?;
    let networks: Vec<String> = column::from_json(row, "allowed_ips")?;
    let models: Vec<String> = column::from_json(row, "allowed_models")?;
    let metadata: BTreeMap<String, String> = column::from_json(row, "metadata")?;
    let name: String = row.get("name")?;
    // An older mcpd may have taken a key that was cut short: it is blanked out, and nothing else suffers from it.
    let blank = |text: String| token::redact(&text).into_owned();
    let models = models.into_iter().map(blank).collect();
    let metadata = metadata.into_iter().map(|(name, value)| (blank(name), blank(value))).collect();
    Ok(Settings {
        name: Name::parse(&blank(name)).map_err(|error| column::invalid(row, "name", error))?,
        enabled: row.get("enabled")?,
        scopes: Scopes::parse(scopes.split_whitespace())
            .map_err(|error| column::invalid(row, "scopes", error))?,
        plan: row.get("plan")?,
        requests_per_minute: row.get("requests_per_minute")?,
        max_concurrent: row.get("max_concurrent")?,
        expires_at: column::optional_time(row, "expires_at")?,
        allowed_ips: Networks::parse(networks.iter().map(String::as_str))
            .map_err(|error| column::invalid(row, "allowed_ips", error))?,
        allowed_models: AllowedModels::parse(models)
            .map_err(|error| column::invalid(row, "allowed_models", error))?,
        metadata: Metadata::parse(metadata).map_err(|error| column::invalid(row, "metadata", error))?,
        require_signature: row.get("require_signature")?,
        report_only: ReportOnly::parse(report_only.split_whitespace())
            .map_err(|error| column::invalid(row, "report_only", error))?,
        revoke_when_quiet: row
            .get::<_, Option<i64>>("revoke_when_quiet")?
            .map(|seconds| Duration::from_secs(seconds.cast_unsigned())),
    })
}

fn last_use(row: &Row<'_>) -> rusqlite::Result<Option<LastUse>> {
    let ip: Option<IpAddr> = column::optional_text(row, "last_used_ip")?;
    Ok(column::optional_time(row, "last_used_at")?.map(|at| LastUse { at, ip }))
}
