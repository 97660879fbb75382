//! Keys: make, list, read, change, delete, revoke, rotate.

use actix_web::HttpResponse;
use serde::Deserialize;
use serde_json::json;

use super::key_body::{KeyBody, parse_expiry, parse_length, parse_quiet};
use super::key_view::{IssuedView, KeyView};
use super::{Call, Desk, LIST};
use crate::domain::id::KeyId;
use crate::domain::key::{Key, LastUse, Status};
use crate::domain::time::Timestamp;
use crate::http::ApiError;
use crate::http::list::Page;
use crate::keys::{Idempotency, Issued, KeysError, Rotation};
use crate::store;
use crate::store::keys::{By, Direction, Filter};

/// How long a rotated key goes on where nothing is said.
const USUAL_OVERLAP: &str = "24h";

/// Which keys to list.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListQuery {
    pub(crate) limit: Option<String>,
    pub(crate) after: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) search: Option<String>,
    /// What the list is in the order of: `created`, `name`, `last_used` or `expires`.
    pub(crate) sort: Option<String>,
    /// Which end comes first: `desc` or `asc`.
    pub(crate) order: Option<String>,
}

/// How to rotate a key.
#[derive(Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Rotation")]
pub(crate) struct RotateBody {
    /// How long the old key goes on: `24h` where nothing is said.
    pub(crate) expire_old_in: Option<String>,
    /// When the new key ends, RFC 3339; after the old one's lifetime where nothing is said.
    pub(crate) expires_at: Option<String>,
    /// The same, as a length of time from now.
    pub(crate) expires_in: Option<String>,
    /// How long nobody is to use the old key for it to be revoked before it ends: `12h`.
    pub(crate) revoke_when_quiet: Option<String>,
}

/// Makes a key. What it returns has the key's token, which is not shown again.
pub(crate) async fn make(
    desk: &Desk,
    once: Option<Idempotency>,
    body: KeyBody,
) -> Result<IssuedView, ApiError> {
    let (order, now) = (desk.order(once), desk.now());
    let issued =
        desk.block(move |rooms| rooms.keys.issue(order, || body.create(&rooms.keys.plans(), now))).await?;
    Ok(desk.issued(&issued))
}

/// Returns a page of keys, the newest first where nothing is said.
pub(crate) async fn page(desk: &Desk, query: &ListQuery) -> Result<Page<KeyView>, ApiError> {
    let limit = LIST.check(query.limit.as_deref())?;
    let after: Option<KeyId> = query.after.as_deref().map(parse_after).transpose()?;
    let filter = query.filter(desk.now())?;
    let (by, direction) = (query.by()?, query.direction()?);
    if let Some(after) = after
        && desk.rooms.keys.keyring().get(after).is_none()
    {
        return Err(ApiError::bad_request(
            "the query string: `after` names no key; list from the start again",
        ));
    }
    desk.flush().await;
    let page = store::keys::Page { after, by, direction, limit: limit + 1 };
    let rows = desk.block(move |rooms| rooms.store.read(|db| store::keys::list(db, &filter, page))).await?;
    let (plans, now) = (desk.rooms.keys.plans(), desk.now());
    let views = rows.iter().map(|(key, last_use)| KeyView::new(key, *last_use, &plans, now)).collect();
    Ok(Page::new(views, limit, |view: &KeyView| view.id.clone()))
}

/// Returns how many keys a list has on all its pages together.
pub(crate) async fn count(desk: &Desk, query: &ListQuery) -> Result<u64, ApiError> {
    let filter = query.filter(desk.now())?;
    desk.block(move |rooms| rooms.store.read(|db| store::keys::count(db, &filter))).await
}

/// Returns a key.
pub(crate) async fn get(desk: &Desk, id: KeyId) -> Result<KeyView, ApiError> {
    desk.flush().await;
    let found = desk.block(move |rooms| rooms.store.read(|db| store::keys::find(db, id))).await?;
    let (key, last_use) = found.ok_or(KeysError::NotFound)?;
    Ok(desk.view(&key, last_use))
}

/// Returns a key's own limit, if it has one in place of its plan's.
pub(crate) fn own_limit(desk: &Desk, id: KeyId) -> Option<u32> {
    desk.rooms.keys.keyring().get(id)?.key.settings.requests_per_minute.map(Into::into)
}

/// Changes what is decided about a key; returns it.
pub(crate) async fn change(desk: &Desk, id: KeyId, body: KeyBody) -> Result<KeyView, ApiError> {
    let (actor, now) = (desk.actor, desk.now());
    let key = desk
        .block(move |rooms| rooms.keys.change(id, actor, |key| body.change(key, &rooms.keys.plans(), now)))
        .await?;
    Ok(desk.changed(&key).await)
}

/// Deletes a key; what it used stays.
pub(crate) async fn delete(desk: &Desk, id: KeyId) -> Result<(), ApiError> {
    let actor = desk.actor;
    desk.block(move |rooms| rooms.keys.delete(id, actor)).await
}

/// Revokes a key for good; returns it.
pub(crate) async fn revoke(desk: &Desk, id: KeyId, once: Option<Idempotency>) -> Result<KeyView, ApiError> {
    let order = desk.order(once);
    let key = desk.block(move |rooms| rooms.keys.revoke(id, order)).await?;
    Ok(desk.changed(&key).await)
}

/// Hands over to a new key with the same settings. What it returns has the token, which is not shown again.
pub(crate) async fn rotate(
    desk: &Desk,
    id: KeyId,
    once: Option<Idempotency>,
    body: RotateBody,
) -> Result<IssuedView, ApiError> {
    let (order, now) = (desk.order(once), desk.now());
    let issued = desk.block(move |rooms| rooms.keys.rotate(id, order, || body.rotation(now))).await?;
    Ok(desk.issued(&issued))
}

pub(super) async fn answer_make(call: Call) -> Result<HttpResponse, ApiError> {
    Ok(issued(&make(&call.desk, call.idempotency()?, call.json()?).await?))
}

pub(super) async fn answer_page(call: Call) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(page(&call.desk, &call.query()?).await?))
}

pub(super) async fn answer_get(call: Call) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(get(&call.desk, call.key_id()?).await?))
}

pub(super) async fn answer_change(call: Call) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(change(&call.desk, call.key_id()?, call.json()?).await?))
}

pub(super) async fn answer_delete(call: Call) -> Result<HttpResponse, ApiError> {
    let id = call.key_id()?;
    delete(&call.desk, id).await?;
    Ok(HttpResponse::Ok().json(json!({"id": id.to_string(), "object": "key", "deleted": true})))
}

pub(super) async fn answer_revoke(call: Call) -> Result<HttpResponse, ApiError> {
    let (id, once) = (call.key_id()?, call.idempotency()?);
    call.json::<Nothing>()?;
    Ok(HttpResponse::Ok().json(revoke(&call.desk, id, once).await?))
}

pub(super) async fn answer_rotate(call: Call) -> Result<HttpResponse, ApiError> {
    Ok(issued(&rotate(&call.desk, call.key_id()?, call.idempotency()?, call.json()?).await?))
}

fn issued(view: &IssuedView) -> HttpResponse {
    HttpResponse::Created().insert_header(("cache-control", "no-store")).json(view)
}

impl ListQuery {
    fn filter(&self, now: Timestamp) -> Result<Filter, ApiError> {
        Ok(Filter {
            status: one_of("status", self.status.as_deref(), &Status::ALL, Status::name)?,
            search: self.search.clone().filter(|text| !text.is_empty()),
            now,
        })
    }

    fn by(&self) -> Result<By, ApiError> {
        Ok(one_of("sort", self.sort.as_deref(), &By::ALL, By::name)?.unwrap_or_default())
    }

    fn direction(&self) -> Result<Direction, ApiError> {
        let direction = one_of("order", self.order.as_deref(), &Direction::ALL, Direction::name)?;
        Ok(direction.unwrap_or_default())
    }
}

impl RotateBody {
    fn rotation(self, now: Timestamp) -> Result<Rotation, ApiError> {
        let overlap = self.expire_old_in.as_deref().unwrap_or(USUAL_OVERLAP);
        let end = parse_expiry(self.expires_at.map(Some), self.expires_in.as_deref(), now)?;
        Ok(Rotation {
            expire_old_in: parse_length("expire_old_in", overlap)?,
            expires_at: end.flatten(),
            revoke_when_quiet: self.revoke_when_quiet.as_deref().map(parse_quiet).transpose()?,
        })
    }
}

/// The body of a request that takes none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

impl Call {
    pub(super) fn key_id(&self) -> Result<KeyId, ApiError> {
        self.parameter.parse().map_err(|_| ApiError::NotFound("There is no key with this id".into()))
    }
}

impl Desk {
    fn issued(&self, issued: &Issued) -> IssuedView {
        IssuedView::new(issued, &self.rooms.keys.plans(), self.now())
    }

    fn view(&self, key: &Key, last_use: Option<LastUse>) -> KeyView {
        KeyView::new(key, last_use, &self.rooms.keys.plans(), self.now())
    }

    /// Returns a key as a change left it. The change was made: that its last use cannot be told, or that it was
    /// deleted meanwhile, does not take that back.
    async fn changed(&self, key: &Key) -> KeyView {
        self.flush().await;
        let id = key.id;
        let found = self.block(move |rooms| rooms.store.read(|db| store::keys::find(db, id))).await;
        let last_use = found.ok().flatten().and_then(|(_, last_use)| last_use);
        self.view(key, last_use)
    }
}

fn parse_after(text: &str) -> Result<KeyId, ApiError> {
    text.parse().map_err(|error| ApiError::bad_request(format!("the query string: `after` is {error}")))
}

/// Returns which of several a parameter of the query string names.
fn one_of<T: Copy>(
    parameter: &str,
    text: Option<&str>,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<Option<T>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let found = all.iter().copied().find(|one| name(*one) == text);
    found.map(Some).ok_or_else(|| {
        let names = all.iter().copied().map(name).collect::<Vec<_>>().join(", ");
        ApiError::bad_request(format!("the query string: `{parameter}` must be one of {names}"))
    })
}
