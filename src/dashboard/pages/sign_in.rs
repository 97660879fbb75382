//! Signing in, with the admin token or a link, and out.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use askama::Template;
use tokio::time::sleep;

use crate::dashboard::{Handler, ROUTES, Visit, Visitor, assets, cookie, page, see_other};
use crate::domain::window::Quota;
use crate::http::ApiError;
use crate::http::routes::{Found, find};

/// How long the answer to a wrong guess takes.
const WRONG_TAKES: Duration = Duration::from_secs(1);

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    trouble: Option<String>,
    next: &'a str,
    token_file: String,
}

/// Asks for the admin token; or signs in at once, where a link of `mcpd dashboard` leads here.
pub(in crate::dashboard) async fn ask(visitor: Visitor) -> Result<HttpResponse, ApiError> {
    let now = visitor.rooms.clock.now().steady;
    let code = visitor.form.said("code");
    // A link is too long to be guessed, so wrong ones are not counted: nobody can keep others out with them.
    if code.is_some_and(|code| visitor.rooms.sign_ins.redeem(code, now)) {
        return visitor.enter();
    }
    if visitor.session(true).is_some() {
        return Ok(see_other(visitor.next()));
    }
    if code.is_none() {
        return visitor.ask(StatusCode::OK, None);
    }
    let trouble =
        "This link was used already, or is older than five minutes. Make another with `mcpd dashboard`.";
    visitor.refuse(trouble).await
}

/// Takes the admin token.
pub(in crate::dashboard) async fn enter(visitor: Visitor) -> Result<HttpResponse, ApiError> {
    // Once too many were wrong the right one waits too: else a fast guesser would still find it.
    if let Err(quota) = visitor.rooms.sign_ins.check_wrong(visitor.rooms.clock.now().steady) {
        return visitor.wait(quota);
    }
    if visitor.rooms.token.is(visitor.form.text("token").as_bytes()) {
        return visitor.enter();
    }
    let _ = visitor.rooms.sign_ins.count_wrong(visitor.rooms.clock.now().steady);
    visitor.refuse("This is not the admin token.").await
}

/// Signs out.
#[expect(clippy::unused_async, reason = "handlers are asynchronous")]
pub(in crate::dashboard) async fn leave(visit: Visit) -> Result<HttpResponse, ApiError> {
    visit.desk.rooms.sign_ins.end(&visit.session);
    let mut response = see_other("/sign-in");
    response.headers_mut().insert(header::SET_COOKIE, cookie::forget_session(&visit.request));
    Ok(response)
}

/// Sends somebody who is not signed in to where they can do so, and from there to what they asked for.
pub(in crate::dashboard) fn send_to(visitor: &Visitor) -> HttpResponse {
    let path = visitor.request.uri().path_and_query().map_or("/", |path| path.as_str());
    let is_page = visitor.request.method() == Method::GET || leads_to_a_page(path);
    let next = if is_page { path } else { "/" };
    if next == "/" {
        return see_other("/sign-in");
    }
    see_other(&format!(
        "/sign-in?next={}",
        form_urlencoded::byte_serialize(next.as_bytes()).collect::<String>()
    ))
}

/// Tells whether a path with its query string is one of a page for who is signed in.
fn leads_to_a_page(path: &str) -> bool {
    // What is no visible ASCII cannot stand in a header.
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return false;
    }
    let plain = path.split('?').next().unwrap_or_default();
    matches!(find(ROUTES, &Method::GET, plain), Found::Route(route, _) if matches!(route.handler, Handler::SignedIn(_)))
}

impl Visitor {
    fn ask(&self, status: StatusCode, trouble: Option<String>) -> Result<HttpResponse, ApiError> {
        let token_file = self.rooms.token_file.display().to_string();
        page(status, &SignInPage { trouble, next: self.next(), token_file })
    }

    fn next(&self) -> &str {
        Some(self.form.text("next")).filter(|next| leads_to_a_page(next)).unwrap_or("/")
    }

    fn enter(&self) -> Result<HttpResponse, ApiError> {
        let pass = self.rooms.sign_ins.begin(self.rooms.clock.now().steady).map_err(|_| {
            tracing::error!("nobody can sign in: the system has no randomness to give");
            ApiError::Internal
        })?;
        tracing::info!("somebody signed in to the dashboard");
        let mut response = see_other(self.next());
        response.headers_mut().insert(header::SET_COOKIE, cookie::keep_session(&self.request, &pass));
        Ok(response)
    }

    /// Lets a wrong guess wait.
    async fn refuse(&self, trouble: &str) -> Result<HttpResponse, ApiError> {
        tracing::warn!("somebody tried to sign in to the dashboard with a wrong token or link");
        sleep(WRONG_TAKES).await;
        self.ask(StatusCode::UNAUTHORIZED, Some(trouble.to_owned()))
    }

    fn wait(&self, quota: Quota) -> Result<HttpResponse, ApiError> {
        let seconds = quota.reset.as_millis().div_ceil(1_000).max(1);
        let trouble = format!(
            "There were too many wrong tokens. Try again in {seconds} s, or use a link of `mcpd dashboard`."
        );
        let mut response = self.ask(StatusCode::TOO_MANY_REQUESTS, Some(trouble))?;
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(u64::try_from(seconds).unwrap_or(60)));
        Ok(response)
    }
}
