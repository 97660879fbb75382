//! Changing a key's settings.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;
use serde_json::{Map, Value};

use crate::admin::key_body::KeyBody;
use crate::admin::key_view::KeyView;
use crate::admin::keys;
use crate::dashboard::frame::{Frame, Place};
use crate::dashboard::key_form::{self, KeyForm, LIVES};
use crate::dashboard::trouble::{Trouble, label_of};
use crate::dashboard::{Visit, assets, page};
use crate::domain::time::Timestamp;
use crate::http::{ApiError, json};

/// For rotated keys alone: how long the key is to be quiet.
const QUIET: &str = "revoke_when_quiet";

#[derive(Template)]
#[template(path = "key_edit.html")]
struct EditPage {
    frame: Frame,
    id: String,
    name: String,
    form: KeyForm,
    /// When the key ends as it is, if it does.
    expires_now: Option<String>,
    /// What the form said before anything was typed: only what differs is sent.
    was: String,
    /// How long the key is to be quiet to be revoked by itself; nothing for a key that was not rotated.
    quiet: Option<String>,
}

/// Asks for a key's settings.
pub(in crate::dashboard::pages) async fn ask(visit: Visit) -> Result<HttpResponse, ApiError> {
    let key = keys::get(&visit.desk, visit.key_id()?).await?;
    if key.revoked_at.is_some() {
        return Err(ApiError::Conflict(
            "key_revoked",
            "This key is revoked: nothing about it can be changed".into(),
        ));
    }
    let filled = key_form::of_key(&key, keys::own_limit(&visit.desk, visit.key_id()?));
    let mut was = key_form::body(&filled, visit.zone());
    let quiet = key.rotated_to.is_some().then(|| key.revoke_when_quiet.clone().unwrap_or_default());
    if let Some(quiet) = &quiet {
        was.insert(QUIET.to_owned(), said(quiet));
    }
    let form = KeyForm::filled(&filled, &visit.desk.rooms);
    visit.edit_page(StatusCode::OK, key, form, Value::from(was).to_string(), quiet)
}

/// Changes what was typed anew.
pub(in crate::dashboard::pages) async fn save(visit: Visit) -> Result<HttpResponse, ApiError> {
    let id = visit.key_id()?;
    let changes = visit.changes()?;
    if changes.is_empty() {
        return Ok(visit.done(&format!("/keys/{id}"), "Nothing was changed: the form said what the key is."));
    }
    let names: Vec<_> = changes.keys().map(|setting| label_of(setting)).collect();
    let done = format!("Saved: {}.", names.join(", "));
    let saved = match json::value::<KeyBody>(changes.into()) {
        Ok(body) => keys::change(&visit.desk, id, body).await,
        Err(error) => Err(error),
    };
    let Err(error) = saved else { return Ok(visit.done(&format!("/keys/{id}"), done)) };
    let form = KeyForm::filled(&visit.form, &visit.desk.rooms).with(Trouble::of(error)?);
    let key = keys::get(&visit.desk, id).await?;
    let quiet = key.rotated_to.is_some().then(|| visit.form.text(QUIET).to_owned());
    visit.edit_page(StatusCode::UNPROCESSABLE_ENTITY, key, form, visit.form.text("was").to_owned(), quiet)
}

/// Returns what a length of time in the form stands for; nothing for none.
fn said(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { text.into() }
}

impl Visit {
    /// Returns what the form changes.
    fn changes(&self) -> Result<Map<String, Value>, ApiError> {
        let was: Map<String, Value> = serde_json::from_str(self.form.text("was"))
            .map_err(|_| ApiError::bad_request("the form does not say what it was filled with"))?;
        let mut now = key_form::body(&self.form, self.zone());
        if self.form.is_ticked(QUIET) {
            now.insert(QUIET.to_owned(), said(self.form.text(QUIET)));
        }
        Ok(key_form::changes(now, &was))
    }

    fn edit_page(
        &self,
        status: StatusCode,
        key: KeyView,
        form: KeyForm,
        was: String,
        quiet: Option<String>,
    ) -> Result<HttpResponse, ApiError> {
        let frame = self.frame(Place::Keys);
        let end = key.expires_at.as_deref().and_then(|at| Timestamp::parse(at).ok());
        // An option holds no more than text.
        let expires_now = end.map(|at| format!("{} {}", self.zone().write_minute(at), frame.zone_name()));
        page(status, &EditPage { frame, id: key.id, name: key.name, form, expires_now, was, quiet })
    }
}
