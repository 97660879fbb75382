//! Where somebody works on the server: with what, and who it is. What the admin API does, it does from here, whoever asks.

use std::sync::Arc;

use super::Rooms;
use crate::domain::audit::Actor;
use crate::domain::time::Timestamp;
use crate::http::ApiError;
use crate::http::block::block;
use crate::keys::{Idempotency, Order};

/// Who works on the server, and with what.
#[derive(Clone)]
pub struct Desk {
    /// With what.
    pub rooms: Arc<Rooms>,
    /// Who.
    pub actor: Actor,
}

impl Desk {
    /// Returns the time.
    pub(crate) fn now(&self) -> Timestamp {
        self.rooms.clock.now().wall
    }

    /// Returns who wants a change, and how to tell the same wish sent twice.
    pub(crate) fn order(&self, idempotency: Option<Idempotency>) -> Order {
        Order { actor: self.actor, idempotency }
    }

    /// Runs blocking work where it holds nobody up.
    pub(crate) async fn block<T, E>(
        &self,
        work: impl FnOnce(&Rooms) -> Result<T, E> + Send + 'static,
    ) -> Result<T, ApiError>
    where
        T: Send + 'static,
        E: Into<ApiError> + Send + 'static,
    {
        let rooms = Arc::clone(&self.rooms);
        block(move || work(&rooms)).await
    }

    /// Writes out what was counted, so that what is asked for next includes it. A full disk keeps it from being
    /// written, but not from being counted, nor the rest from being told.
    pub(crate) async fn flush(&self) {
        let _ = self.rooms.keeper.flush().await;
    }
}
