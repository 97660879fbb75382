//! No file descriptor is left: who is connected is served, and who comes later is once somebody has gone.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::scene::{Key, call, cpu_time, expect_chats, expect_lives, expect_whole, make_key, open_files};
use super::through_sh;
use crate::harness::binary::CONFIG;
use crate::harness::{Answer, Binary, Folder, Request, Stream, eventually};

/// How many more files than it has open the process may open, and how many connections there are beyond that.
const LEFT: usize = 12;
const BEYOND: usize = 20;

fn limit(binary: &Binary) -> (String, String) {
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", binary.pid())).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let mut words = line.split_whitespace().map(ToOwned::to_owned);
    (words.next().unwrap(), words.next().unwrap())
}

fn set_limit(binary: &Binary, files: usize) {
    let arguments = ["--pid", &binary.pid().to_string(), &format!("--nofile={files}:")];
    let output = Command::new("prlimit").args(arguments).output().expect("prlimit, from util-linux");
    assert!(output.status.success(), "{output:?}");
}

/// Asks on a connection that is kept.
fn ask(connection: &mut TcpStream, request: Request) -> Answer {
    connection.write_all(&request.header("Connection", "keep-alive").bytes()).unwrap();
    Stream::of(connection.try_clone().unwrap()).finish()
}

#[test]
fn as_many_files_may_be_open_as_the_system_allows() {
    let folder = Folder::new();
    std::fs::write(folder.path().join("mcpd.toml"), CONFIG).unwrap();
    let script = "ulimit -Sn 500 && ulimit -Hn 2000 && exec \"$0\" serve";
    let binary = Binary::start_with(folder, |command| through_sh(command, script));
    assert_eq!(limit(&binary), ("2000".to_owned(), "2000".to_owned()));
}

#[test]
fn without_a_file_descriptor_left_who_is_connected_is_served_and_nothing_spins() {
    let binary = Binary::start("server.workers = 2\n");
    let (key, other) = (make_key(&binary), make_key(&binary));
    let connect = |to: SocketAddr| TcpStream::connect(to).unwrap();
    let mut kept: Vec<_> = (0..3).map(|_| connect(binary.public)).collect();
    let chat = |key: &Key| Request::chat("Hello").bearer(&key.secret);
    for connection in &mut kept {
        ask(connection, chat(&key)).expect(200);
    }
    let mut desk = connect(binary.admin);
    ask(&mut desk, Request::get("/admin/v1/keys").bearer(&binary.token())).expect(200);

    let most = open_files(binary.pid()) + LEFT;
    set_limit(&binary, most);
    let idle: Vec<_> = (0..LEFT + BEYOND).map(|_| connect(binary.public)).collect();
    eventually("all descriptors are taken", || binary.log().contains("Too many open files"));
    let before = cpu_time(binary.pid());
    thread::sleep(Duration::from_secs(1));
    let used = cpu_time(binary.pid()).saturating_sub(before);
    assert!(used < Duration::from_millis(400), "{used:?} of CPU in a second of idleness");

    for connection in &mut kept {
        (0..5).for_each(|_| drop(ask(connection, chat(&key)).expect(200)));
    }
    let revoke = Request::post(&other.path("/revoke"), &json!({})).bearer(&binary.token());
    ask(&mut desk, revoke).expect(200);
    ask(&mut kept[0], Request::get("/v1/key").bearer(&other.secret)).expect_error(401, "invalid_api_key");
    let made = json!({"messages": [{"role": "user", "content": "one"}]});
    ask(&mut kept[1], Request::post("/v1/contexts", &made).bearer(&key.secret)).expect(200);

    thread::scope(|scope| {
        // It waits until there is a descriptor for it.
        let later = scope.spawn(|| call(&binary, &key, Request::chat("Hello")).expect(200));
        drop(idle);
        later.join().unwrap();
    });
    expect_chats(&binary, &key, 3 + 15 + 1);
    expect_lives(&binary, &other, false);
    expect_whole(&binary);
    assert!(!binary.log().contains("panicked"), "{}", binary.log());
}
