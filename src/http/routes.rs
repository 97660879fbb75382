//! Route tables: what is not in one does not exist.

use std::borrow::Cow;

use actix_web::http::Method;

use super::path;

/// A route: a method and a path, what it asks for, and what answers it.
///
/// In a pattern, `{id}` stands for one part of the path.
pub struct Route<A, H> {
    /// The method.
    pub method: Method,
    /// The path, such as `/v1/models/{id}`.
    pub pattern: &'static str,
    /// Whether what stands for `{id}` may have slashes in it, as some models' names do.
    pub slashes: bool,
    /// What a caller needs. A route cannot be written down without it.
    pub access: A,
    /// What the route is for, in one line.
    pub summary: &'static str,
    /// What answers.
    pub handler: H,
}

/// What a table has for a request.
pub enum Found<'t, 'p, A, H> {
    /// A route, and what stood for its parameter.
    Route(&'t Route<A, H>, Option<Cow<'p, str>>),
    /// The path exists, with these methods only.
    OtherMethods(String),
    /// Nothing.
    Nothing,
}

/// Finds the route of a request. Paths are compared as they were sent: no other spelling opens a route.
pub fn find<'t, 'p, A, H>(table: &'t [Route<A, H>], method: &Method, path: &'p str) -> Found<'t, 'p, A, H> {
    let mut others: Vec<&str> = Vec::new();
    for route in table {
        let Some(parameter) = parameter(route.pattern, route.slashes, path) else { continue };
        if route.method == *method {
            return Found::Route(route, parameter.map(path::decode));
        }
        others.push(route.method.as_str());
    }
    if others.is_empty() { Found::Nothing } else { Found::OtherMethods(others.join(", ")) }
}

/// Matches a path against a pattern; returns what stands for the parameter, if there is one.
fn parameter<'p>(pattern: &str, slashes: bool, path: &'p str) -> Option<Option<&'p str>> {
    let Some((head, rest)) = pattern.split_once('{') else {
        return (pattern == path).then_some(None);
    };
    let (_, tail) = rest.split_once('}').expect("a pattern closes its braces");
    let value = path.strip_prefix(head)?.strip_suffix(tail)?;
    let fits = !value.is_empty() && (slashes || !value.contains('/'));
    fits.then_some(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_plain_path_matches() {
        let cases: &[(&str, &str, Option<Option<&str>>)] = &[
            ("/v1/models", "/v1/models", Some(None)),
            ("/v1/models", "/v1/models/", None),
            ("/v1/models", "//v1/models", None),
            ("/v1/models", "/v1//models", None),
            ("/v1/models", "/V1/models", None),
            ("/v1/models", "/v1/Models", None),
            ("/v1/models", "/v1%2fmodels", None),
            ("/v1/models", "/v1/./models", None),
            ("/v1/models/{id}", "/v1/models/llama3", Some(Some("llama3"))),
            ("/v1/models/{id}", "/v1/models/", None),
            ("/v1/contexts/{id}", "/v1/contexts/a/b", None),
            ("/v1/contexts/{id}/messages", "/v1/contexts/a/messages", Some(Some("a"))),
            ("/v1/contexts/{id}/messages", "/v1/contexts/a/b/messages", None),
            ("/v1/contexts/{id}/messages", "/v1/contexts//messages", None),
            ("/v1/contexts/{id}/messages", "/v1/contexts/messages", None),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(parameter(pattern, false, path), *expected, "{pattern} {path}");
        }
    }

    #[test]
    fn names_with_slashes_match_where_the_route_says_so() {
        let path = "/v1/models/org/model";
        assert_eq!(parameter("/v1/models/{id}", true, path), Some(Some("org/model")));
        assert_eq!(parameter("/v1/models/{id}", false, path), None);
    }
}
