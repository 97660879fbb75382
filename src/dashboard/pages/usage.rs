//! What was used, by all keys together or by one.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use crate::admin::usage::{self, FiguresView, RowView, UsageQuery};
use crate::admin::usage_verify::{self, VerificationView};
use crate::dashboard::frame::{Frame, Place};
use crate::dashboard::range::Range;
use crate::dashboard::usage_charts::UsageCharts;
use crate::dashboard::{Visit, assets, names, page, text};
use crate::http::ApiError;

/// As many parts are told, the busiest.
const MOST_PARTS: usize = 100;

/// What usage is parted by: the parameter and the tab.
const PARTS: [(&str, &str); 4] =
    [("endpoint", "Endpoint"), ("status", "Status"), ("model", "Model"), ("key", "Key")];

#[derive(Template)]
#[template(path = "usage.html")]
struct UsagePage {
    frame: Frame,
    range: Range,
    by: &'static str,
    /// The one key that is looked at: its id and name.
    key: Option<(String, String)>,
    totals: FiguresView,
    charts: UsageCharts,
    parts: Vec<Part>,
    /// Whether they are too many to be told.
    too_many: bool,
    /// How many there are beyond those that are told.
    more: usize,
}

/// A group's share of all.
pub(in crate::dashboard) struct Part {
    pub(in crate::dashboard) name: String,
    /// Where there is more of it to be seen.
    path: Option<String>,
    pub(in crate::dashboard) requests: u64,
    pub(in crate::dashboard) errors: u64,
    pub(in crate::dashboard) prompt_tokens: u64,
    pub(in crate::dashboard) completion_tokens: u64,
}

#[derive(Template)]
#[template(path = "usage_verified.html")]
struct VerifiedPage {
    frame: Frame,
    found: VerificationView,
}

/// Shows what was used.
pub(super) async fn show(visit: Visit) -> Result<HttpResponse, ApiError> {
    let (desk, zone) = (&visit.desk, visit.zone());
    let range = Range::named(visit.form.text("range"));
    let by =
        PARTS.iter().find(|(name, _)| *name == visit.form.text("by")).map_or("endpoint", |(name, _)| *name);
    let key = visit.form.said("key").map(ToOwned::to_owned);
    let asked = UsageQuery { key: key.clone(), ..range.query(zone, desk.now()) };
    let all = usage::sum(desk, &asked).await?;
    let grouped = usage::sum(desk, &UsageQuery { group_by: Some(by.to_owned()), ..asked }).await;
    // Very many keys in very many steps are more than one answer has.
    let too_many = grouped.as_ref().is_err_and(|error| error.status() == StatusCode::BAD_REQUEST);
    let mut parts = if too_many { Vec::new() } else { parts(&grouped?.data, by) };
    let more = parts.len().saturating_sub(MOST_PARTS);
    parts.truncate(MOST_PARTS);
    if by == "key" {
        for part in parts.iter_mut().filter(|part| part.name.starts_with("key_")) {
            part.path = Some(format!("/keys/{}/usage?range={}", part.name, range.name()));
            part.name = names::of_key(desk, &part.name);
        }
    }
    let shown = UsagePage {
        frame: visit.frame(Place::Usage),
        charts: UsageCharts::new(&all, range, zone),
        totals: all.totals,
        parts,
        too_many,
        more,
        key: key.map(|id| {
            let name = names::of_key(desk, &id);
            (id, name)
        }),
        range,
        by,
    };
    page(StatusCode::OK, &shown)
}

/// Proves that usage adds up.
pub(super) async fn verify(visit: Visit) -> Result<HttpResponse, ApiError> {
    let found = usage_verify::check(&visit.desk).await?;
    page(StatusCode::OK, &VerifiedPage { frame: visit.frame(Place::Usage), found })
}

/// Sums the rows of each group, whatever their time; the busiest first.
pub(in crate::dashboard) fn parts(rows: &[RowView], by: &str) -> Vec<Part> {
    let mut sums = BTreeMap::<String, Part>::new();
    for row in rows {
        let name = match by {
            "endpoint" => row.endpoint.clone().unwrap_or_default(),
            "key" => row.key.clone().flatten().unwrap_or_else(|| "no known key".to_owned()),
            "status" => row.status.map(|status| status.to_string()).unwrap_or_default(),
            _ => row.model.clone().flatten().unwrap_or_else(|| "no model".to_owned()),
        };
        let blank = || Part {
            name: name.clone(),
            path: None,
            requests: 0,
            errors: 0,
            prompt_tokens: 0,
            completion_tokens: 0,
        };
        let part = sums.entry(name.clone()).or_insert_with(blank);
        part.requests += row.figures.requests;
        part.errors += row.figures.errors;
        part.prompt_tokens += row.figures.prompt_tokens;
        part.completion_tokens += row.figures.completion_tokens;
    }
    let mut parts: Vec<_> = sums.into_values().collect();
    parts.sort_by_key(|part| std::cmp::Reverse(part.requests));
    parts
}

impl Part {
    pub(in crate::dashboard) fn error_rate(&self) -> f64 {
        self.errors as f64 / self.requests.max(1) as f64
    }
}

impl UsagePage {
    /// Returns the way to this page with another range or other parts.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "templates hand over references")]
    fn path(&self, range: &Range, by: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("range", range.name()).append_pair("by", by);
        if let Some((id, _)) = &self.key {
            query.append_pair("key", id);
        }
        format!("/usage?{}", query.finish())
    }
}
