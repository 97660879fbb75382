//! Why a request is refused, or would be.

use std::collections::BTreeSet;

use actix_web::HttpResponse;
use actix_web::http::{Method, StatusCode};
use askama::Template;

use crate::admin::explain::{self, ExplainBody, Explained};
use crate::dashboard::form::Form;
use crate::dashboard::frame::{Frame, Place};
use crate::dashboard::names::{self, Offered};
use crate::dashboard::trouble::Trouble;
use crate::dashboard::{Visit, assets, explain_words, page};
use crate::domain::id::KeyId;
use crate::domain::token;
use crate::http::ApiError;

const METHODS: [Method; 4] = [Method::POST, Method::GET, Method::PATCH, Method::DELETE];

#[derive(Template)]
#[template(path = "explain.html")]
struct ExplainPage {
    frame: Frame,
    asked: Asked,
    trouble: Option<Trouble>,
    told: Option<Explained>,
    /// The id and name of the key whose request was refused.
    whose: Option<(String, String)>,
    keys: Vec<Offered>,
    paths: BTreeSet<&'static str>,
    models: Vec<String>,
}

/// The fields of the two forms. A key itself is never among them.
#[derive(Default)]
struct Asked {
    key: String,
    method: String,
    path: String,
    ip: String,
    model: String,
    request_id: String,
}

/// Asks for a request; or tells of one that was refused, where a link names it.
pub(super) async fn ask(visit: Visit) -> Result<HttpResponse, ApiError> {
    if visit.form.said("request_id").is_some() {
        return answer(visit).await;
    }
    let key = visit.form.text("key_id");
    // What a link names is an id, and nothing that is to be kept secret.
    let key = if key.parse::<KeyId>().is_ok() { key.to_owned() } else { String::new() };
    let method = visit.form.said("method").unwrap_or("POST").to_owned();
    let asked = Asked { key, method, path: visit.form.text("path").to_owned(), ..Asked::default() };
    visit.explained(StatusCode::OK, asked, None, None)
}

/// Tells what would become of a request, or became of it.
pub(super) async fn answer(visit: Visit) -> Result<HttpResponse, ApiError> {
    let (asked, body) = visit.question();
    match explain::explain(&visit.desk, &body).await {
        Ok(told) => visit.explained(StatusCode::OK, asked, None, Some(told)),
        Err(error) if error.status() == StatusCode::NOT_FOUND => {
            let field = if body.request_id.is_some() { "request_id" } else { "key_id" };
            let trouble = Trouble { field: field.to_owned(), reason: format!("{}.", error.message()) };
            visit.explained(StatusCode::UNPROCESSABLE_ENTITY, asked, Some(trouble), None)
        }
        Err(error) => {
            let trouble = Trouble::of(error)?;
            visit.explained(StatusCode::UNPROCESSABLE_ENTITY, asked, Some(trouble), None)
        }
    }
}

impl Visit {
    /// Returns what the form asks, and how it is shown again: without a key.
    fn question(&self) -> (Asked, ExplainBody) {
        let form = &self.form;
        let said = |name: &str| form.said(name).map(ToOwned::to_owned);
        if let Some(id) = said("request_id") {
            let asked = Asked {
                request_id: token::redact(&id).into_owned(),
                method: "POST".to_owned(),
                ..Asked::default()
            };
            return (asked, ExplainBody { request_id: Some(id), ..ExplainBody::default() });
        }
        let key_id = names::key_id(&self.desk, form.text("key")).map(|id| id.to_string());
        let body = ExplainBody {
            key: said("key").filter(|_| key_id.is_none()),
            key_id,
            method: said("method"),
            path: said("path"),
            ip: said("ip"),
            model: said("model"),
            request_id: None,
        };
        (Asked::of(form, body.key_id.as_deref()), body)
    }

    fn explained(
        &self,
        status: StatusCode,
        asked: Asked,
        trouble: Option<Trouble>,
        told: Option<Explained>,
    ) -> Result<HttpResponse, ApiError> {
        let rooms = &self.desk.rooms;
        let paths = rooms.routes.iter().map(|route| route.pattern).filter(|pattern| !pattern.contains('{'));
        let live = rooms.live.get();
        let models = live.upstreams.catalog().models().into_iter().map(ToOwned::to_owned).collect();
        let whose = told.as_ref().and_then(|told| told.view().request?.key);
        let whose = whose.map(|id| {
            let name = names::of_key(&self.desk, &id);
            (id, name)
        });
        let shown = ExplainPage {
            frame: self.frame(Place::Explain),
            asked,
            trouble,
            told,
            whose,
            keys: names::offered(&self.desk),
            paths: paths.collect(),
            models,
        };
        page(status, &shown)
    }
}

impl Asked {
    fn of(form: &Form, key_id: Option<&str>) -> Self {
        // A key may be pasted anywhere by mistake.
        let text = |name: &str| token::redact(form.text(name)).into_owned();
        Self {
            key: key_id.unwrap_or_default().to_owned(),
            method: text("method"),
            path: text("path"),
            ip: text("ip"),
            model: text("model"),
            request_id: String::new(),
        }
    }
}

impl ExplainPage {
    /// Tells what is wrong with a field.
    fn wrong(&self, field: &str) -> Option<&str> {
        Trouble::reason_of(self.trouble.as_ref(), field)
    }
}
