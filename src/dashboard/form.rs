//! What a form sends.

use actix_web::http::header::{CONTENT_TYPE, HeaderMap};

use crate::http::{ApiError, json};

/// The fields of a form as they were sent, in their order.
#[derive(Default)]
pub(super) struct Form(Vec<(String, String)>);

const KIND: &str = "application/x-www-form-urlencoded";

impl Form {
    /// Returns the fields as a form sends them.
    pub(super) fn encode(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }

    /// Reads the body of a POST; fails if it is no form.
    pub(super) fn of_body(headers: &HeaderMap, body: &[u8]) -> Result<Self, ApiError> {
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(KIND) {
            return Err(ApiError::UnsupportedMediaType(KIND));
        }
        let text = std::str::from_utf8(body).map_err(|_| ApiError::bad_request("the form is not UTF-8"))?;
        Self::of_query(text)
    }

    /// Reads a query string, which is what a form makes of itself that only asks.
    pub(super) fn of_query(query: &str) -> Result<Self, ApiError> {
        json::query(query).map(Self)
    }

    /// Returns a form with these fields, as if it had been sent.
    pub(super) fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// Returns a field without the blanks around it; empty if it is not there.
    pub(super) fn text(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.trim())
    }

    /// Returns a field that says something.
    pub(super) fn said(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// Returns all that was sent by this name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Tells whether a box is ticked.
    pub(super) fn is_ticked(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// Returns the lines of a field that say something.
    pub(super) fn lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let lines = self.all(name).flat_map(str::lines);
        lines.map(str::trim).filter(|line| !line.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_field_by_field() {
        let form = "name=+a%20b+&scope=x&scope=y&ips=10.0.0.0%2F8%0D%0A%0D%0A+%3A%3A1+&empty=";
        let form = Form::of_query(form).unwrap();
        assert_eq!(form.text("name"), "a b");
        assert_eq!(form.all("scope").collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(form.lines("ips").collect::<Vec<_>>(), ["10.0.0.0/8", "::1"]);
        assert_eq!((form.said("empty"), form.text("missing")), (None, ""));
        assert!(form.is_ticked("empty") && !form.is_ticked("missing"));
    }

    #[test]
    fn nothing_else_is_taken_for_a_form() {
        let mut headers = HeaderMap::new();
        assert!(Form::of_body(&headers, b"a=b").is_err());
        headers.insert(CONTENT_TYPE, "text/plain".parse().unwrap());
        assert!(Form::of_body(&headers, b"a=b").is_err());
        headers.insert(CONTENT_TYPE, "application/x-www-form-urlencoded; charset=UTF-8".parse().unwrap());
        assert_eq!(Form::of_body(&headers, b"a=b").unwrap().text("a"), "b");
        assert!(Form::of_body(&headers, b"a=\xff").is_err());
    }
}
