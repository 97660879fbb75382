//! What clients have stored: listed and deleted by the operator, who needs no key for it.

pub(crate) mod contexts;
pub(crate) mod files;

use std::str::FromStr;

use serde::Deserialize;

use super::LIST;
use crate::http::ApiError;
use crate::store::page::{Rows, Sort};

/// Which rows to list.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListQuery {
    pub(crate) limit: Option<String>,
    pub(crate) after: Option<String>,
}

impl ListQuery {
    /// Returns how many rows the page shall have, and what to ask the store for: one more.
    fn rows<T: FromStr>(&self) -> Result<(u32, Rows<T>), ApiError> {
        let limit = LIST.check(self.limit.as_deref())?;
        let after = self.after.as_deref().map(str::parse).transpose();
        let after =
            after.map_err(|_| ApiError::bad_request("the query string: `after` must be the id of a row"))?;
        Ok((limit, Rows { after, sort: Sort::Newest, limit: limit + 1 }))
    }
}
