//! A copy of the database, handed out while the server goes on.

mod handout;

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::SizedStream;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION};
use actix_web::web::Bytes;
use futures_util::Stream;
use futures_util::stream::try_unfold;
use ring::rand::SystemRandom;
use serde_json::json;

use self::handout::{Handout, MOST_IDLE};
use super::keys::Nothing;
use super::{Call, Desk, Rooms};
use crate::clock::Clock;
use crate::domain::audit::{Actor, Change, row_id};
use crate::domain::time::Timestamp;
use crate::http::ApiError;
use crate::http::block::{block, gently};
use crate::store::backup::Copy;
use crate::store::{self, StoreError};

/// As much of the copy is in memory at a time, in bytes.
const PIECE: usize = 64 * 1024;

/// How often it is looked whether a reader still reads.
const LOOK: Duration = Duration::from_millis(400);

/// Closes the connection, so that nobody takes what came until then for the whole.
#[derive(Debug, thiserror::Error)]
#[error("the backup ended early")]
struct EndedEarly;

pub(super) async fn answer(call: Call) -> Result<HttpResponse, ApiError> {
    call.json::<Nothing>()?;
    create(&call.desk).await
}

/// Makes a copy of the database and hands it out. Not a byte is sent before the copy is whole and checked.
pub(crate) async fn create(desk: &Desk) -> Result<HttpResponse, ApiError> {
    // So that the copy has what was counted up to now.
    desk.flush().await;
    let rooms = Arc::clone(&desk.rooms);
    let copy = gently(move || rooms.store.copy()).await?;
    let (bytes, actor) = (copy.bytes(), desk.actor);
    // Not gently: whoever writes holds the one writer, and gives way to nobody while others wait for it.
    desk.block(move |rooms| note(rooms, actor, bytes)).await?;
    let name = file_name(desk.rooms.clock.now().wall);
    tracing::info!("handing out a backup of {bytes} bytes");
    let clock = desk.rooms.clock.clone();
    let handout = Arc::new(Handout::new(copy, clock.steady()));
    end_once_idle(&handout, clock.clone());
    Ok(HttpResponse::Ok()
        .content_type("application/vnd.sqlite3")
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(SizedStream::new(bytes, pieces(handout, clock))))
}

/// Writes down who took a copy: whoever has it has all that is stored.
fn note(rooms: &Rooms, actor: Actor, bytes: u64) -> Result<(), ApiError> {
    let id = row_id(&SystemRandom::new()).map_err(|_| ApiError::Internal)?;
    let change = Change {
        at: rooms.clock.now().wall,
        actor,
        action: "backup.create",
        target: "database".to_owned(),
        before: None,
        after: Some(json!({"bytes": bytes})),
    };
    rooms.store.write(|transaction| Ok::<_, StoreError>(store::audit::append(transaction, id, change)?))?;
    Ok(())
}

fn pieces(handout: Arc<Handout<Copy>>, clock: Clock) -> impl Stream<Item = Result<Bytes, EndedEarly>> {
    try_unfold((handout, clock, 0), |(handout, clock, at)| async move {
        let copy = handout.take_up(clock.steady()).ok_or(EndedEarly)?;
        if at >= copy.bytes() {
            return Ok(None);
        }
        let read = block(move || copy.read(at, PIECE).map_err(store::backup::CopyError::from)).await;
        // What went wrong is in the log.
        let piece = Bytes::from(read.map_err(|_| EndedEarly)?);
        let next = at + piece.len() as u64;
        Ok(Some((piece, (handout, clock, next))))
    })
}

/// Ends a hand-out whose reader has stopped reading, so that its space and its turn are free again.
fn end_once_idle(handout: &Arc<Handout<Copy>>, clock: Clock) {
    let handout = Arc::downgrade(handout);
    actix_web::rt::spawn(async move {
        loop {
            tokio::time::sleep(LOOK).await;
            let Some(handout) = handout.upgrade() else { return };
            if handout.end_if_idle(clock.steady()) {
                return tracing::warn!(
                    "ended a backup: its reader took nothing for {} seconds",
                    MOST_IDLE.as_secs()
                );
            }
        }
    });
}

/// Such as `mcpd-2026-11-24-180616.db`.
fn file_name(now: Timestamp) -> String {
    format!("mcpd-{}.db", now.in_file_name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_is_named_by_its_date() {
        let now = Timestamp::from_millis(1_795_457_776_500);
        assert_eq!(file_name(now), "mcpd-2026-11-23-181616.db");
    }
}
