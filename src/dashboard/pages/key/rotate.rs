//! Handing over from a key to a new one.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;
use serde_json::{Map, Value};

use super::can_be_rotated;
use crate::admin::key_view::KeyView;
use crate::admin::keys::{self, RotateBody};
use crate::dashboard::form::Form;
use crate::dashboard::frame::{Frame, Place};
use crate::dashboard::key_form::{LIVES, on_the_clock};
use crate::dashboard::pages::new_key::new_once;
use crate::dashboard::trouble::Trouble;
use crate::dashboard::{Visit, assets, page};
use crate::domain::offset::Offset;
use crate::http::{ApiError, json};

/// How long an old key goes on, to choose from.
const OVERLAPS: [(&str, &str); 5] = [
    ("0s", "not at all: it ends at once"),
    ("1h", "1 hour"),
    ("24h", "24 hours"),
    ("7d", "7 days"),
    ("30d", "30 days"),
];
const USUAL_OVERLAP: &str = "24h";

#[derive(Template)]
#[template(path = "key_rotate.html")]
struct RotatePage {
    frame: Frame,
    key: KeyView,
    /// What was chosen and typed.
    overlap: String,
    overlap_own: String,
    expires: String,
    expires_at: String,
    quiet: String,
    trouble: Option<Trouble>,
    once: String,
}

/// Asks how to hand over.
pub(in crate::dashboard::pages) async fn ask(visit: Visit) -> Result<HttpResponse, ApiError> {
    let blank = Form::from_pairs([("expire_old_in", USUAL_OVERLAP)]);
    visit.rotate_page(StatusCode::OK, &blank, None, new_once()?).await
}

/// Makes the new key, and sends the browser on to the page that shows it.
pub(in crate::dashboard::pages) async fn rotate(visit: Visit) -> Result<HttpResponse, ApiError> {
    let wanted = body(&visit.form, visit.zone());
    let rotated = match json::value::<RotateBody>(wanted.into()) {
        Ok(body) => keys::rotate(&visit.desk, visit.key_id()?, Some(visit.once()), body).await,
        Err(error) => Err(error),
    };
    match rotated {
        Ok(issued) => visit.issued(issued),
        Err(error) => {
            let (trouble, once) = (Trouble::of(error)?, new_once()?);
            visit.rotate_page(StatusCode::UNPROCESSABLE_ENTITY, &visit.form, Some(trouble), once).await
        }
    }
}

/// Returns the body of the request to the admin API that the form stands for.
fn body(form: &Form, zone: Offset) -> Map<String, Value> {
    let mut body = Map::new();
    let mut set = |name: &str, value: &str| body.insert(name.to_owned(), value.into());
    match form.text("expire_old_in") {
        "own" => set("expire_old_in", form.text("expire_old_in_own")),
        length => set("expire_old_in", length),
    };
    match form.text("expires") {
        "" | "usual" => None,
        "at" => set("expires_at", &on_the_clock(form, zone)),
        length => set("expires_in", length),
    };
    if let Some(length) = form.said("revoke_when_quiet") {
        set("revoke_when_quiet", length);
    }
    body
}

impl Visit {
    async fn rotate_page(
        &self,
        status: StatusCode,
        form: &Form,
        trouble: Option<Trouble>,
        once: String,
    ) -> Result<HttpResponse, ApiError> {
        let text = |name: &str| form.text(name).to_owned();
        let shown = RotatePage {
            key: keys::get(&self.desk, self.key_id()?).await?,
            frame: self.frame(Place::Keys),
            overlap: text("expire_old_in"),
            overlap_own: text("expire_old_in_own"),
            expires: text("expires"),
            expires_at: text("expires_at"),
            quiet: text("revoke_when_quiet"),
            trouble,
            once,
        };
        page(status, &shown)
    }
}

impl RotatePage {
    fn wrong(&self, field: &str) -> Option<&str> {
        Trouble::reason_of(self.trouble.as_ref(), field)
    }

    fn is_overlap(&self, choice: &str) -> bool {
        self.overlap == choice
    }

    fn is_end(&self, choice: &str) -> bool {
        self.expires == choice
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_form_says_how_to_hand_over() {
        let told =
            |query: &str| Value::from(body(&Form::of_query(query).unwrap(), "+02:00".parse().unwrap()));
        assert_eq!(told("expire_old_in=7d&expires=usual&revoke_when_quiet="), json!({"expire_old_in": "7d"}));
        assert_eq!(
            told(
                "expire_old_in=own&expire_old_in_own=12h&expires=at&expires_at=2027-01-31T12:00&revoke_when_quiet=2h"
            ),
            json!({"expire_old_in": "12h", "expires_at": "2027-01-31T12:00:00+02:00", "revoke_when_quiet": "2h"})
        );
        assert_eq!(told("expire_old_in=0s&expires=90d"), json!({"expire_old_in": "0s", "expires_in": "90d"}));
    }
}
