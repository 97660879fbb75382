//! Whether what is kept of usage adds up.

use std::sync::Arc;

use actix_web::HttpResponse;
use serde::Serialize;

use super::{Call, Desk};
use crate::http::ApiError;
use crate::http::block::gently;
use crate::store::usage::{Check, Difference, Verification, verify};

/// Whether usage adds up, whichever way it is looked at.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "UsageVerification")]
pub(crate) struct VerificationView {
    /// Always `usage_verification`.
    pub(crate) object: &'static str,
    pub(crate) ok: bool,
    pub(crate) checked: Vec<CheckView>,
    pub(crate) first_difference: Option<DifferenceView>,
}

#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "UsageCheck")]
pub(crate) struct CheckView {
    pub(crate) what: &'static str,
    /// How many rows were looked at.
    pub(crate) rows: u64,
    pub(crate) ok: bool,
    /// How many sums are not as they must be.
    pub(crate) differences: u64,
}

#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "UsageDifference")]
pub(crate) struct DifferenceView {
    pub(crate) what: &'static str,
    pub(crate) start: String,
    /// `null` where it is all keys together; empty for requests without a key that the server knows.
    pub(crate) key: Option<String>,
    pub(crate) endpoint: String,
    pub(crate) status: u16,
    pub(crate) model: Option<String>,
    pub(crate) figure: &'static str,
    pub(crate) expected: u64,
    pub(crate) found: u64,
}

pub(super) async fn answer(call: Call) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(check(&call.desk).await?))
}

/// Tells whether usage adds up. It looks at every row, and holds nobody up meanwhile.
pub(crate) async fn check(desk: &Desk) -> Result<VerificationView, ApiError> {
    // What was counted until now is looked at too.
    desk.flush().await;
    let rooms = Arc::clone(&desk.rooms);
    let verification = gently(move || rooms.store.read_apart(verify)).await?;
    Ok(VerificationView::new(verification))
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
