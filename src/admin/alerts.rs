//! What is or was unusual.

use std::str::FromStr;

use actix_web::HttpResponse;
use serde::Deserialize;

use super::keys::Nothing;
use super::{Call, LIST};
use crate::alerts::AlertView;
use crate::http::ApiError;
use crate::http::list::Page;
use crate::store::alerts::Filter;

/// Which alerts to list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    limit: Option<String>,
    after: Option<String>,
    status: Option<String>,
    key: Option<String>,
    kind: Option<String>,
}

/// Lists alerts, the newest first.
pub(super) async fn list(call: Call) -> Result<HttpResponse, ApiError> {
    let query: ListQuery = call.query()?;
    let limit = LIST.check(query.limit.as_deref())?;
    let filter = Filter {
        after: parse("after", query.after.as_deref())?,
        status: parse("status", query.status.as_deref())?,
        key: parse("key", query.key.as_deref())?,
        kind: parse("kind", query.kind.as_deref())?,
        limit: limit + 1,
    };
    call.flush().await;
    let found = call.block(move |rooms| rooms.alerts.list(&filter)).await?;
    let views = found.iter().map(AlertView::from).collect();
    Ok(HttpResponse::Ok().json(Page::new(views, limit, |view: &AlertView| view.id.clone())))
}

/// Notes that somebody looks after an alert.
pub(super) async fn acknowledge(call: Call) -> Result<HttpResponse, ApiError> {
    let id = call.parameter.parse().map_err(|_| crate::alerts::AlertsError::NoAlert)?;
    let order = call.order()?;
    call.json::<Nothing>()?;
    // What is over by now is not to be acknowledged.
    call.flush().await;
    let alert = call.block(move |rooms| rooms.alerts.acknowledge(id, order)).await?;
    Ok(HttpResponse::Ok().json(AlertView::from(&alert)))
}

/// Returns what a parameter of the query string stands for.
pub(super) fn parse<T>(name: &str, text: Option<&str>) -> Result<Option<T>, ApiError>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    let parsed = text.map(str::parse).transpose();
    parsed.map_err(|error| ApiError::bad_request(format!("the query string: `{name}` {error}")))
}
