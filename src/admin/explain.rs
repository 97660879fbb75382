//! What the gate would answer to a request, or why it refused one, step by step.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::Method;
use actix_web::http::uri::PathAndQuery;
use serde::{Deserialize, Serialize};

use super::{Call, Desk, Rooms};
use crate::domain::scope::Scope;
use crate::domain::token;
use crate::gate::explain::{Asked, Explanation, Holder, Model, Target, Told};
use crate::gate::trail::Remembered;
use crate::gate::{Demand, Refused, Step};
use crate::http::error::{ErrorObject, nothing_at};
use crate::http::public::{Access, is_api};
use crate::http::routes::{Found, find};
use crate::http::{ApiError, path};
use crate::keys::KeysError;

const USUAL_PATH: &str = "/v1/chat/completions";
/// The route whose parameter is a model that the key must be allowed to name.
const MODEL_IN_PATH: &str = "/v1/models/{id}";

/// A request that might be made, or one that was refused.
#[derive(Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Question")]
pub(crate) struct ExplainBody {
    /// Whose request it would be: a key's id,
    pub(crate) key_id: Option<String>,
    /// or the key itself, however it is written.
    pub(crate) key: Option<String>,
    /// `POST` where nothing is said.
    pub(crate) method: Option<String>,
    /// With its query string; `/v1/chat/completions` where nothing is said.
    pub(crate) path: Option<String>,
    /// The client's address.
    pub(crate) ip: Option<String>,
    /// The model that the request would name.
    pub(crate) model: Option<String>,
    /// Instead of all these: the id of a request that was refused, from its `X-Request-Id`.
    pub(crate) request_id: Option<String>,
}

/// What would become of the request, or became of it.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Explanation")]
pub(crate) struct ExplanationView<'a> {
    pub(crate) allowed: bool,
    /// The status of the answer; 200 where the gate lets the request through.
    pub(crate) status: u16,
    /// The error that the client is told; `null` where there is none.
    pub(crate) error: Option<ErrorObject<'a>>,
    /// The step that refuses; `null` where none does.
    pub(crate) decided_by: Option<&'static str>,
    pub(crate) steps: Vec<StepView>,
    /// Only of a request that was refused.
    #[serde(flatten)]
    pub(crate) request: Option<RequestView>,
}

#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Step")]
pub(crate) struct StepView {
    pub(crate) step: &'static str,
    /// `pass`, `refuse` or `skip`.
    pub(crate) outcome: &'static str,
    /// Why.
    pub(crate) detail: String,
}

/// A request that was refused.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "RefusedRequest")]
pub(crate) struct RequestView {
    pub(crate) request_id: String,
    /// When it came in.
    pub(crate) at: String,
    pub(crate) method: String,
    pub(crate) path: String,
    /// The id of its key; `null` where no key is known.
    pub(crate) key: Option<String>,
    /// The client's address; `null` where it could not be read.
    pub(crate) ip: Option<String>,
}

pub(super) async fn answer(call: Call) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(explain(&call.desk, &call.json()?).await?.view()))
}

/// Explains a request that might be made, or one that was refused. It counts for nothing.
pub(crate) async fn explain(desk: &Desk, body: &ExplainBody) -> Result<Explained, ApiError> {
    match &body.request_id {
        Some(id) => {
            body.check_alone()?;
            desk.refused_before(id).await
        }
        None => desk.would_be(body),
    }
}

/// What would become of a request, or became of it.
pub(crate) struct Explained {
    explanation: Explanation,
    /// What the client is told.
    error: Option<ApiError>,
    /// The request, where it was made.
    request: Option<Arc<Remembered>>,
}

/// A place among the routes, as a request finds it.
struct Place {
    /// What is asked of a key; none where no route is found.
    access: Option<Access>,
    /// What is answered where there is no route.
    error: Option<ApiError>,
    /// Whether the query string carries a key, so that no other is looked at.
    has_key_in_query: bool,
    /// The model, where the path names one.
    model: Option<String>,
}

impl Desk {
    fn would_be(&self, body: &ExplainBody) -> Result<Explained, ApiError> {
        let (method, path, client) = (body.method()?, body.path()?, body.ip()?);
        let holder = self.holder(body)?;
        let place = self.place(&method, &path);
        let why = place.error.as_ref().map(|error| error.message().into_owned()).unwrap_or_default();
        let explanation = self.rooms.gate.explain(&Asked {
            holder,
            client,
            target: place.target(&path, &why),
            request: &path::request_line(&method, path.path()),
            model: place.model(body.model.as_deref()),
            must_sign: self.rooms.live.get().signing.required,
        });
        Ok(Explained::new(explanation, place.error, None))
    }

    async fn refused_before(&self, id: &str) -> Result<Explained, ApiError> {
        let wanted = id.to_owned();
        let find = move |rooms: &Rooms| Ok::<_, ApiError>(rooms.gate.trail().find(&wanted));
        let Some(remembered) = self.block(find).await? else { return Err(self.not_remembered()) };
        let explanation = self.rooms.gate.explain_refusal(&remembered);
        Ok(Explained::new(explanation, None, Some(remembered)))
    }

    fn not_remembered(&self) -> ApiError {
        let known = "only refusals are remembered, the last 100 of each key, until a restart";
        let dropped = match self.rooms.gate.trail().dropped() {
            0 => String::new(),
            dropped => format!("; {dropped} came too fast to be"),
        };
        ApiError::NotFound(format!("No refusal of a request with this id is known: {known}{dropped}").into())
    }

    fn holder<'a>(&self, body: &'a ExplainBody) -> Result<Holder<'a>, ApiError> {
        match (&body.key_id, &body.key) {
            (Some(id), None) => {
                let id = id.parse().map_err(|_| KeysError::NotFound)?;
                let entry = self.rooms.keys.keyring().get(id).ok_or(KeysError::NotFound)?;
                Ok(Holder::Key(entry))
            }
            // Blanks at the end of a header are no part of it, and an empty token is none.
            (None, Some(key)) => {
                Ok(Holder::Bearer(Some(key.trim_end().as_bytes()).filter(|key| !key.is_empty())))
            }
            (Some(_), Some(_)) => Err(ApiError::field("key_id", "and `key` exclude each other: send one")),
            (None, None) => Err(ApiError::field(
                "key_id",
                "is missing: say whose request it would be, or send `key`, or a `request_id` alone",
            )),
        }
    }

    fn place(&self, method: &Method, path: &PathAndQuery) -> Place {
        let (access, error, model) = match find(self.rooms.routes, method, path.path()) {
            Found::Route(route, parameter) => {
                let model = parameter.filter(|_| route.pattern == MODEL_IN_PATH);
                (Some(route.access), None, model.map(Cow::into_owned))
            }
            Found::OtherMethods(methods) => (None, Some(ApiError::MethodNotAllowed(methods)), None),
            Found::Nothing => (None, Some(nothing_at(method, path.path())), None),
        };
        let has_key_in_query = path.query().is_some_and(path::carries_key);
        Place { access, error, has_key_in_query, model }
    }
}

impl Place {
    fn target<'a>(&self, path: &PathAndQuery, why: &'a str) -> Target<'a> {
        match self.access {
            _ if self.has_key_in_query => Target::KeyInQuery,
            Some(Access::Open) => Target::Open,
            Some(Access::Key(demand)) => Target::Route(demand),
            None if is_api(path.path()) => Target::Hidden(why),
            None => Target::Nothing(why),
        }
    }

    /// Tells which model the request would name, as far as it was said.
    fn model<'a>(&'a self, said: Option<&'a str>) -> Model<'a> {
        let asks = [Scope::ChatsCreate, Scope::CompletionsCreate].map(Demand::Scope);
        let is_asked = self.access.and_then(Access::demand).is_some_and(|demand| asks.contains(&demand));
        match (&self.model, said) {
            (Some(in_path), _) => Model::Named(in_path),
            (None, Some(said)) if is_asked => Model::Named(said),
            (None, None) if is_asked => Model::Unsaid,
            (None, _) => Model::Nothing,
        }
    }
}

impl ExplainBody {
    fn check_alone(&self) -> Result<(), ApiError> {
        let others = [&self.key_id, &self.key, &self.method, &self.path, &self.ip, &self.model];
        if others.iter().any(|field| field.is_some()) {
            return Err(ApiError::field("request_id", "stands alone: leave the other fields out"));
        }
        Ok(())
    }

    fn method(&self) -> Result<Method, ApiError> {
        let method = self.method.as_deref().unwrap_or("POST");
        method.parse().map_err(|_| ApiError::field("method", "is no HTTP method"))
    }

    fn path(&self) -> Result<PathAndQuery, ApiError> {
        let path = self.path.as_deref().unwrap_or(USUAL_PATH);
        let parsed = path.parse().ok().filter(|_| path.starts_with('/'));
        parsed.ok_or_else(|| ApiError::field("path", "is no path: it begins with `/`, and has no blanks"))
    }

    fn ip(&self) -> Result<Option<IpAddr>, ApiError> {
        let wrong = || ApiError::field("ip", "is no address such as 203.0.113.9 or 2001:db8::7");
        let parse = |ip: &str| ip.parse().map(|ip: IpAddr| ip.to_canonical()).map_err(|_| wrong());
        self.ip.as_deref().map(parse).transpose()
    }
}

impl RequestView {
    fn new(remembered: &Remembered) -> Self {
        let (asker, entry) = (&remembered.asker, &remembered.refused.entry);
        Self {
            request_id: asker.id.clone(),
            at: asker.at.to_string(),
            method: asker.method.clone(),
            path: asker.path.clone(),
            key: entry.as_ref().map(|entry| entry.key.id.to_string()),
            ip: asker.client.map(|ip| ip.to_canonical().to_string()),
        }
    }
}

impl Explained {
    /// `behind` is what the client is told where the gate itself refuses nothing.
    fn new(explanation: Explanation, behind: Option<ApiError>, request: Option<Arc<Remembered>>) -> Self {
        let refused = explanation.refusal.clone().map(|refusal| Refused::from(refusal).into());
        let error = explanation.decided_by().and(refused.or(behind));
        Self { explanation, error, request }
    }

    /// Returns how it is shown.
    pub(crate) fn view(&self) -> ExplanationView<'_> {
        let decided_by = self.explanation.decided_by();
        ExplanationView {
            allowed: decided_by.is_none(),
            status: self.error.as_ref().map_or(200, |error| error.status().as_u16()),
            error: self.error.as_ref().map(ApiError::object),
            decided_by: decided_by.map(Step::name),
            steps: self.explanation.steps.iter().map(StepView::new).collect(),
            request: self.request.as_deref().map(RequestView::new),
        }
    }
}

impl StepView {
    fn new(told: &Told) -> Self {
        Self {
            step: told.step.name(),
            outcome: told.outcome.name(),
            detail: token::redact(&told.detail).into_owned(),
        }
    }
}
