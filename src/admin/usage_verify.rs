//! Whether what is kept of usage adds up.

use std::sync::Arc;

use actix_web::HttpResponse;
use serde::Serialize;

use super::Call;
use crate::http::ApiError;
use crate::http::block::gently;
use crate::store::usage::{Check, Difference, Verification, verify};

/// Whether usage adds up, whichever way it is looked at.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "UsageVerification")]
pub(super) struct VerificationView {
    /// Always `usage_verification`.
    object: &'static str,
    ok: bool,
    checked: Vec<CheckView>,
    first_difference: Option<DifferenceView>,
}

#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "UsageCheck")]
struct CheckView {
    what: &'static str,
    /// How many rows were looked at.
    rows: u64,
    ok: bool,
    /// How many sums are not as they must be.
    differences: u64,
}

#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "UsageDifference")]
struct DifferenceView {
    what: &'static str,
    start: String,
    /// `null` where it is all keys together; empty for requests without a key that the server knows.
    key: Option<String>,
    endpoint: String,
    status: u16,
    model: Option<String>,
    figure: &'static str,
    expected: u64,
    found: u64,
}

/// Tells whether usage adds up. It looks at every row, and holds nobody up meanwhile.
pub(super) async fn show(call: Call) -> Result<HttpResponse, ApiError> {
    // What was counted until now is looked at too.
    call.flush().await;
    let rooms = Arc::clone(&call.rooms);
    let verification = gently(move || rooms.store.read_apart(verify)).await?;
    Ok(HttpResponse::Ok().json(VerificationView::new(verification)))
}

impl VerificationView {
    fn new(verification: Verification) -> Self {
        let Verification { checks, first_difference } = verification;
        Self {
            object: "usage_verification",
            ok: checks.iter().all(|check| check.differences == 0),
            checked: checks.iter().map(CheckView::new).collect(),
            first_difference: first_difference.map(DifferenceView::new),
        }
    }
}

impl CheckView {
    fn new(check: &Check) -> Self {
        let Check { what, rows, differences } = *check;
        Self { what, rows, ok: differences == 0, differences }
    }
}

impl DifferenceView {
    fn new(difference: Difference) -> Self {
        let Difference { what, start, key, endpoint, status, model, figure, expected, found } = difference;
        let model = (!model.is_empty()).then_some(model);
        Self { what, start: start.to_string(), key, endpoint, status, model, figure, expected, found }
    }
}
