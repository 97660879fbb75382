//! The server itself: where it listens, its plans, its upstreams, and a copy of its database.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use crate::admin::backup;
use crate::admin::server::{self, ServerView};
use crate::dashboard::frame::{Frame, Place};
use crate::dashboard::{Visit, assets, page, text};
use crate::http::ApiError;

#[derive(Template)]
#[template(path = "server.html")]
struct ServerPage {
    frame: Frame,
    server: ServerView,
    /// Where clients ask.
    address: String,
}

/// Describes the server.
pub(super) async fn show(visit: Visit) -> Result<HttpResponse, ApiError> {
    let shown = ServerPage {
        server: server::describe(&visit.desk).await,
        address: visit.address(),
        frame: visit.frame(Place::Server),
    };
    page(StatusCode::OK, &shown)
}

/// Hands out a copy of the database.
pub(super) async fn back_up(visit: Visit) -> Result<HttpResponse, ApiError> {
    backup::create(&visit.desk).await
}
