//! What a browser remembers of the dashboard.

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderValue};

use crate::admin::sign_ins::Pass;
use crate::domain::offset::Offset;

/// Holds the reader's zone, as an offset from UTC. The page's script tells it, or the reader.
pub(super) const ZONE: &str = "mcpd-zone";
/// Holds 1 if the reader told it: the script leaves it alone then.
pub(super) const ZONE_CHOSEN: &str = "mcpd-zone-chosen";

/// Returns what the cookie of a session is called. Browsers send the cookies of all ports of a machine to each of them;
/// so that two servers at the far ends of two tunnels can be signed in to, the port is part of the name.
fn session_name(request: &HttpRequest) -> String {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let port = host.rsplit_once(':').map_or("80", |(_, port)| port);
    format!("mcpd-session-{port}")
}

/// Returns the secrets that may be of the browser's session: other servers of this machine can set a cookie of the name.
pub(super) fn sessions(request: &HttpRequest) -> Vec<String> {
    all(request, &session_name(request))
}

/// Returns the reader's zone, if the browser has told it.
pub(super) fn zone(request: &HttpRequest) -> Option<Offset> {
    get(request, ZONE)?.parse().ok()
}

/// Tells whether the reader told their zone, and not their browser.
pub(super) fn has_chosen_zone(request: &HttpRequest) -> bool {
    get(request, ZONE_CHOSEN).is_some_and(|chosen| chosen == "1")
}

/// Returns the header that makes a browser keep the secret of its session until it is closed.
pub(super) fn keep_session(request: &HttpRequest, pass: &Pass) -> HeaderValue {
    set(&format!("{}={}; Path=/; HttpOnly; SameSite=Strict", session_name(request), pass.expose()))
}

/// Returns the header that makes it forget it.
pub(super) fn forget_session(request: &HttpRequest) -> HeaderValue {
    set(&format!("{}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0", session_name(request)))
}

/// Returns the header that makes a browser remember something that is no secret, for a year.
pub(super) fn remember(name: &str, value: &str) -> HeaderValue {
    set(&format!("{name}={value}; Path=/; SameSite=Strict; Max-Age=31536000"))
}

fn set(cookie: &str) -> HeaderValue {
    let mut value = HeaderValue::from_str(cookie).expect("names, offsets and secrets are visible ASCII");
    value.set_sensitive(true);
    value
}

fn get(request: &HttpRequest, name: &str) -> Option<String> {
    all(request, name).into_iter().next()
}

fn all(request: &HttpRequest, name: &str) -> Vec<String> {
    let headers = request.headers().get_all(header::COOKIE).filter_map(|header| header.to_str().ok());
    let cookies = headers.flat_map(|header| header.split(';')).filter_map(|cookie| cookie.split_once('='));
    cookies.filter(|(known, _)| known.trim() == name).map(|(_, value)| value.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn each_port_has_its_own_session() {
        let request = TestRequest::default()
            .insert_header(("host", "localhost:9000"))
            .insert_header(("cookie", "mcpd-session-8081=one; mcpd-session-9000=two; mcpd-zone=+05:30"))
            .to_http_request();
        assert_eq!(sessions(&request), ["two"]);
        assert_eq!(zone(&request), "+05:30".parse().ok());
    }

    #[test]
    fn what_is_no_offset_is_no_zone() {
        let request =
            TestRequest::default().insert_header(("cookie", "mcpd-zone=<script>")).to_http_request();
        assert_eq!((sessions(&request), zone(&request)), (Vec::new(), None));
    }
}
