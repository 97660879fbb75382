//! Commands that are told to stop in the middle: what they leave behind.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Stdio};
use std::thread;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use crate::harness::binary::{CONFIG, command};
use crate::harness::{Folder, eventually};

const SIGNALS: [Signal; 4] = [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT];

/// A folder with a configuration, and the socket of a daemon that never comes to an end of its answer.
fn folder_of_a_slow_daemon() -> Folder {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::write(folder.path().join("mcpd.toml"), CONFIG).unwrap();
    let listener = UnixListener::bind(folder.path().join("data/admin.sock")).unwrap();
    thread::spawn(move || {
        let mut connections: Vec<UnixStream> = Vec::new();
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            assert!(connection.read(&mut [0; 4_096]).unwrap() > 0);
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-MCP-Rows: 3\r\n\r\n";
            connection.write_all(format!("{head}3\r\n{{}}\n\r\n").as_bytes()).unwrap();
            connections.push(connection);
        }
    });
    folder
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// What is in the folder besides what was there before the command.
fn left(folder: &Folder) -> Vec<String> {
    let names = fs::read_dir(folder.path()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !["data", "mcpd.toml"].contains(&name.as_str())).collect()
}

#[test]
fn an_export_that_is_interrupted_leaves_no_file() {
    let folder = folder_of_a_slow_daemon();
    let begin = || {
        let child = command(&folder, &["audit", "export", "audit.jsonl"]).spawn().unwrap();
        let is_some = |name: &String| folder.path().join(name).metadata().is_ok_and(|file| file.len() == 3);
        eventually("some of it is written", || left(&folder).iter().any(is_some));
        assert!(!left(&folder).contains(&"audit.jsonl".to_owned()), "half of a file looks like the whole");
        child
    };
    for sent in [Signal::INT, Signal::TERM] {
        let mut child = begin();
        signal(&child, sent);
        assert_eq!(child.wait().unwrap().code(), Some(128 + sent.as_raw()));
        assert_eq!(left(&folder), [""; 0]);
    }
    let mut child = begin();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!left(&folder).contains(&"audit.jsonl".to_owned()));
}

/// Both ends of a terminal: who looks at it, and what a program reads from.
fn terminal() -> (File, File) {
    let outer = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&outer).unwrap();
    unlockpt(&outer).unwrap();
    let name = ptsname(&outer, Vec::new()).unwrap();
    let inner = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    (outer.into(), inner.into())
}

#[test]
fn a_terminal_shows_what_is_typed_again_however_the_prompt_for_a_key_ends() {
    let folder = folder_of_a_slow_daemon();
    let shows = |terminal: &File| tcgetattr(terminal).unwrap().local_modes.contains(LocalModes::ECHO);
    for sent in SIGNALS.map(Some).into_iter().chain([None]) {
        let (mut outer, inner) = terminal();
        assert!(shows(&inner));
        let mut command = command(&folder, &["explain", "--key-stdin", "--path", "/v1/key"]);
        command.stdin(inner.try_clone().unwrap()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        eventually("nothing is shown", || !shows(&inner));
        match sent {
            Some(sent) => signal(&child, sent),
            None => outer.write_all(b"\n").unwrap(),
        }
        let status = child.wait().unwrap();
        assert!(shows(&inner), "{sent:?}");
        let mut said = String::new();
        child.stderr.unwrap().read_to_string(&mut said).unwrap();
        match sent {
            Some(sent) => assert_eq!((status.code(), said.as_str()), (Some(128 + sent.as_raw()), "Key: \n")),
            None => assert!(said.ends_with("mcpd: there is no key on standard input\n"), "{said}"),
        }
    }
}
