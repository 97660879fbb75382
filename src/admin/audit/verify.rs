//! Proves that the audit log is as it was written.

use actix_web::HttpResponse;
use serde::Serialize;

use super::super::{Call, Desk, Rooms};
use crate::domain::chain::{Break, Chain};
use crate::domain::hex;
use crate::http::ApiError;
use crate::http::block::gently;
use crate::store::StoreError;
use crate::store::audit::{self, Chained};

/// As many rows are read at a time, so that nothing is held for long. Rows are only ever added: those up to the one
/// that is the last when the walk begins are one and the same all the way.
const SLICE: u32 = 1_000;

/// What a walk along the audit log found.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "AuditVerification")]
pub(crate) struct VerificationView {
    /// Always `audit_verification`.
    pub(crate) object: &'static str,
    /// Whether every row is as it was written, and none is missing.
    pub(crate) ok: bool,
    /// How many rows were looked at: all, or those up to the first bad one.
    pub(crate) rows: u64,
    pub(crate) first_bad: Option<BadRow>,
    /// The digest of the last row. Kept elsewhere, it tells whether the whole log was written anew since.
    pub(crate) head: String,
}

#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "BadAuditRow")]
pub(crate) struct BadRow {
    /// `null` if the log should have rows and has none.
    pub(crate) id: Option<String>,
    pub(crate) reason: String,
}

pub(in super::super) async fn answer(call: Call) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(verify(&call.desk).await?))
}

/// Walks along the whole log and tells whether it holds together.
pub(crate) async fn verify(desk: &Desk) -> Result<VerificationView, ApiError> {
    let rooms = std::sync::Arc::clone(&desk.rooms);
    gently(move || walk(&rooms)).await
}

fn walk(rooms: &Rooms) -> Result<VerificationView, StoreError> {
    let (last, written) = rooms.store.read(audit::head)?;
    let until = last.as_ref().map_or(0, |last| last.number);
    let mut chain = Chain::default();
    // The first row has the number 1: whatever stands before it was put in.
    let stray = rooms.store.read(|db| audit::slice(db, i64::MIN, 0, 1))?;
    let mut bad = follow(&mut chain, &stray).err().map(|(row, fault)| (Some(row.row.id.clone()), fault));
    while bad.is_none() && chain.number() < until {
        let after = chain.number();
        let slice = rooms.store.read(|db| audit::slice(db, after + 1, until, SLICE))?;
        bad = match follow(&mut chain, &slice) {
            Err((row, fault)) => Some((Some(row.row.id.clone()), fault)),
            Ok(()) if chain.number() == after => Some((last_id(last.as_ref()), Break::Cut(until))),
            Ok(()) => None,
        };
    }
    let cut = chain.end(written).err().map(|fault| (last_id(last.as_ref()), fault));
    let first_bad = bad.or(cut).map(|(id, fault)| BadRow { id, reason: fault.to_string() });
    Ok(VerificationView {
        object: "audit_verification",
        ok: first_bad.is_none(),
        rows: chain.rows(),
        first_bad,
        head: hex::encode(&last.map_or(vec![0; 32], |last| last.digest)),
    })
}

/// Follows the chain along rows; fails with the first that does not hold.
fn follow<'a>(chain: &mut Chain, rows: &'a [Chained]) -> Result<(), (&'a Chained, Break)> {
    rows.iter()
        .try_for_each(|row| chain.follow(row.number, &row.row, row.seal()).map_err(|fault| (row, fault)))
}

fn last_id(last: Option<&Chained>) -> Option<String> {
    last.map(|last| last.row.id.clone())
}
