//! What is or was unusual.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;
use serde_json::Value;

use crate::admin::alerts::{self, ListQuery};
use crate::alerts::{AlertView, AlertsError};
use crate::dashboard::frame::{Frame, Place};
use crate::dashboard::particulars::{self, Particular};
use crate::dashboard::{Visit, alert_words, assets, names, page, text};
use crate::domain::alert::{Kind, Status};
use crate::domain::id::AlertId;
use crate::domain::token;
use crate::http::ApiError;

/// How many alerts each part of the page has.
const ROWS: u32 = 50;

#[derive(Template)]
#[template(path = "alerts.html")]
struct AlertsPage {
    frame: Frame,
    filter: Filter,
    /// The id and name of the key that is looked at.
    whose: Option<(String, String)>,
    /// Those that stand alike, the most urgent first.
    parts: Vec<Part>,
}

/// Which alerts to show; empty where all are.
#[derive(Clone)]
struct Filter {
    status: String,
    kind: String,
    key: String,
}

struct Part {
    status: Status,
    rows: Vec<Row>,
    next: Option<String>,
}

struct Row {
    alert: AlertView,
    /// The name of the key that it is about, if the key is still there.
    key_name: Option<String>,
    particulars: Vec<Particular>,
}

/// Shows alerts, those that nobody looks after first.
pub(super) async fn show(visit: Visit) -> Result<HttpResponse, ApiError> {
    let filter = Filter::of(&visit);
    let key = names::key_id(&visit.desk, &filter.key).map(|id| id.to_string());
    let mut parts = Vec::new();
    for status in Status::ALL {
        if filter.status.is_empty() || filter.status == status.name() {
            parts.push(visit.alerts(&filter, key.as_deref(), status).await?);
        }
    }
    if parts.is_empty() {
        return Err(ApiError::bad_request("There is no such status of an alert"));
    }
    parts.retain(|part| !part.rows.is_empty());
    let whose = key.map(|id| {
        let name = names::of_key(&visit.desk, &id);
        (id, name)
    });
    let shown = AlertsPage { frame: visit.frame(Place::Alerts), filter, whose, parts };
    page(StatusCode::OK, &shown)
}

/// Notes that somebody looks after an alert.
pub(super) async fn acknowledge(visit: Visit) -> Result<HttpResponse, ApiError> {
    let id: AlertId = visit.parameter.parse().map_err(|_| AlertsError::NoAlert)?;
    let back = Filter::of(&visit).path(None);
    match alerts::acknowledge(&visit.desk, id, None).await {
        Ok(_) => Ok(visit.done(&back, "The alert was acknowledged. It is listed until it is over.")),
        // It was over before the button was pressed: what was wanted needs nobody any more.
        Err(error) if error.status() == StatusCode::CONFLICT => {
            Ok(visit.done(&back, "This alert is over already: there was nothing to acknowledge any more."))
        }
        Err(error) => Err(error),
    }
}

impl Visit {
    async fn alerts(&self, filter: &Filter, key: Option<&str>, status: Status) -> Result<Part, ApiError> {
        if key.is_none() && !filter.key.is_empty() {
            // There is no such key, so nothing is about it.
            return Ok(Part { status, rows: Vec::new(), next: None });
        }
        let said = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        // Where all are shown, each part begins with its first.
        let after = self.form.said("after").filter(|_| !filter.status.is_empty());
        let query = ListQuery {
            limit: Some(ROWS.to_string()),
            after: after.map(ToOwned::to_owned),
            status: Some(status.name().to_owned()),
            key: key.map(ToOwned::to_owned),
            kind: said(&filter.kind),
        };
        let found = alerts::page(&self.desk, &query).await?;
        let last = found.last_id.as_deref().filter(|_| found.has_more);
        let next =
            last.map(|last| Filter { status: status.name().to_owned(), ..filter.clone() }.path(Some(last)));
        let rows = found.data.into_iter().map(|alert| self.alert(alert)).collect();
        Ok(Part { status, rows, next })
    }

    fn alert(&self, alert: AlertView) -> Row {
        let key_name = alert.key.as_deref().and_then(|id| names::known_key(&self.desk, id));
        let known = |id: &str| names::known_key(&self.desk, id);
        let told = alert.details.iter().filter(|(_, value)| !value.is_null());
        let particulars =
            told.map(|(name, value): (&String, &Value)| particulars::tell(name, value, known)).collect();
        Row { alert, key_name, particulars }
    }
}

impl Filter {
    fn of(visit: &Visit) -> Self {
        let text = |name: &str| visit.form.text(name).to_owned();
        // A key may be pasted here by mistake.
        let key = token::redact(&text("key")).into_owned();
        Self { status: text("status"), kind: text("kind"), key }
    }

    /// Returns the way to what is shown, from an alert on.
    fn path(&self, after: Option<&str>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let fields = [("status", &self.status), ("kind", &self.kind), ("key", &self.key)];
        query.extend_pairs(fields.into_iter().filter(|(_, value)| !value.is_empty()));
        query.extend_pairs(after.map(|after| ("after", after)));
        let query = query.finish();
        if query.is_empty() { "/alerts".to_owned() } else { format!("/alerts?{query}") }
    }

    fn is_set(&self) -> bool {
        [&self.status, &self.kind, &self.key].iter().any(|field| !field.is_empty())
    }
}

impl Part {
    const fn title(&self) -> &'static str {
        match self.status {
            Status::Open => "Open",
            Status::Acknowledged => "Acknowledged, and still going on",
            Status::Resolved => "Over",
        }
    }
}
