//! The load, and the model server behind: one loop on one core, so that neither waits for the other.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::connection::{Connection, Got};
use crate::upstream::Upstream;

/// What to send, and how.
#[derive(Clone, Copy)]
pub struct Load<'a> {
    pub to: SocketAddr,
    pub connections: usize,
    /// Ready-made requests, sent in turn.
    pub requests: &'a [Vec<u8>],
    /// The status that every answer must have; none where any will do.
    pub status: Option<u16>,
    pub pace: Pace,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Pace {
    /// Each connection sends the next request as soon as it has its answer: a closed loop.
    Closed,
    /// So many requests a second, whether or not answers come; latency counts from when a request was due, so that a
    /// gateway that stalls is not spared the requests that it kept from being sent.
    Rate(f64),
}

/// What a load saw.
pub struct Seen {
    pub answers: u64,
    pub took: Duration,
    /// In nanoseconds, sorted.
    latencies: Vec<u32>,
}

/// The loop, with the model server in it.
pub struct Stage {
    poll: Poll,
    upstream: Upstream,
    events: Events,
}

/// A load with its connections open.
struct Running<'a> {
    load: Load<'a>,
    connections: Vec<Connection>,
    /// When the request in flight on each was sent or due.
    since: Vec<Instant>,
    idle: VecDeque<usize>,
    next: usize,
    due: Instant,
    end: Instant,
    latencies: Vec<u32>,
    buffer: Vec<u8>,
}

impl Seen {
    pub fn per_second(&self) -> f64 {
        self.answers as f64 / self.took.as_secs_f64()
    }

    /// A latency in microseconds that this share of all stays below.
    pub fn percentile(&self, percent: usize) -> f64 {
        let at = (self.latencies.len() * percent / 100).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(at).map_or(f64::NAN, |&nanos| f64::from(nanos) / 1e3)
    }
}

impl Stage {
    pub fn new() -> Self {
        let poll = Poll::new().expect("the system has epoll");
        let upstream = Upstream::start(poll.registry());
        Self { poll, upstream, events: Events::with_capacity(1024) }
    }

    /// Where the model server listens.
    pub fn upstream(&self) -> SocketAddr {
        self.upstream.address
    }

    /// Loads for a while; `halfway` is called when half of it has passed. Requests in flight at the end are waited for.
    pub fn run(&mut self, load: Load<'_>, length: Duration, mut halfway: impl FnMut()) -> Seen {
        let start = Instant::now();
        let mut running = Running::start(load, start, start + length, &self.poll);
        let mut was_halfway = false;
        loop {
            let now = Instant::now();
            running.send_due(now);
            let event_due = self.upstream.send_due(now);
            if running.is_over(now) {
                break;
            }
            if !was_halfway && now > start + length / 2 {
                was_halfway = true;
                halfway();
            }
            let patience = if load.connections == 1 && event_due.is_none() {
                Duration::from_millis(100)
            } else {
                // Spinning: a sleep would be late, and waking this core up would be charged to the gateway.
                Duration::ZERO
            };
            self.poll.poll(&mut self.events, Some(patience)).expect("epoll waits");
            for event in &self.events {
                if Upstream::is_its(event.token()) {
                    self.upstream.look(event.token(), self.poll.registry());
                } else {
                    running.look(event.token().0);
                }
            }
        }
        running.latencies.sort_unstable();
        let answers = running.latencies.len() as u64;
        Seen { answers, took: start.elapsed(), latencies: running.latencies }
    }
}

impl<'a> Running<'a> {
    fn start(load: Load<'a>, start: Instant, end: Instant, poll: &Poll) -> Self {
        let mut connections: Vec<_> = (0..load.connections).map(|_| Connection::open(load.to)).collect();
        for (index, connection) in connections.iter_mut().enumerate() {
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry()
                .register(&mut connection.socket.tcp, Token(index), interest)
                .expect("a socket can be watched");
        }
        let (since, idle) = (vec![start; load.connections], (0..load.connections).collect());
        let (latencies, buffer) = (Vec::with_capacity(1 << 20), vec![0; 64 * 1024]);
        Self { load, connections, since, idle, next: 0, due: start, end, latencies, buffer }
    }

    fn is_over(&self, now: Instant) -> bool {
        assert!(now < self.end + Duration::from_secs(10), "answers are missing");
        now >= self.end && self.idle.len() == self.connections.len()
    }

    /// Sends what is due by `now`; in a closed loop, an answer calls for the next request by itself.
    fn send_due(&mut self, now: Instant) {
        match self.load.pace {
            _ if now >= self.end => {}
            Pace::Closed => {
                while let Some(index) = self.idle.pop_front() {
                    self.send(index, now);
                }
            }
            Pace::Rate(rate) => {
                while self.due <= now
                    && let Some(index) = self.idle.pop_front()
                {
                    self.send(index, self.due);
                    self.due += Duration::from_secs_f64(1.0 / rate);
                }
            }
        }
    }

    fn send(&mut self, index: usize, since: Instant) {
        self.since[index] = since;
        let request = &self.load.requests[self.next];
        self.next = (self.next + 1) % self.load.requests.len();
        self.connections[index].socket.send(request);
    }

    fn look(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        connection.socket.flush();
        match connection.read(&mut self.buffer) {
            Got::More => {}
            Got::Whole(status) => {
                let expected = self.load.status.unwrap_or(status);
                assert_eq!(status, expected, "an answer has another status");
                let now = Instant::now();
                let nanos = now.duration_since(self.since[index]).as_nanos();
                self.latencies.push(u32::try_from(nanos).unwrap_or(u32::MAX));
                if self.load.pace == Pace::Closed && now < self.end {
                    self.send(index, now);
                } else {
                    self.idle.push_back(index);
                }
            }
            Got::Closed => panic!("the gateway has closed a connection"),
        }
    }
}
