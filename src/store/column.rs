//! How values of the domain stand in columns.

use std::fmt::Display;
use std::str::FromStr;

use rusqlite::types::Type;
use rusqlite::{Error, Row};

use crate::domain::time::Timestamp;

/// Returns the value whose text stands in the column.
pub(super) fn text<T>(row: &Row<'_>, column: &str) -> rusqlite::Result<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text: String = row.get(column)?;
    text.parse().map_err(|error| invalid(row, column, error))
}

/// Returns the value whose text stands in the column, if any does.
pub(super) fn optional_text<T>(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<T>>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text: Option<String> = row.get(column)?;
    text.map(|text| text.parse().map_err(|error| invalid(row, column, error))).transpose()
}

/// Returns the point in time in the column.
pub(super) fn time(row: &Row<'_>, column: &str) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_millis)
}

/// Returns the point in time in the column, if there is one.
pub(super) fn optional_time(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Timestamp>> {
    row.get::<_, Option<i64>>(column).map(|millis| millis.map(Timestamp::from_millis))
}

/// Returns what a column written by this server but unreadable to it is reported as.
pub(super) fn invalid(
    row: &Row<'_>,
    column: &str,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    let index = row.as_ref().column_index(column).unwrap_or_default();
    Error::FromSqlConversionFailure(index, Type::Text, error.into())
}

/// Returns the value as text, for a column that may hold none.
pub(super) fn to_text(value: Option<impl Display>) -> Option<String> {
    value.map(|value| value.to_string())
}
