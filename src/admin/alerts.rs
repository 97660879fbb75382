//! What is or was unusual.

use std::str::FromStr;

use actix_web::HttpResponse;
use serde::Deserialize;

use super::keys::Nothing;
use super::{Call, Desk, LIST};
use crate::alerts::{AlertView, AlertsError};
use crate::domain::id::AlertId;
use crate::http::ApiError;
use crate::http::list::Page;
use crate::keys::Idempotency;
use crate::store::alerts::Filter;

/// Which alerts to list.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListQuery {
    pub(crate) limit: Option<String>,
    pub(crate) after: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) kind: Option<String>,
}

pub(super) async fn answer_page(call: Call) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(page(&call.desk, &call.query()?).await?))
}

pub(super) async fn answer_acknowledge(call: Call) -> Result<HttpResponse, ApiError> {
    let id = call.parameter.parse().map_err(|_| AlertsError::NoAlert)?;
    let once = call.idempotency()?;
    call.json::<Nothing>()?;
    Ok(HttpResponse::Ok().json(acknowledge(&call.desk, id, once).await?))
}

/// Returns alerts, the newest first.
pub(crate) async fn page(desk: &Desk, query: &ListQuery) -> Result<Page<AlertView>, ApiError> {
    let limit = LIST.check(query.limit.as_deref())?;
    let filter = Filter {
        after: parse("after", query.after.as_deref())?,
        status: parse("status", query.status.as_deref())?,
        key: parse("key", query.key.as_deref())?,
        kind: parse("kind", query.kind.as_deref())?,
        limit: limit + 1,
    };
    desk.flush().await;
    let found = desk.block(move |rooms| rooms.alerts.list(&filter)).await?;
    let views = found.iter().map(AlertView::from).collect();
    Ok(Page::new(views, limit, |view: &AlertView| view.id.clone()))
}

/// Notes that somebody looks after an alert.
pub(crate) async fn acknowledge(
    desk: &Desk,
    id: AlertId,
    once: Option<Idempotency>,
) -> Result<AlertView, ApiError> {
    let order = desk.order(once);
    // What is over by now is not to be acknowledged.
    desk.flush().await;
    let alert = desk.block(move |rooms| rooms.alerts.acknowledge(id, order)).await?;
    Ok(AlertView::from(&alert))
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
