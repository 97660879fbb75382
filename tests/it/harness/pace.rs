//! How fast answers are, alone and beside other work.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::{Request, Stream};

/// Sends requests on one connection, one after the other, until it is enough; returns how long 99 of 100 took at most.
pub fn p99(to: SocketAddr, request: Request, mut is_enough: impl FnMut(usize) -> bool) -> Duration {
    let mut connection = TcpStream::connect(to).unwrap();
    connection.set_nodelay(true).unwrap();
    let request = request.header("Connection", "keep-alive").bytes();
    let mut times = Vec::new();
    while !is_enough(times.len()) {
        let start = Instant::now();
        connection.write_all(&request).unwrap();
        let answer = Stream::of(connection.try_clone().unwrap()).finish();
        times.push(start.elapsed());
        answer.expect(200);
    }
    times.sort();
    times[times.len() * 99 / 100]
}

/// What an answer may take longer beside other work, besides twice its time: a core that is busy with it, or with
/// another test, gives it up within a few time slices of the scheduler. Who waits for the writer while that is held up
/// waits for much longer; so much is never hidden in this.
const SLACK: Duration = Duration::from_millis(10);

/// Fails unless one of three rounds has `beside` within twice `alone`: noise comes and goes, waiting does not.
pub fn expect_undisturbed(mut round: impl FnMut() -> (Duration, Duration)) {
    let mut rounds = Vec::new();
    while rounds.iter().all(|(alone, beside)| *beside > *alone * 2 + SLACK) {
        assert!(rounds.len() < 3, "p99 alone and beside other work: {rounds:?}");
        rounds.push(round());
    }
}
