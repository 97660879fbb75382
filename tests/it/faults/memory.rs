//! Memory: what many large requests take is bounded by the settings, and a process that has none left loses nothing.

use std::io::Write as _;
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::client::attempt;
use super::scene::{expect_lives, expect_whole, make_key, revoke, status};
use crate::harness::{Binary, Request, Stream};

const MEBIBYTE: usize = 1 << 20;
/// The largest body, and how many clients send one at once.
const MOST: usize = 2 * MEBIBYTE;
const CLIENTS: usize = 12;
/// How much of a body's length a request may take in all: itself, where it grows twice that, what is read of it and the
/// answer that repeats it; and what everything else may take.
const TIMES: usize = 6;
const BESIDES: usize = 24 * MEBIBYTE;

/// A body that no memory that is at hand has room for: the allocator asks the system for as much at once.
const HUGE: usize = 40 * MEBIBYTE;

fn start(most: usize) -> Binary {
    Binary::start(&format!("server.workers = 2\nserver.max_json_bytes = {most}\n"))
}

fn peak(binary: &Binary) -> usize {
    usize::try_from(status(binary.pid(), "VmHWM")).unwrap() * 1_024
}

/// A chat whose body is as long as this, or a little shorter.
fn chat(length: usize) -> Request {
    Request::chat(&"a".repeat(length - 100))
}

#[test]
fn bodies_take_no_more_memory_than_the_settings_allow_however_many_are_too_long() {
    let binary = start(MOST);
    let key = make_key(&binary);
    let before = peak(&binary);
    let bytes = chat(MOST).bearer(&key.secret).bytes();
    // All of them are there but for their last byte, at the same time.
    let (last, most) = bytes.split_last().unwrap();
    let mut sending: Vec<_> = (0..CLIENTS).map(|_| TcpStream::connect(binary.public).unwrap()).collect();
    for connection in &mut sending {
        connection.write_all(most).unwrap();
    }
    // And others that are longer than is taken.
    let long = chat(8 * MOST).bearer(&key.secret);
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| long.send(binary.public).expect_error(413, "payload_too_large"));
        }
    });
    for connection in &mut sending {
        connection.write_all(&[*last]).unwrap();
    }
    for connection in sending {
        Stream::of(connection).finish().expect(200);
    }
    let taken = peak(&binary) - before;
    let allowed = CLIENTS * MOST * TIMES + BESIDES;
    assert!(taken < allowed, "{taken} of {allowed} bytes");
    assert!(taken > CLIENTS * MOST / 2, "they were there at once: {taken} bytes");
}

/// Limits how much more address space than now the process may have.
fn allow_no_more(binary: &Binary, bytes: usize) {
    let most = status(binary.pid(), "VmSize") * 1_024 + bytes as u64;
    let arguments = ["--pid", &binary.pid().to_string(), &format!("--as={most}")];
    let output = Command::new("prlimit").args(arguments).output().expect("prlimit, from util-linux");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_process_that_gets_no_more_memory_ends_and_the_next_one_has_all_that_was_acknowledged() {
    let binary = start(2 * HUGE);
    let [first, second] = [make_key(&binary), make_key(&binary)];
    revoke(&binary, &first).expect(200);
    allow_no_more(&binary, MEBIBYTE);
    let (address, body) = (binary.public, chat(HUGE).bearer(&second.secret));
    let start = Instant::now();
    let flood = || {
        // Some answers come, others break off; in the end nobody takes connections any more.
        while TcpStream::connect(address).is_ok() {
            assert!(start.elapsed() < Duration::from_secs(20), "it goes on");
            attempt(address, &body);
        }
    };
    thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(flood))));
    let (status, folder) = binary.wait();
    assert_eq!(status, None, "it is aborted, by a signal");

    let binary = Binary::start_in(folder);
    expect_lives(&binary, &first, false);
    expect_lives(&binary, &second, true);
    expect_whole(&binary);
}
