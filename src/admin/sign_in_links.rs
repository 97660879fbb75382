//! Links that sign a browser in to the dashboard, once.

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use serde::Serialize;

use super::keys::Nothing;
use super::sign_ins::LINK_LIVES;
use super::{Call, Desk};
use crate::http::ApiError;

/// A link that signs a browser in to the dashboard.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "SignInLink")]
pub(crate) struct SignInLinkView {
    /// Always `sign_in_link`.
    object: &'static str,
    /// Opened once, before it ends, it signs in who opens it.
    url: String,
    /// When it ends.
    expires_at: String,
}

pub(super) async fn answer(call: Call) -> Result<HttpResponse, ApiError> {
    call.json::<Nothing>()?;
    let link = make(&call.desk).await?;
    Ok(HttpResponse::Created().insert_header((CACHE_CONTROL, "no-store")).json(link))
}

/// Makes a link.
pub(crate) async fn make(desk: &Desk) -> Result<SignInLinkView, ApiError> {
    let now = desk.rooms.clock.now();
    // It waits for the system's randomness, if it must.
    let pass =
        desk.block(move |rooms| rooms.sign_ins.offer(now.steady).map_err(|_| ApiError::Internal)).await?;
    Ok(SignInLinkView {
        object: "sign_in_link",
        url: format!("http://{}/sign-in?code={}", desk.rooms.listeners.admin, pass.expose()),
        expires_at: now.wall.after(LINK_LIVES).to_string(),
    })
}
