//! Keys: make, list, read, change, delete, revoke, rotate.

use actix_web::HttpResponse;
use serde::Deserialize;
use serde_json::json;

use super::Call;
use super::LIST;
use super::key_body::{KeyBody, parse_expiry, parse_length, parse_quiet};
use super::key_view::{IssuedView, KeyView};
use crate::domain::id::KeyId;
use crate::domain::key::{Key, LastUse, Status};
use crate::domain::time::Timestamp;
use crate::http::ApiError;
use crate::http::list::Page;
use crate::keys::{Issued, KeysError, Rotation};
use crate::store;

/// How long a rotated key goes on where nothing is said.
const USUAL_OVERLAP: &str = "24h";

/// Which keys to list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    limit: Option<String>,
    after: Option<String>,
    status: Option<String>,
    search: Option<String>,
}

/// How to rotate a key.
#[derive(Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Rotation")]
pub(super) struct RotateBody {
    /// How long the old key goes on: `24h` where nothing is said.
    expire_old_in: Option<String>,
    /// When the new key ends, RFC 3339; after the old one's lifetime where nothing is said.
    expires_at: Option<String>,
    /// The same, as a length of time from now.
    expires_in: Option<String>,
    /// How long nobody is to use the old key for it to be revoked before it ends: `12h`.
    revoke_when_quiet: Option<String>,
}

/// Makes a key. The answer carries its token, which is not shown again.
pub(super) async fn create(call: Call) -> Result<HttpResponse, ApiError> {
    let order = call.order()?;
    let body: KeyBody = call.json()?;
    let now = call.now();
    let issued =
        call.block(move |rooms| rooms.keys.issue(order, || body.create(&rooms.keys.plans(), now))).await?;
    Ok(call.issued(&issued))
}

/// Lists keys, the newest first.
pub(super) async fn list(call: Call) -> Result<HttpResponse, ApiError> {
    let query: ListQuery = call.query()?;
    let limit = LIST.check(query.limit.as_deref())?;
    let filter = store::keys::Filter {
        after: query.after.as_deref().map(parse_after).transpose()?,
        status: query.status.as_deref().map(parse_status).transpose()?,
        search: query.search.filter(|text| !text.is_empty()),
        now: call.now(),
        limit: limit + 1,
    };
    if let Some(after) = filter.after
        && call.rooms.keys.keyring().get(after).is_none()
    {
        return Err(ApiError::bad_request(
            "the query string: `after` names no key; list from the start again",
        ));
    }
    call.flush().await;
    let rows = call.block(move |rooms| rooms.store.read(|db| store::keys::list(db, &filter))).await?;
    let (plans, now) = (call.rooms.keys.plans(), call.now());
    let views = rows.iter().map(|(key, last_use)| KeyView::new(key, *last_use, &plans, now)).collect();
    Ok(HttpResponse::Ok().json(Page::new(views, limit, |view: &KeyView| view.id.clone())))
}

/// Describes a key.
pub(super) async fn show(call: Call) -> Result<HttpResponse, ApiError> {
    let id = call.key_id()?;
    call.flush().await;
    let found = call.block(move |rooms| rooms.store.read(|db| store::keys::find(db, id))).await?;
    let (key, last_use) = found.ok_or(KeysError::NotFound)?;
    Ok(call.shown(&key, last_use))
}

/// Changes what is decided about a key.
pub(super) async fn change(call: Call) -> Result<HttpResponse, ApiError> {
    let id = call.key_id()?;
    let body: KeyBody = call.json()?;
    let (actor, now) = (call.actor, call.now());
    let key = call
        .block(move |rooms| rooms.keys.change(id, actor, |key| body.change(key, &rooms.keys.plans(), now)))
        .await?;
    Ok(call.changed(&key).await)
}

/// Deletes a key; what it used stays.
pub(super) async fn delete(call: Call) -> Result<HttpResponse, ApiError> {
    let id = call.key_id()?;
    let actor = call.actor;
    call.block(move |rooms| rooms.keys.delete(id, actor)).await?;
    Ok(HttpResponse::Ok().json(json!({"id": id.to_string(), "object": "key", "deleted": true})))
}

/// Revokes a key for good.
pub(super) async fn revoke(call: Call) -> Result<HttpResponse, ApiError> {
    let id = call.key_id()?;
    let order = call.order()?;
    call.json::<Nothing>()?;
    let key = call.block(move |rooms| rooms.keys.revoke(id, order)).await?;
    Ok(call.changed(&key).await)
}

/// Hands over to a new key with the same settings. The answer carries its token, which is not shown again.
pub(super) async fn rotate(call: Call) -> Result<HttpResponse, ApiError> {
    let id = call.key_id()?;
    let order = call.order()?;
    let body: RotateBody = call.json()?;
    let now = call.now();
    let issued = call.block(move |rooms| rooms.keys.rotate(id, order, || body.rotation(now))).await?;
    Ok(call.issued(&issued))
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

    pub(super) fn now(&self) -> Timestamp {
        self.rooms.clock.now().wall
    }

    fn issued(&self, issued: &Issued) -> HttpResponse {
        let view = IssuedView::new(issued, &self.rooms.keys.plans(), self.now());
        HttpResponse::Created().insert_header(("cache-control", "no-store")).json(view)
    }

    fn shown(&self, key: &Key, last_use: Option<LastUse>) -> HttpResponse {
        HttpResponse::Ok().json(KeyView::new(key, last_use, &self.rooms.keys.plans(), self.now()))
    }

    /// Shows a key as a change left it. The change was made: that its last use cannot be told, or that it was
    /// deleted meanwhile, does not take that back.
    async fn changed(&self, key: &Key) -> HttpResponse {
        self.flush().await;
        let id = key.id;
        let found = self.block(move |rooms| rooms.store.read(|db| store::keys::find(db, id))).await;
        let last_use = found.ok().flatten().and_then(|(_, last_use)| last_use);
        self.shown(key, last_use)
    }
}

fn parse_after(text: &str) -> Result<KeyId, ApiError> {
    text.parse().map_err(|error| ApiError::bad_request(format!("the query string: `after` is {error}")))
}

fn parse_status(text: &str) -> Result<Status, ApiError> {
    Status::ALL.into_iter().find(|status| status.name() == text).ok_or_else(|| {
        let names = Status::ALL.map(Status::name).join(", ");
        ApiError::bad_request(format!("the query string: `status` must be one of {names}"))
    })
}
