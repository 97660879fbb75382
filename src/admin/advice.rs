//! Advice: tighter settings for a key that would still have let through all that it was used for.

use std::time::Duration;

use actix_web::HttpResponse;
use rusqlite::Connection;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Call, Desk};
use crate::domain::advice::{Advice, Change, Given, History, Suggestion, advise};
use crate::domain::id::KeyId;
use crate::domain::key::{Extras, Key, Settings};
use crate::domain::offset::Offset;
use crate::domain::time::Timestamp;
use crate::http::ApiError;
use crate::keys::KeysError;
use crate::store;
use crate::store::reports::Report;
use crate::store::usage::{Group, Query, Step};

/// How many days advice looks back, today included.
const DAYS: u64 = 30;
/// A younger key may not have shown yet what it needs.
const YOUNG: Duration = Duration::from_secs(7 * 86_400);
/// How many addresses are listed.
const MOST: usize = 200;

/// What a key was given, what it used of it, and what to change.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Advice")]
pub(crate) struct AdviceView {
    /// Always `advice`.
    pub(crate) object: &'static str,
    pub(crate) key: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) given: GivenView,
    pub(crate) used: UsedView,
    pub(crate) suggestions: Vec<SuggestionView>,
    /// Why there is no suggestion for a setting, and what else to know.
    pub(crate) notes: Vec<String>,
    /// All suggestions as the body of a PATCH of the key.
    pub(crate) patch: Map<String, Value>,
    /// What settings that are only tried out would have refused.
    pub(crate) report_only: Vec<ReportView>,
}

#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Given")]
pub(crate) struct GivenView {
    pub(crate) scopes: Vec<&'static str>,
    pub(crate) allowed_ips: Vec<String>,
    pub(crate) allowed_models: Vec<String>,
    /// The limit in force.
    pub(crate) requests_per_minute: u32,
    pub(crate) max_concurrent: Option<u32>,
}

/// Requests that were let through.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Used")]
pub(crate) struct UsedView {
    pub(crate) requests: u64,
    pub(crate) scopes: Vec<&'static str>,
    /// The busiest first.
    pub(crate) addresses: Vec<AddressView>,
    /// How many more there are.
    pub(crate) more_addresses: usize,
    /// The busiest first.
    pub(crate) models: Vec<ModelView>,
    /// The most in any 60 seconds, of all keys of its line together.
    pub(crate) peak_requests_per_minute: u32,
    /// The most in flight, of all keys of its line together.
    pub(crate) peak_concurrent: u32,
}

#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "UsedAddress")]
pub(crate) struct AddressView {
    pub(crate) ip: String,
    pub(crate) requests: u64,
    pub(crate) last_seen_at: String,
}

#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "UsedModel")]
pub(crate) struct ModelView {
    pub(crate) model: String,
    pub(crate) requests: u64,
}

#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Suggestion")]
pub(crate) struct SuggestionView {
    pub(crate) setting: &'static str,
    /// What it is now.
    pub(crate) from: Value,
    /// What it could be.
    pub(crate) to: Value,
    pub(crate) reason: String,
}

#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "ReportOnlyFinding")]
pub(crate) struct ReportView {
    pub(crate) setting: String,
    /// The address or the scope; empty for those beyond the ones that are told apart.
    pub(crate) value: String,
    pub(crate) requests: u64,
    pub(crate) last_at: String,
}

pub(super) async fn answer(call: Call) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(of(&call.desk, call.key_id()?).await?))
}

/// Tells how a key could be tightened.
pub(crate) async fn of(desk: &Desk, id: KeyId) -> Result<AdviceView, ApiError> {
    // What is not written yet could be just what a tighter setting would refuse.
    if !desk.rooms.keeper.flush().await {
        return Err(ApiError::StorageUnavailable);
    }
    let now = desk.now();
    let days = Duration::from_secs(86_400);
    let from = now.floor(days).before(days * u32::try_from(DAYS - 1).expect("a month"));
    let found = desk.block(move |rooms| rooms.store.read(|db| Past::load(db, id, from, now))).await?;
    let past = found.ok_or(KeysError::NotFound)?;
    let plans = desk.rooms.keys.plans();
    let settings = &past.key.settings;
    let limit = plans.limit_or_default(&settings.plan, settings.requests_per_minute).get();
    Ok(past.view(limit, from, now))
}

/// What is known of a key's past.
struct Past {
    key: Key,
    history: History,
    reports: Vec<Report>,
}

impl Past {
    fn load(db: &Connection, id: KeyId, from: Timestamp, now: Timestamp) -> rusqlite::Result<Option<Self>> {
        let Some((key, _)) = store::keys::find(db, id)? else { return Ok(None) };
        let mut history = History::default();
        for sighted in store::sightings::of(db, id, None, from.day())? {
            history.note_requests(sighted.admitted, sighted.scopes, sighted.client, sighted.last_at);
        }
        for profile in store::profiles::of(db, id, from.day(), now.day() + 1)? {
            history.note_peaks(profile.peak_rate, profile.peak_concurrent);
        }
        note_models(&mut history, db, id, from, now)?;
        Ok(Some(Self { key, history, reports: store::reports::of(db, id, from)? }))
    }

    fn view(self, limit: u32, from: Timestamp, now: Timestamp) -> AdviceView {
        let settings = &self.key.settings;
        let given = Given { settings, requests_per_minute: limit };
        let Advice { suggestions, mut notes } = advise(given, &self.history);
        let is_young = now.since(self.key.created_at) < YOUNG;
        if is_young && !suggestions.is_empty() {
            let made = self.key.created_at;
            notes.push(format!("The key was made at {made}: what it needs may not have shown yet."));
        }
        let to =
            |suggestion: &Suggestion| (suggestion.change.setting().to_owned(), value_of(&suggestion.change));
        AdviceView {
            object: "advice",
            key: self.key.id.to_string(),
            from: from.to_string(),
            to: now.to_string(),
            patch: suggestions.iter().map(to).collect(),
            suggestions: suggestions.into_iter().map(|one| SuggestionView::new(one, given)).collect(),
            notes,
            given: GivenView::new(given),
            used: UsedView::new(&self.history),
            report_only: self.reports.into_iter().map(ReportView::new).collect(),
        }
    }
}

/// Notes which models a key asked for, from its usage by UTC day.
fn note_models(
    history: &mut History,
    db: &Connection,
    id: KeyId,
    from: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let step = Step::Day;
    let (to, groups) =
        (now.floor(step.length()).after(step.length()), [Group::Endpoint, Group::Status, Group::Model]);
    let query = Query { key: Some(id), from, to, step, offset: Offset::UTC, groups: groups.into() };
    for sum in store::usage::sum(db, &query)?.rows {
        history.note_models(&sum.endpoint, sum.status, &sum.model, sum.figures.requests);
    }
    Ok(())
}

impl GivenView {
    fn new(Given { settings, requests_per_minute }: Given<'_>) -> Self {
        Self {
            scopes: settings.scopes.names(),
            allowed_ips: texts(settings.extras().allowed_ips.as_slice()),
            allowed_models: settings.extras().allowed_models.as_slice().to_vec(),
            requests_per_minute,
            max_concurrent: settings.max_concurrent.map(Into::into),
        }
    }
}

impl UsedView {
    fn new(history: &History) -> Self {
        let mut addresses: Vec<_> = history.addresses.iter().collect();
        addresses.sort_by_key(|(_, address)| std::cmp::Reverse((address.requests, address.last_seen_at)));
        let mut models: Vec<_> = history.models.iter().collect();
        models.sort_by_key(|(_, requests)| std::cmp::Reverse(**requests));
        let address = |(ip, address): (&std::net::IpAddr, &crate::domain::advice::Address)| AddressView {
            ip: ip.to_string(),
            requests: address.requests,
            last_seen_at: address.last_seen_at.to_string(),
        };
        let model =
            |(model, requests): (&String, &u64)| ModelView { model: model.clone(), requests: *requests };
        Self {
            requests: history.requests,
            scopes: history.scopes.names(),
            more_addresses: addresses.len().saturating_sub(MOST),
            addresses: addresses.into_iter().take(MOST).map(address).collect(),
            models: models.into_iter().map(model).collect(),
            peak_requests_per_minute: history.peak_requests_per_minute,
            peak_concurrent: history.peak_concurrent,
        }
    }
}

impl SuggestionView {
    fn new(suggestion: Suggestion, given: Given<'_>) -> Self {
        let Suggestion { change, reason } = suggestion;
        Self { setting: change.setting(), from: current(&change, given), to: value_of(&change), reason }
    }
}

impl ReportView {
    fn new(report: Report) -> Self {
        let Report { setting, value, requests, last_at } = report;
        Self { setting, value, requests, last_at: last_at.to_string() }
    }
}

/// Returns what is to be changed as it is now, the way that the admin API shows it.
fn current(change: &Change, Given { settings, requests_per_minute }: Given<'_>) -> Value {
    let Settings { scopes, max_concurrent, .. } = settings;
    let Extras { allowed_ips, allowed_models, .. } = settings.extras();
    match change {
        Change::Scopes(_) => json!(scopes.names()),
        Change::AllowedIps(_) => json!(texts(allowed_ips.as_slice())),
        Change::AllowedModels(_) => json!(allowed_models.as_slice()),
        Change::RequestsPerMinute(_) => json!(requests_per_minute),
        Change::MaxConcurrent(_) => json!(max_concurrent),
    }
}

/// Returns what a setting is to be, the way that the admin API takes it.
fn value_of(change: &Change) -> Value {
    match change {
        Change::Scopes(scopes) => json!(scopes.names()),
        Change::AllowedIps(networks) => json!(texts(networks.as_slice())),
        Change::AllowedModels(models) => json!(models.as_slice()),
        Change::RequestsPerMinute(number) | Change::MaxConcurrent(number) => json!(number),
    }
}

fn texts(all: &[impl ToString]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}
