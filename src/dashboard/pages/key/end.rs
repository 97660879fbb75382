//! The end of a key: revoked for good, or deleted. Whoever wants that types which key it is.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use crate::admin::key_view::KeyView;
use crate::admin::keys;
use crate::dashboard::frame::{Frame, Place};
use crate::dashboard::{Visit, assets, page};
use crate::http::ApiError;

/// What becomes of the key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Revoked,
    Deleted,
}

#[derive(Template)]
#[template(path = "key_end.html")]
struct EndPage {
    frame: Frame,
    key: KeyView,
    end: End,
    /// What was typed, if that is not what the key is called.
    wrong: Option<String>,
}

/// Asks whether a key is to be revoked.
pub(in crate::dashboard::pages) async fn ask_revoke(visit: Visit) -> Result<HttpResponse, ApiError> {
    let key = keys::get(&visit.desk, visit.key_id()?).await?;
    visit.end_page(StatusCode::OK, key, End::Revoked, None)
}

/// Revokes a key.
pub(in crate::dashboard::pages) async fn revoke(visit: Visit) -> Result<HttpResponse, ApiError> {
    visit.end(End::Revoked).await
}

/// Asks whether a key is to be deleted.
pub(in crate::dashboard::pages) async fn ask_delete(visit: Visit) -> Result<HttpResponse, ApiError> {
    let key = keys::get(&visit.desk, visit.key_id()?).await?;
    visit.end_page(StatusCode::OK, key, End::Deleted, None)
}

/// Deletes a key.
pub(in crate::dashboard::pages) async fn delete(visit: Visit) -> Result<HttpResponse, ApiError> {
    visit.end(End::Deleted).await
}

impl Visit {
    /// Ends a key, if what was typed says which.
    async fn end(&self, end: End) -> Result<HttpResponse, ApiError> {
        let id = self.key_id()?;
        let key = keys::get(&self.desk, id).await?;
        let typed = self.form.text("confirm");
        // Some names cannot be typed, ids can.
        if typed != key.name && typed != key.id {
            return self.end_page(StatusCode::UNPROCESSABLE_ENTITY, key, end, Some(typed.to_owned()));
        }
        match end {
            End::Revoked => {
                keys::revoke(&self.desk, id, None).await?;
                let done = "The key is revoked: every request with it is refused from now on.";
                Ok(self.done(&format!("/keys/{id}"), done))
            }
            End::Deleted => {
                keys::delete(&self.desk, id).await?;
                Ok(self.done("/keys", "The key is deleted. What it used is kept."))
            }
        }
    }

    fn end_page(
        &self,
        status: StatusCode,
        key: KeyView,
        end: End,
        wrong: Option<String>,
    ) -> Result<HttpResponse, ApiError> {
        page(status, &EndPage { frame: self.frame(Place::Keys), key, end, wrong })
    }
}

impl End {
    /// Returns what is done, as a verb.
    const fn verb(self) -> &'static str {
        match self {
            Self::Revoked => "Revoke",
            Self::Deleted => "Delete",
        }
    }
}
