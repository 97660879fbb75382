//! The whole audit log, a JSON object a line.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::Bytes;
use futures_util::Stream;
use futures_util::stream::try_unfold;

use super::super::{Desk, Rooms};
use super::AuditRow;
use crate::http::ApiError;
use crate::http::block::block;
use crate::store::StoreError;
use crate::store::audit;

/// As many rows are read, and in memory, at a time.
const SLICE: u32 = 100;

/// Says how many rows follow: some clients take the end of a connection for the end of the answer.
const ROWS: &str = "x-mcp-rows";

/// Closes the connection, so that nobody takes what came until then for the whole.
#[derive(Debug, thiserror::Error)]
#[error("the export ended early")]
struct EndedEarly;

/// Hands out all rows that there are now, oldest first.
pub(crate) async fn export(desk: &Desk) -> Result<HttpResponse, ApiError> {
    let (until, rows) = desk.block(|rooms| rooms.store.read(audit::extent)).await?;
    let lines = lines(Arc::clone(&desk.rooms), until);
    let mut response = HttpResponse::Ok();
    Ok(response.content_type("application/x-ndjson").insert_header((ROWS, rows)).streaming(lines))
}

fn lines(rooms: Arc<Rooms>, until: i64) -> impl Stream<Item = Result<Bytes, EndedEarly>> {
    // From the lowest number on: what somebody else put before the first row is handed out too.
    try_unfold((rooms, Some(i64::MIN)), move |(rooms, from)| async move {
        let Some(from) = from else { return Ok(None) };
        let reader = Arc::clone(&rooms);
        // What went wrong is in the log.
        let slice = block(move || read(&reader, from, until)).await.map_err(|_| EndedEarly)?;
        Ok(slice.map(|(bytes, last)| (bytes, (rooms, last.checked_add(1)))))
    })
}

/// Returns the next rows, written out, and the number of the last; nothing behind the last of all.
fn read(rooms: &Rooms, from: i64, until: i64) -> Result<Option<(Bytes, i64)>, StoreError> {
    let rows = rooms.store.read(|db| audit::slice(db, from, until, SLICE))?;
    let Some(last) = rows.last().map(|row| row.number) else { return Ok(None) };
    let mut text = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut text, &AuditRow::new(row)).expect("strings serialise");
        text.push(b'\n');
    }
    Ok(Some((text.into(), last)))
}
