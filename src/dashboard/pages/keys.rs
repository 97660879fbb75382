//! The list of keys.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use crate::admin::key_view::KeyView;
use crate::admin::keys::{self, ListQuery};
use crate::dashboard::frame::{Frame, Place};
use crate::dashboard::{Visit, assets, page, see_other, text};
use crate::domain::key::Status;
use crate::domain::token::{self, Token};
use crate::http::ApiError;

/// How many keys a page has.
const ROWS: u32 = 50;

#[derive(Template)]
#[template(path = "keys.html")]
struct KeysPage {
    frame: Frame,
    counts: Counts,
    search: String,
    chosen: String,
    sort: String,
    order: String,
    columns: Vec<Column>,
    keys: Vec<KeyView>,
    /// How many keys there are to see.
    matching: String,
    first: Option<String>,
    next: Option<String>,
}

/// How many keys there are, by status.
struct Counts([(Status, usize); 4]);

/// A column's head.
struct Column {
    name: &'static str,
    /// `ascending` or `descending`, where the rows are sorted by it.
    sorted: Option<&'static str>,
    /// Where they are sorted by it, or the other way round.
    path: Option<String>,
}

/// Lists the keys.
pub(super) async fn show(visit: Visit) -> Result<HttpResponse, ApiError> {
    let asked = Asked::of(&visit);
    // A key that was pasted leaves the address too.
    if visit.form.said("search").is_some_and(|text| Some(text) != asked.search.as_deref()) {
        return Ok(see_other(&asked.path(None)));
    }
    let query = asked.query();
    let found = keys::page(&visit.desk, &query).await?;
    let matching = keys::count(&visit.desk, &query).await?;
    let next = found.last_id.as_deref().filter(|_| found.has_more).map(|last| asked.path(Some(last)));
    let shown = KeysPage {
        frame: visit.frame(Place::Keys),
        counts: Counts(visit.desk.rooms.keys.keyring().count(visit.desk.now())),
        matching: text::of(matching, "key"),
        first: asked.after.is_some().then(|| asked.path(None)),
        next,
        columns: asked.columns(),
        keys: found.data,
        search: asked.search.unwrap_or_default(),
        chosen: asked.status.unwrap_or_default(),
        sort: asked.sort,
        order: asked.order,
    };
    page(StatusCode::OK, &shown)
}

/// Returns what to search for: of a whole key its hint, so that it is found and not shown again.
fn searched(text: &str) -> String {
    Token::parse(text.as_bytes())
        .map_or_else(|_| token::redact(text).into_owned(), |token| token.hint().to_string())
}

/// Which keys are to be seen, and in which order.
#[derive(Clone)]
struct Asked {
    search: Option<String>,
    status: Option<String>,
    after: Option<String>,
    sort: String,
    order: String,
}

/// The columns: what each is called, and what the admin API calls to sort by it.
const COLUMNS: [(&str, Option<&str>); 7] = [
    ("Key", Some("name")),
    ("Status", None),
    ("Scopes", None),
    ("Limit", None),
    ("Expires", Some("expires")),
    ("Last used", Some("last_used")),
    ("Created", Some("created")),
];

/// What keys can be sorted by.
const SORTS: [(&str, &str); 4] =
    [("created", "created"), ("name", "name"), ("last_used", "last used"), ("expires", "expires")];

impl Asked {
    fn of(visit: &Visit) -> Self {
        let said = |name: &str| visit.form.said(name).map(ToOwned::to_owned);
        Self {
            search: said("search").map(|text| searched(&text)),
            status: said("status"),
            after: said("after"),
            sort: said("sort").unwrap_or_else(|| "created".to_owned()),
            order: said("order").unwrap_or_else(|| "desc".to_owned()),
        }
    }

    fn query(&self) -> ListQuery {
        ListQuery {
            limit: Some(ROWS.to_string()),
            after: self.after.clone(),
            status: self.status.clone(),
            search: self.search.clone(),
            sort: Some(self.sort.clone()),
            order: Some(self.order.clone()),
        }
    }

    /// Returns the way to these keys, from the one after `after` on.
    fn path(&self, after: Option<&str>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let said = [("search", self.search.as_deref()), ("status", self.status.as_deref()), ("after", after)];
        query.extend_pairs(said.into_iter().filter_map(|(name, value)| Some((name, value?))));
        query.append_pair("sort", &self.sort).append_pair("order", &self.order);
        format!("/keys?{}", query.finish())
    }

    fn columns(&self) -> Vec<Column> {
        COLUMNS.map(|(name, sort)| self.column(name, sort)).into()
    }

    /// Returns a column's head, which leads to the keys in its order; where they are in it, the other way round.
    fn column(&self, name: &'static str, sort: Option<&str>) -> Column {
        let Some(sort) = sort else { return Column { name, sorted: None, path: None } };
        let (is_sorted, is_rising) = (self.sort == sort, self.order == "asc");
        let rises = if is_sorted { !is_rising } else { sort == "name" };
        let order = if rises { "asc" } else { "desc" }.to_owned();
        let other = Self { sort: sort.to_owned(), order, ..self.clone() };
        Column {
            name,
            sorted: is_sorted.then_some(if is_rising { "ascending" } else { "descending" }),
            path: Some(other.path(None)),
        }
    }
}

impl Counts {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "templates hand over references")]
    fn of(&self, status: &Status) -> usize {
        self.0.iter().find(|(known, _)| known == status).map_or(0, |(_, count)| *count)
    }

    fn total(&self) -> usize {
        self.0.iter().map(|(_, count)| count).sum()
    }
}
