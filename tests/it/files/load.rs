//! Many and long files at once: how much memory they take, and whom they hold up.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use super::{CHUNK, begin, begun, content, download, ended, id};
use crate::harness::pace::{expect_undisturbed, p99};
use crate::harness::{Binary, Request, Stream};
use rusqlite::Connection;

/// A file of the longest length that the defaults take.
const LONGEST: usize = 64 << 20;

/// Sends a file of this length piece by piece; returns its id.
fn send(to: SocketAddr, key: &str, length: usize) -> String {
    let piece = content(CHUNK);
    let mut connection = TcpStream::connect(to).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    connection.write_all(&begun(key, length)).unwrap();
    for _ in 0..length / CHUNK {
        connection.write_all(&piece).unwrap();
    }
    connection.write_all(&ended()).unwrap();
    id(&Stream::of(connection).finish().expect(200))
}

/// Reads a whole file and keeps nothing of it; returns its length.
fn receive(from: SocketAddr, key: &str, file: &str) -> usize {
    let mut connection = TcpStream::connect(from).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    connection.write_all(&download(file).bearer(key).bytes()).unwrap();
    let (mut piece, mut length) = (vec![0; CHUNK], 0);
    let first = connection.read(&mut piece).unwrap();
    assert!(piece.starts_with(b"HTTP/1.1 200 OK\r\n"));
    let head = piece[..first].windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    length += first - head;
    loop {
        match connection.read(&mut piece).unwrap() {
            0 => return length,
            more => length += more,
        }
    }
}

/// The most memory that the process has had since it was told to forget the most it had before, in KiB.
fn peak(binary: &Binary) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", binary.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn forget_peak(binary: &Binary) {
    std::fs::write(format!("/proc/{}/clear_refs", binary.pid()), "5").unwrap();
}

#[test]
fn four_long_uploads_and_four_downloads_at_once_take_less_than_16_mib() {
    let binary = Binary::start("plans.standard.requests_per_minute = 100000\nserver.workers = 2\n");
    let key = binary.default_key();
    let file = send(binary.public, &key, LONGEST);
    let binary = Binary::start_in(binary.end("TERM"));
    for _ in 0..10 {
        binary.call(&key, Request::chat("Hello")).expect(200);
    }
    forget_peak(&binary);
    let before = peak(&binary);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| send(binary.public, &key, LONGEST));
            scope.spawn(|| assert_eq!(receive(binary.public, &key, &file), LONGEST));
        }
    });
    let after = peak(&binary);
    assert!(after < before + 16 * 1024, "{before} KiB before, {after} KiB at most");
}

#[test]
fn chats_are_as_fast_beside_a_long_upload() {
    let binary = Binary::start("plans.standard.requests_per_minute = 1000000\n");
    let (key, to) = (binary.default_key(), binary.public);
    expect_undisturbed(|| {
        let alone = p99(to, Request::chat("Hello").bearer(&key), |count| count >= 500);
        let beside = thread::scope(|scope| {
            let upload = scope.spawn(|| send(to, &key, LONGEST));
            p99(to, Request::chat("Hello").bearer(&key), |count| count >= 200 && upload.is_finished())
        });
        (alone, beside)
    });
}

#[test]
fn a_chat_waits_for_no_upload_that_waits_for_the_disk() {
    let binary = Binary::start("plans.standard.requests_per_minute = 1000000\n");
    let (key, to) = (binary.default_key(), binary.public);
    let other_program = Connection::open(binary.path("data/mcpd.db")).unwrap();
    expect_undisturbed(|| {
        let alone = p99(to, Request::chat("Hello").bearer(&key), |count| count >= 300);
        other_program.execute_batch("BEGIN IMMEDIATE").unwrap();
        let upload = begin(to, &key, LONGEST, 4 * CHUNK);
        let beside = p99(to, Request::chat("Hello").bearer(&key), |count| count >= 300);
        other_program.execute_batch("ROLLBACK").unwrap();
        drop(upload);
        (alone, beside)
    });
}
