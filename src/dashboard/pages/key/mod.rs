//! Everything about one key: a tab each, and what can be done with it.

pub(super) mod advice;
pub(super) mod cut_over;
pub(super) mod edit;
pub(super) mod end;
pub(super) mod overview;
pub(super) mod rotate;
pub(super) mod usage;

use actix_web::HttpResponse;
use serde_json::json;

use crate::admin::key_body::KeyBody;
use crate::admin::key_view::KeyView;
use crate::admin::keys;
use crate::dashboard::Visit;
use crate::dashboard::names;
use crate::http::ApiError;
use crate::http::json::value;

/// What is at the head of each of a key's pages.
struct Head {
    key: KeyView,
    tab: Tab,
}

/// A page about a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tab {
    Overview,
    Usage,
    Advice,
    CutOver,
}

/// Another key, as a page names it.
struct Other {
    id: String,
    name: String,
    /// Whether it has not been deleted.
    is_there: bool,
}

impl Tab {
    const ALL: [Self; 4] = [Self::Overview, Self::Usage, Self::Advice, Self::CutOver];

    const fn name(self) -> &'static str {
        match self {
            Self::Overview => "Key",
            Self::Usage => "Usage",
            Self::Advice => "Advice",
            Self::CutOver => "Cut-over",
        }
    }

    /// Returns where it is, after the key's own path.
    const fn path(self) -> &'static str {
        match self {
            Self::Overview => "",
            Self::Usage => "/usage",
            Self::Advice => "/advice",
            Self::CutOver => "/cut-over",
        }
    }
}

impl Head {
    async fn of(visit: &Visit, tab: Tab) -> Result<Self, ApiError> {
        Ok(Self { key: keys::get(&visit.desk, visit.key_id()?).await?, tab })
    }

    /// Returns the pages that there are about the key.
    fn tabs(&self) -> impl Iterator<Item = Tab> {
        let is_rotated = self.key.rotated_from.is_some() || self.key.rotated_to.is_some();
        Tab::ALL.into_iter().filter(move |tab| is_rotated || *tab != Tab::CutOver)
    }

    /// Tells whether the key can still be changed.
    fn is_open(&self) -> bool {
        self.key.status != "revoked"
    }

    fn can_be_rotated(&self) -> bool {
        can_be_rotated(&self.key)
    }

    fn is_disabled(&self) -> bool {
        self.key.status == "disabled"
    }
}

impl Other {
    fn of(visit: &Visit, id: &str) -> Self {
        let name = names::of_key(&visit.desk, id);
        // What has no name any more goes by its id.
        Self { id: id.to_owned(), is_there: name != id, name }
    }
}

/// Tells whether a key has something to hand over, and did not yet.
fn can_be_rotated(key: &KeyView) -> bool {
    key.status == "active" && key.rotated_to.is_none()
}

/// Lets a key be used again.
pub(super) async fn enable(visit: Visit) -> Result<HttpResponse, ApiError> {
    visit.switch(true, "The key is enabled: requests with it are let through again.").await
}

/// Keeps a key from being used, until it is enabled again.
pub(super) async fn disable(visit: Visit) -> Result<HttpResponse, ApiError> {
    visit.switch(false, "The key is disabled: requests with it are refused until it is enabled again.").await
}

impl Visit {
    async fn switch(&self, enabled: bool, done: &str) -> Result<HttpResponse, ApiError> {
        let body: KeyBody = value(json!({"enabled": enabled}))?;
        let key = keys::change(&self.desk, self.key_id()?, body).await?;
        Ok(self.done(&format!("/keys/{}", key.id), done))
    }
}
