//! The models that a key may name.

use std::time::Duration;

use actix_web::HttpResponse;
use serde::Serialize;

use crate::http::ApiError;
use crate::http::public::Call;
use crate::upstream::{Catalog, UpstreamError};

/// Upstreams that tell their models themselves are asked again after this long.
const MAX_AGE: Duration = Duration::from_secs(5);

/// A model in OpenAI's shape.
#[derive(Serialize, schemars::JsonSchema)]
pub(super) struct Model {
    id: String,
    /// Always `model`.
    object: &'static str,
    /// Always 0: upstreams do not agree on what it means.
    created: i64,
    /// The upstream that has it.
    owned_by: String,
}

/// A list of models in OpenAI's shape.
#[derive(Serialize, schemars::JsonSchema)]
pub(super) struct ModelList {
    /// Always `list`.
    object: &'static str,
    data: Vec<Model>,
}

/// Lists the models that the key may name.
pub(super) async fn list(call: Call) -> Result<HttpResponse, ApiError> {
    let catalog = call.rooms.upstream.catalog(MAX_AGE).await;
    let permit = call.exchange.permit()?;
    let allowed = &permit.entry.key.settings.extras().allowed_models;
    let models = catalog.models().into_iter().filter(|model| allowed.permit(model));
    let data = models.map(|model| describe(&catalog, model)).collect();
    Ok(super::json(&ModelList { object: "list", data }))
}

/// Describes one model, if the key may name it.
pub(super) async fn show(call: Call) -> Result<HttpResponse, ApiError> {
    call.exchange.permit()?.check_model(&call.parameter)?;
    let catalog = call.rooms.upstream.catalog(MAX_AGE).await;
    if catalog.owner(&call.parameter).is_none() {
        return Err(UpstreamError::UnknownModel.into());
    }
    call.exchange.set_model(call.parameter.as_str().into());
    Ok(super::json(&describe(&catalog, &call.parameter)))
}

fn describe(catalog: &Catalog, model: &str) -> Model {
    let owned_by = catalog.owner(model).unwrap_or_default().to_owned();
    Model { id: model.to_owned(), object: "model", created: 0, owned_by }
}
