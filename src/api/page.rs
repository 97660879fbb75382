//! What a list's query string asks for.

use std::str::FromStr;

use crate::http::ApiError;
use crate::http::list::Limits;
use crate::store::page::{Rows, Sort};

/// Returns the rows that are asked for, in OpenAI's words: the newest rows first where nothing is said.
pub(super) fn parse<T: FromStr>(
    limits: Limits,
    limit: Option<&str>,
    after: Option<&str>,
    order: Option<&str>,
) -> Result<Rows<T>, ApiError> {
    let after = after.map(|id| {
        id.parse().map_err(|_| ApiError::bad_request("the query string: `after` must be the id of a row"))
    });
    let sort = match order {
        None | Some("desc") => Sort::Newest,
        Some("asc") => Sort::Oldest,
        Some(_) => return Err(ApiError::bad_request("the query string: `order` must be `asc` or `desc`")),
    };
    Ok(Rows { after: after.transpose()?, sort, limit: limits.check(limit)? })
}
