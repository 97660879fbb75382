//! Pages of a list.

use serde::Serialize;

use crate::http::ApiError;

/// Rows on a page where nothing is said.
const USUAL: u32 = 100;
/// Rows on a page at most.
const MOST: u32 = 1_000;

/// A page of a list.
#[derive(Serialize, schemars::JsonSchema)]
pub(super) struct Page<T> {
    /// Always `list`.
    object: &'static str,
    data: Vec<T>,
    /// Whether more rows follow: ask again with `after` set to `last_id`.
    has_more: bool,
    first_id: Option<String>,
    last_id: Option<String>,
}

/// Returns how many rows a page shall have; fails if that is none or too many.
pub(super) fn limit(asked: Option<&str>) -> Result<u32, ApiError> {
    match asked.map_or(Ok(USUAL), str::parse) {
        Ok(limit @ 1..=MOST) => Ok(limit),
        _ => Err(ApiError::bad_request(format!("the query string: `limit` must be 1 to {MOST}"))),
    }
}

impl<T> Page<T> {
    /// Returns the page of rows that were read with a limit of one more than it may have.
    pub(super) fn new(mut rows: Vec<T>, limit: u32, id: impl Fn(&T) -> String) -> Self {
        let limit = limit as usize;
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let (first_id, last_id) = (rows.first().map(&id), rows.last().map(&id));
        Self { object: "list", data: rows, has_more, first_id, last_id }
    }
}
