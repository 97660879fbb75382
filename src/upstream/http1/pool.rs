//! Connections of one worker to one upstream, kept between requests.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::web::Bytes;
use tokio::time::{Instant, timeout_at};

use super::SendError;
use super::connection::{Connection, Target};
use super::head::{self, Head};
use super::request::{Request, Unsent};
use super::response::Response;

/// How long an idle connection is kept: less than model servers keep theirs (Ollama and vLLM: a minute and more).
const KEPT_IDLE: Duration = Duration::from_secs(15);
/// No connection lives longer, so that a changed address is noticed.
const LONGEST_LIFE: Duration = Duration::from_secs(600);

/// A pool of connections.
pub struct Pool {
    target: Target,
    /// The one that was used last is at the end, and used first.
    idle: RefCell<Vec<Idle>>,
    /// Whether somebody clears away what is idle for too long.
    is_cleared: Cell<bool>,
}

/// By when an answer is to begin.
#[derive(Clone, Copy)]
struct Deadline {
    at: Instant,
    patience: Duration,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pool {
    /// Returns a pool without connections.
    pub fn new(target: Target) -> Rc<Self> {
        Rc::new(Self { target, idle: RefCell::default(), is_cleared: Cell::new(false) })
    }

    /// Sends a request, and returns its answer once its head has come, which may take as long as `patience`.
    ///
    /// A kept connection that the upstream has closed just as it was taken is replaced by a fresh one, once; hanging up
    /// on that one too is an answer of a kind.
    pub async fn send(
        self: &Rc<Self>,
        request: &Request,
        body: &[Bytes],
        patience: Duration,
    ) -> Result<Response, SendError> {
        let now = Instant::now();
        let by = Deadline { at: now + patience, patience };
        if let Some(kept) = self.take(now) {
            match self.ask(kept, request.with(body), by).await {
                Err(SendError::HungUp) => {}
                answered => return answered,
            }
        }
        let fresh = Box::pin(timeout_at(by.at, self.target.connect()));
        let fresh = fresh.await.map_err(|_| SendError::Late(patience))??;
        self.ask(fresh, request.with(body), by).await
    }

    // An `async fn` has room for what it is given twice: once as it is given, and once as it is used.
    #[expect(clippy::manual_async_fn, reason = "each request's future is as large as what it waits for")]
    fn ask(
        self: &Rc<Self>,
        mut connection: Connection,
        mut unsent: Unsent<'_>,
        by: Deadline,
    ) -> impl Future<Output = Result<Response, SendError>> {
        async move {
            let mut seen = 0;
            let head = poll_fn(|cx| match poll_head(&mut connection, &mut unsent, &mut seen, cx) {
                Poll::Pending => connection.alarm.poll(by.at, cx).map(|()| Err(SendError::Late(by.patience))),
                answered @ Poll::Ready(_) => answered,
            });
            let head = head.await?;
            // An upstream that answers before it has read all may take the rest for the next request.
            let keeps = head.keeps_connection && unsent.is_sent;
            Ok(Response::new(head, connection, keeps.then(|| Rc::clone(self))))
        }
    }

    /// Takes a connection that can be used, if one is kept.
    fn take(&self, now: Instant) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        while let Some(Idle { mut connection, since }) = idle.pop() {
            let is_young =
                now.duration_since(since) < KEPT_IDLE && now.duration_since(connection.born) < LONGEST_LIFE;
            if is_young && connection.is_quiet() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for the next request.
    pub(super) fn keep(self: &Rc<Self>, connection: Connection) {
        self.idle.borrow_mut().push(Idle { connection, since: Instant::now() });
        if !self.is_cleared.replace(true) {
            actix_web::rt::spawn(clear(Rc::downgrade(self)));
        }
    }
}

/// Closes connections that were idle for too long, until none is left.
async fn clear(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(KEPT_IDLE).await;
        let Some(pool) = pool.upgrade() else { return };
        let now = Instant::now();
        let mut idle = pool.idle.borrow_mut();
        idle.retain(|idle| now.duration_since(idle.since) < KEPT_IDLE);
        if idle.is_empty() {
            pool.is_cleared.set(false);
            return;
        }
    }
}

/// Sends what is left of the request, and reads until the answer's head is there.
fn poll_head(
    connection: &mut Connection,
    unsent: &mut Unsent<'_>,
    seen: &mut usize,
    cx: &mut Context<'_>,
) -> Poll<Result<Head, SendError>> {
    if !unsent.is_sent {
        // Where it fails, so does reading; before that, an upstream that closed early may have said why.
        let _ = connection.poll_send(unsent, cx);
    }
    loop {
        match ready!(connection.poll_fill(0, cx)) {
            Ok(0) => return Poll::Ready(Err(broken(connection, io::ErrorKind::UnexpectedEof.into()))),
            Ok(_) => {}
            Err(error) => return Poll::Ready(Err(broken(connection, error))),
        }
        if let Some((head, length)) = head::parse(&connection.read, *seen)? {
            let _ = connection.read.split_to(length);
            return Poll::Ready(Ok(head));
        }
        *seen = connection.read.len();
    }
}

fn broken(connection: &Connection, error: io::Error) -> SendError {
    if connection.read.is_empty() { SendError::HungUp } else { SendError::Broken(error) }
}
