//! A new key: asked for, made, and shown once.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;
use ring::rand::SystemRandom;

use crate::admin::key_body::KeyBody;
use crate::admin::key_view::KeyView;
use crate::admin::keys;
use crate::dashboard::frame::{Frame, Place, When};
use crate::dashboard::key_form::{self, KeyForm, LIVES};
use crate::dashboard::trouble::Trouble;
use crate::dashboard::{Visit, assets, page, see_other};
use crate::domain::alphabet;
use crate::http::{ApiError, json};

#[derive(Template)]
#[template(path = "new_key.html")]
struct NewKeyPage {
    frame: Frame,
    form: KeyForm,
    /// Never: a key that is not made has no end yet.
    expires_now: Option<When>,
    /// Tells this form sent twice from two of them.
    once: String,
}

#[derive(Template)]
#[template(path = "issued.html")]
struct IssuedPage {
    frame: Frame,
    id: String,
    name: String,
    key: Option<String>,
    /// Whether its requests must be signed, which the command does not do.
    must_sign: bool,
    /// Where requests may come from; empty: from anywhere.
    addresses: String,
    /// A first request, to be pasted.
    curl: String,
}

/// Asks for the settings of a new key.
#[expect(clippy::unused_async, reason = "handlers are asynchronous")]
pub(super) async fn ask(visit: Visit) -> Result<HttpResponse, ApiError> {
    let form = KeyForm::blank(&visit.desk.rooms);
    visit.new_key_form(StatusCode::OK, form, new_once()?)
}

/// Makes the key, and sends the browser on to the page that shows it.
pub(super) async fn make(visit: Visit) -> Result<HttpResponse, ApiError> {
    let body = key_form::body(&visit.form, visit.zone());
    let made = match json::value::<KeyBody>(body.into()) {
        Ok(body) => keys::make(&visit.desk, Some(visit.once()), body).await,
        Err(error) => Err(error),
    };
    match made {
        Ok(issued) => visit.issued(issued),
        Err(error) => {
            let trouble = Trouble::of(error)?;
            let form = KeyForm::filled(&visit.form, &visit.desk.rooms).with(trouble);
            // Nothing was made by this form, or something else was: sent again, it is another one.
            visit.new_key_form(StatusCode::UNPROCESSABLE_ENTITY, form, new_once()?)
        }
    }
}

/// Shows a new key: once.
pub(super) async fn show(visit: Visit) -> Result<HttpResponse, ApiError> {
    let id = visit.key_id()?;
    let key = visit.desk.rooms.sign_ins.take_issued(&visit.session, id, visit.desk.rooms.clock.now().steady);
    let view = keys::get(&visit.desk, id).await?;
    let curl = key.as_deref().map(|key| visit.curl(key, &view)).unwrap_or_default();
    let frame = visit.frame(Place::Keys);
    page(
        StatusCode::OK,
        &IssuedPage {
            frame,
            must_sign: view.require_signature,
            addresses: view.allowed_ips.join(", "),
            id: view.id,
            name: view.name,
            key,
            curl,
        },
    )
}

/// Returns a word that tells a form sent twice from two of them.
pub(super) fn new_once() -> Result<String, ApiError> {
    let random: [u8; 22] = alphabet::random(&SystemRandom::new()).map_err(|_| ApiError::Internal)?;
    Ok(alphabet::as_str(&random).to_owned())
}

impl Visit {
    fn new_key_form(
        &self,
        status: StatusCode,
        form: KeyForm,
        once: String,
    ) -> Result<HttpResponse, ApiError> {
        page(status, &NewKeyPage { frame: self.frame(Place::Keys), form, expires_now: None, once })
    }

    /// Keeps a new key for the page that shows it, and sends the browser there.
    pub(super) fn issued(
        &self,
        issued: crate::admin::key_view::IssuedView,
    ) -> Result<HttpResponse, ApiError> {
        let id = issued.key_object.id;
        if let Some(key) = issued.key {
            let now = self.desk.rooms.clock.now().steady;
            let parsed = id.parse().map_err(|_| ApiError::Internal)?;
            self.desk.rooms.sign_ins.keep_issued(&self.session, parsed, key, now);
        }
        Ok(see_other(&format!("/keys/{id}/issued")))
    }

    /// Returns a first request with the key, as it is typed into a shell.
    fn curl(&self, key: &str, view: &KeyView) -> String {
        let address = self.address();
        let may_chat = view.scopes.iter().any(|scope| matches!(*scope, "*" | "chats:create"));
        if !may_chat {
            return format!("curl {address}/v1/key -H 'Authorization: Bearer {key}'");
        }
        let live = self.desk.rooms.live.get();
        let catalog = live.upstreams.catalog();
        let known = catalog.models();
        let may = |model: &&&str| {
            view.allowed_models.is_empty() || view.allowed_models.iter().any(|one| one == **model)
        };
        let allowed = known.iter().find(may).map(|model| (*model).to_owned());
        let model =
            allowed.or_else(|| view.allowed_models.first().cloned()).unwrap_or_else(|| "echo".to_owned());
        let body = serde_json::json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]});
        let body = body.to_string().replace('\'', "'\\''");
        format!(
            "curl {address}/v1/chat/completions \\\n  -H 'Authorization: Bearer {key}' \\\n  \
             -H 'Content-Type: application/json' \\\n  -d '{body}'"
        )
    }
}
