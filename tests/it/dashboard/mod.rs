//! The dashboard, as a browser asks for it: who may see a page, what it shows, what its forms do.

mod alerts;
mod audit;
mod explain;
mod key;
mod large;
mod new_key;
mod pages;
mod rules;
mod sign_in;
mod stored;

use crate::harness::{Answer, Request, TestServer, escape};

/// A browser that is signed in.
pub struct Browser<'a> {
    server: &'a TestServer,
    cookie: String,
}

impl<'a> Browser<'a> {
    /// Signs in with the admin token.
    pub fn sign_in(server: &'a TestServer) -> Self {
        let answer = post(server, "/sign-in", &[("token", &server.token)]).expect(303);
        Self { server, cookie: cookie_of(&answer) }
    }

    /// Asks for a page.
    pub fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path))
    }

    /// Asks for a page that is there; returns its HTML.
    pub fn page(&self, path: &str) -> String {
        self.get(path).expect(200).text()
    }

    /// Sends a form of this server's.
    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.form_token();
        let mut fields = fields.to_vec();
        fields.push(("form_token", &token));
        self.send(form(path, &fields))
    }

    /// Sends a form as it is.
    pub fn post_bare(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(form(path, fields))
    }

    pub fn form_token(&self) -> String {
        value_of(&self.page("/zone"), "form_token")
    }

    fn send(&self, request: Request) -> Answer {
        request.header("Cookie", &self.cookie).send(self.server.admin)
    }
}

/// Sends a form without being signed in.
pub fn post(server: &TestServer, path: &str, fields: &[(&str, &str)]) -> Answer {
    form(path, fields).send(server.admin)
}

fn form(path: &str, fields: &[(&str, &str)]) -> Request {
    let body: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
    Request::new("POST", path)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(body.join("&"))
}

/// Returns the cookie that an answer sets, as the next request sends it.
pub fn cookie_of(answer: &Answer) -> String {
    let set = answer.header("set-cookie").expect("no cookie is set");
    set.split(';').next().unwrap().to_owned()
}

/// Returns what a hidden field of a page holds.
pub fn value_of(html: &str, field: &str) -> String {
    let start =
        html.find(&format!("name=\"{field}\" value=\"")).unwrap_or_else(|| panic!("no {field} in {html}"));
    let rest = &html[start..];
    let value = rest.split("value=\"").nth(1).unwrap();
    value.split('"').next().unwrap().to_owned()
}
