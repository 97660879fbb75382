//! Reading a row of the audit log that somebody else may have written: no column keeps the others from being read.

use rusqlite::types::{FromSql, ValueRef};
use rusqlite::{Result, Row};

/// A row's columns, and whether all that were read are such as the server writes them.
pub(super) struct Reading<'a> {
    row: &'a Row<'a>,
    pub(super) is_sound: bool,
}

impl<'a> Reading<'a> {
    pub(super) const fn of(row: &'a Row<'a>) -> Self {
        Self { row, is_sound: true }
    }

    /// Returns the value in the column; nothing of its kind where there is another one.
    pub(super) fn value<T: FromSql + Default>(&mut self, column: &str) -> Result<T> {
        let value = self.row.get_ref(column)?;
        Ok(T::column_result(value).unwrap_or_else(|_| self.unsound(T::default())))
    }

    /// Returns the text in the column, as far as it is one.
    pub(super) fn text(&mut self, column: &str) -> Result<String> {
        Ok(self.optional_text(column)?.unwrap_or_else(|| self.unsound(String::new())))
    }

    /// Returns the text in the column, if any, as far as it is one.
    pub(super) fn optional_text(&mut self, column: &str) -> Result<Option<String>> {
        Ok(match self.row.get_ref(column)? {
            ValueRef::Null => None,
            ValueRef::Text(bytes) => Some(match std::str::from_utf8(bytes) {
                Ok(text) => text.to_owned(),
                Err(_) => self.unsound(String::from_utf8_lossy(bytes).into_owned()),
            }),
            ValueRef::Blob(bytes) => Some(self.unsound(String::from_utf8_lossy(bytes).into_owned())),
            ValueRef::Integer(_) | ValueRef::Real(_) => Some(self.unsound(String::new())),
        })
    }

    fn unsound<T>(&mut self, instead: T) -> T {
        self.is_sound = false;
        instead
    }
}
