//! The first page: how the server does, now and over the last day.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use crate::admin::server::{self, ServerView};
use crate::admin::usage::{self, FiguresView, UsageQuery};
use crate::admin::{Desk, alerts};
use crate::alerts::AlertView;
use crate::dashboard::frame::{Frame, Place};
use crate::dashboard::range::Range;
use crate::dashboard::usage_charts::UsageCharts;
use crate::dashboard::{Visit, assets, names, page, text};
use crate::http::ApiError;

/// What counts as now, in minutes.
const NOW: u32 = 5;
/// How many alerts are shown here.
const ALERTS: u32 = 5;

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    server: ServerView,
    /// Where clients ask.
    address: String,
    now: FiguresView,
    day: FiguresView,
    streams: i64,
    charts: UsageCharts,
    /// Open ones, with the name of the key that each is about.
    alerts: Vec<(AlertView, Option<String>)>,
}

/// Shows how the server does.
pub(super) async fn show(visit: Visit) -> Result<HttpResponse, ApiError> {
    let (desk, zone) = (&visit.desk, visit.zone());
    let range = Range::Day;
    let day = usage::sum(desk, &range.query(zone, desk.now())).await?;
    let open = alerts::ListQuery {
        limit: Some(ALERTS.to_string()),
        status: Some("open".to_owned()),
        ..alerts::ListQuery::default()
    };
    let open = alerts::page(desk, &open).await?.data;
    let shown = OverviewPage {
        frame: visit.frame(Place::Overview),
        server: server::describe(desk).await,
        address: visit.address(),
        now: now(desk).await?,
        charts: UsageCharts::new(&day, range, zone),
        day: day.totals,
        streams: desk.rooms.meter.streams(),
        alerts: open
            .into_iter()
            .map(|alert| {
                let name = alert.key.as_deref().map(|id| names::of_key(desk, id));
                (alert, name)
            })
            .collect(),
    };
    page(StatusCode::OK, &shown)
}

/// Returns what the last minutes were, the one that is not over yet among them.
async fn now(desk: &Desk) -> Result<FiguresView, ApiError> {
    let to = desk.now();
    let from = to.floor(Range::Hour.step()).before(Range::Hour.step() * (NOW - 1));
    let asked = UsageQuery {
        from: Some(from.to_string()),
        to: Some(to.to_string()),
        step: Some("minute".to_owned()),
        ..UsageQuery::default()
    };
    Ok(usage::sum(desk, &asked).await?.totals)
}

impl OverviewPage {
    /// Tells whether nobody but the first start has made a key, and nothing was asked yet.
    fn is_new(&self) -> bool {
        self.day.requests == 0 && self.server.keys.values().sum::<usize>() <= 1
    }

    fn active_keys(&self) -> u64 {
        self.server.keys.get("active").copied().unwrap_or_default() as u64
    }

    /// Tells whether no model server is configured.
    fn is_trial(&self) -> bool {
        self.server.upstreams.iter().all(|upstream| upstream.kind == "echo")
    }
}
