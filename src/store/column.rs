//! How values of the domain stand in columns.

use std::fmt::Display;
use std::str::FromStr;

use rusqlite::types::{ToSqlOutput, Type};
use rusqlite::{Error, Row, RowIndex, ToSql};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::id::{AlertId, ContextId, FileId, KeyId, RuleId};
use crate::domain::time::Timestamp;

macro_rules! stands_as_text {
    ($($name:ty),*) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(self.to_string().into())
            }
        }
    )*};
}

stands_as_text!(KeyId, ContextId, FileId, AlertId, RuleId);

/// Returns the value whose text stands in the column.
pub(super) fn text<T>(row: &Row<'_>, column: impl RowIndex + Copy) -> rusqlite::Result<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text = row.get_ref(column)?.as_str().map_err(|error| invalid(row, column, error))?;
    text.parse().map_err(|error| invalid(row, column, error))
}

/// Returns the value whose text stands in the column, if any does.
pub(super) fn optional_text<T>(row: &Row<'_>, column: impl RowIndex + Copy) -> rusqlite::Result<Option<T>>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text = row.get_ref(column)?.as_str_or_null().map_err(|error| invalid(row, column, error))?;
    text.map(|text| text.parse().map_err(|error| invalid(row, column, error))).transpose()
}

/// Returns the point in time in the column.
pub(super) fn time(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_millis)
}

/// Returns the point in time in the column, if there is one.
pub(super) fn optional_time(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<Option<Timestamp>> {
    row.get::<_, Option<i64>>(column).map(|millis| millis.map(Timestamp::from_millis))
}

/// Returns what a column written by this server but unreadable to it is reported as.
pub(super) fn invalid(
    row: &Row<'_>,
    column: impl RowIndex + Copy,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    let index = column.idx(row.as_ref()).unwrap_or_default();
    Error::FromSqlConversionFailure(index, Type::Text, error.into())
}

/// Returns the value as text, for a column that may hold none.
pub(super) fn to_text(value: Option<impl Display>) -> Option<String> {
    value.map(|value| value.to_string())
}

/// Returns the value as JSON.
pub(super) fn to_json(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).expect("strings serialise")
}

/// Returns the value whose JSON stands in the column.
pub(super) fn from_json<T: DeserializeOwned>(
    row: &Row<'_>,
    column: impl RowIndex + Copy,
) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str().map_err(|error| invalid(row, column, error))?;
    serde_json::from_str(text).map_err(|error| invalid(row, column, error))
}

/// Returns the number in the column, which counts something.
pub(super) fn count(row: &Row<'_>, column: &str) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column)?.try_into().map_err(|error| invalid(row, column, error))
}

/// Returns the count as SQLite takes it, whose integers are signed; one past 2^63 would take longer than the
/// machine lasts.
pub(super) fn from_count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
