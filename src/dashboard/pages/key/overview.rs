//! A key at a glance: how it does, what it may do, what was unusual about it.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::{Head, Other, Tab};
use crate::admin::keys;
use crate::admin::usage::{self, FiguresView, UsageQuery};
use crate::alerts::AlertView;
use crate::dashboard::chart::Chart;
use crate::dashboard::frame::{Frame, Place};
use crate::dashboard::range::Range;
use crate::dashboard::trouble::label_of;
use crate::dashboard::usage_charts::UsageCharts;
use crate::dashboard::{Visit, assets, page, text};
use crate::http::ApiError;

/// How many alerts are shown here.
const ALERTS: u32 = 5;

#[derive(Template)]
#[template(path = "key.html")]
struct KeyPage {
    frame: Frame,
    head: Head,
    /// Where clients ask.
    address: String,
    day: FiguresView,
    requests: Chart,
    /// Whether the limit in force is the key's own, not its plan's.
    has_own_limit: bool,
    before: Option<Other>,
    after: Option<Other>,
    /// The newest first.
    alerts: Vec<AlertView>,
}

/// Shows a key.
pub(in crate::dashboard::pages) async fn show(visit: Visit) -> Result<HttpResponse, ApiError> {
    let (desk, zone, range) = (&visit.desk, visit.zone(), Range::Day);
    let head = Head::of(&visit, Tab::Overview).await?;
    let id = Some(head.key.id.clone());
    let day = usage::sum(desk, &UsageQuery { key: id.clone(), ..range.query(zone, desk.now()) }).await?;
    let asked =
        crate::admin::alerts::ListQuery { limit: Some(ALERTS.to_string()), key: id, ..Default::default() };
    let alerts = crate::admin::alerts::page(desk, &asked).await?.data;
    let other = |id: &Option<String>| id.as_deref().map(|id| Other::of(&visit, id));
    let shown = KeyPage {
        frame: visit.frame(Place::Keys),
        address: visit.address(),
        requests: UsageCharts::new(&day, range, zone).requests,
        day: day.totals,
        has_own_limit: keys::own_limit(desk, visit.key_id()?).is_some(),
        before: other(&head.key.rotated_from),
        after: other(&head.key.rotated_to),
        alerts,
        head,
    };
    page(StatusCode::OK, &shown)
}
