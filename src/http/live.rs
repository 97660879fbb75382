//! What the configuration says of requests on their way, as it is now: read again while requests are in flight.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::public::Rooms;
use crate::domain::network::Networks;
use crate::domain::skew::Skew;
use crate::latest::Latest;
use crate::upstream::{Connections, Upstreams};

/// What a request is held to; one request is held to the same from its beginning to its end.
#[derive(Debug)]
pub struct Live {
    /// Proxies whose word on the client's address is taken.
    pub trusted_proxies: Networks,
    /// The longest JSON body that is taken, in bytes.
    pub max_json_bytes: usize,
    /// Whether every request must be signed, and how old a signature may be.
    pub signing: Signing,
    /// The upstreams.
    pub upstreams: Arc<Upstreams>,
    /// What connections to them share.
    pub connections: Connections,
}

/// How requests are signed.
#[derive(Clone, Copy, Debug)]
pub struct Signing {
    /// Whether every request must be.
    pub required: bool,
    /// How far a signature's time may be from the server's.
    pub skew: Skew,
}

/// A worker's rooms, made anew when there is a later [`Live`].
pub struct CurrentRooms {
    latest: Arc<Latest<Live>>,
    rooms: RefCell<(u64, Rc<Rooms>)>,
}

impl CurrentRooms {
    /// Returns the rooms that `make` makes of what holds now.
    pub fn new(latest: Arc<Latest<Live>>, make: impl FnOnce(Arc<Live>) -> Rooms) -> Self {
        let (edition, live) = latest.numbered();
        Self { latest, rooms: RefCell::new((edition, Rc::new(make(live)))) }
    }

    /// Returns the rooms for a request that begins now. Those that are in flight keep theirs.
    pub fn now(&self) -> Rc<Rooms> {
        let mut rooms = self.rooms.borrow_mut();
        if rooms.0 != self.latest.edition() {
            let (edition, live) = self.latest.numbered();
            *rooms = (edition, Rc::new(rooms.1.renewed(live)));
        }
        Rc::clone(&rooms.1)
    }
}
