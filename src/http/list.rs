//! Pages of a list.

use serde::Serialize;

use super::ApiError;

/// How many rows a page of a kind of list has.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Where nothing is said.
    pub usual: u32,
    /// At most.
    pub most: u32,
}

/// A page of a list.
#[derive(Serialize, schemars::JsonSchema)]
pub struct Page<T> {
    /// Always `list`.
    object: &'static str,
    /// The rows.
    pub data: Vec<T>,
    /// Whether more rows follow: ask again with `after` set to `last_id`.
    pub has_more: bool,
    first_id: Option<String>,
    /// The id of the last row.
    pub last_id: Option<String>,
}

impl Limits {
    /// Returns how many rows a page shall have; fails if that is none or too many.
    pub fn check(self, asked: Option<&str>) -> Result<u32, ApiError> {
        match asked.map_or(Ok(self.usual), str::parse) {
            Ok(limit) if (1..=self.most).contains(&limit) => Ok(limit),
            _ => Err(ApiError::bad_request(format!("the query string: `limit` must be 1 to {}", self.most))),
        }
    }
}

impl<T> Page<T> {
    /// Returns the page of rows that were read with a limit of one more than it may have.
    pub fn new(mut rows: Vec<T>, limit: u32, id: impl Fn(&T) -> String) -> Self {
        let limit = limit as usize;
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        Self::cut(rows, has_more, id)
    }

    /// Returns the page of rows that is known to be the last one or not.
    pub fn cut(rows: Vec<T>, has_more: bool, id: impl Fn(&T) -> String) -> Self {
        let (first_id, last_id) = (rows.first().map(&id), rows.last().map(&id));
        Self { object: "list", data: rows, has_more, first_id, last_id }
    }
}
