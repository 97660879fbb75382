//! Seeing a rotation through: whether the old key may go, and who still uses it.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;
use serde_json::json;

use super::{Head, Other, Tab};
use crate::admin::key_body::KeyBody;
use crate::admin::keys;
use crate::admin::migration::{self, MigrationView, SideView};
use crate::dashboard::frame::{Frame, Place};
use crate::dashboard::trouble::Trouble;
use crate::dashboard::{Visit, assets, page, text};
use crate::http::{ApiError, json as body};

#[derive(Template)]
#[template(path = "key_cut_over.html")]
struct CutOverPage {
    frame: Frame,
    head: Head,
    migration: MigrationView,
    /// The rotation before this one, if the old key was made by one.
    earlier: Option<Other>,
    /// The rotation after this one, if the new key has been rotated too.
    later: Option<Other>,
    /// What is typed for how long the old key is to be quiet.
    quiet: String,
    trouble: Option<Trouble>,
}

/// Shows how far a rotation is.
pub(in crate::dashboard::pages) async fn show(visit: Visit) -> Result<HttpResponse, ApiError> {
    visit.cut_over_page(StatusCode::OK, None).await
}

/// Sets how long the old key is to be quiet to be revoked by itself.
pub(in crate::dashboard::pages) async fn watch(visit: Visit) -> Result<HttpResponse, ApiError> {
    let id = visit.key_id()?;
    let length = visit.form.said("revoke_when_quiet");
    let changed = match body::value::<KeyBody>(json!({"revoke_when_quiet": length})) {
        Ok(body) => keys::change(&visit.desk, id, body).await,
        Err(error) => Err(error),
    };
    if let Err(error) = changed {
        let trouble = Trouble::of(error)?;
        return visit.cut_over_page(StatusCode::UNPROCESSABLE_ENTITY, Some(trouble)).await;
    }
    let done = match length {
        Some(_) => "The old key is revoked by itself once it was quiet for that long.",
        None => "The old key is not revoked by itself.",
    };
    Ok(visit.done(&format!("/keys/{id}/cut-over"), done))
}

impl Visit {
    async fn cut_over_page(
        &self,
        status: StatusCode,
        trouble: Option<Trouble>,
    ) -> Result<HttpResponse, ApiError> {
        let head = Head::of(self, Tab::CutOver).await?;
        let migration = migration::of(&self.desk, self.key_id()?).await?;
        let quiet = match &trouble {
            Some(_) => self.form.text("revoke_when_quiet").to_owned(),
            None => migration.revoke_when_quiet.clone().unwrap_or_default(),
        };
        let is_old = head.key.id == migration.old.key;
        let other = |id: &Option<String>| id.as_deref().map(|id| Other::of(self, id));
        let shown = CutOverPage {
            frame: self.frame(Place::Keys),
            earlier: other(&head.key.rotated_from).filter(|key| is_old && key.is_there),
            later: other(&head.key.rotated_to).filter(|key| !is_old && key.is_there),
            head,
            migration,
            quiet,
            trouble,
        };
        page(status, &shown)
    }
}

impl CutOverPage {
    /// Tells whether the old key can still be revoked.
    fn can_be_revoked(&self) -> bool {
        !matches!(self.migration.old_status, "revoked" | "deleted")
    }

    /// Returns both keys, with what they are called here and how they are.
    fn sides(&self) -> [(&'static str, &'static str, &SideView); 2] {
        let MigrationView { old, new, old_status, new_status, .. } = &self.migration;
        [("old", old_status, old), ("new", new_status, new)]
    }

    fn wrong(&self) -> Option<&str> {
        self.trouble.as_ref().map(|trouble| trouble.reason.as_str())
    }
}

/// Returns the name of a side's key, or what there is in its place.
fn name_of(side: &SideView) -> &str {
    side.name.as_deref().unwrap_or(&side.key)
}
