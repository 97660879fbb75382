//! What a key was used for: how much, for what, by whom.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::{Head, Tab};
use crate::admin::advice::{self, AddressView};
use crate::admin::usage::{self, FiguresView, UsageQuery};
use crate::dashboard::frame::{Frame, Place};
use crate::dashboard::pages::usage::{Part, parts};
use crate::dashboard::range::Range;
use crate::dashboard::usage_charts::UsageCharts;
use crate::dashboard::{Visit, assets, page, text};
use crate::http::ApiError;

#[derive(Template)]
#[template(path = "key_usage.html")]
struct KeyUsagePage {
    frame: Frame,
    head: Head,
    range: Range,
    totals: FiguresView,
    charts: UsageCharts,
    /// What it is parted by, and the parts, the busiest first.
    tables: [(&'static str, Vec<Part>); 3],
    /// Of the last 30 days, whatever the range; the busiest first.
    addresses: Vec<AddressView>,
    more_addresses: usize,
}

/// Shows what a key was used for.
pub(in crate::dashboard::pages) async fn show(visit: Visit) -> Result<HttpResponse, ApiError> {
    let (desk, zone) = (&visit.desk, visit.zone());
    let range = Range::named(visit.form.text("range"));
    let head = Head::of(&visit, Tab::Usage).await?;
    let asked = UsageQuery { key: Some(head.key.id.clone()), ..range.query(zone, desk.now()) };
    let all = usage::sum(desk, &asked).await?;
    let grouped = UsageQuery { group_by: Some("endpoint,status,model".to_owned()), ..asked };
    let grouped = usage::sum(desk, &grouped).await?;
    let table = |label, by| (label, parts(&grouped.data, by));
    let used = advice::of(desk, visit.key_id()?).await?.used;
    let shown = KeyUsagePage {
        frame: visit.frame(Place::Keys),
        head,
        range,
        charts: UsageCharts::new(&all, range, zone),
        totals: all.totals,
        tables: [table("Endpoint", "endpoint"), table("Model", "model"), table("Status", "status")],
        addresses: used.addresses,
        more_addresses: used.more_addresses,
    };
    page(StatusCode::OK, &shown)
}
