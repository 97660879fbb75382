//! Sockets that somebody else listens on and hands over, as systemd does.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::io::{FdFlags, fcntl_setfd};

use crate::harness::binary::{CONFIG, command};
use crate::harness::{Binary, Folder, Request, Stop, eventually};
use crate::reload::load::ask_on_and_on;

/// What holds the sockets while mcpd comes and goes.
struct Sockets {
    public: TcpListener,
    admin: TcpListener,
    socket: UnixListener,
}

impl Sockets {
    fn listen(folder: &Folder) -> Self {
        let tcp = || TcpListener::bind("127.0.0.1:0").unwrap();
        fs::create_dir_all(folder.path().join("data")).unwrap();
        let socket = UnixListener::bind(folder.path().join("data/admin.sock")).unwrap();
        Self { public: tcp(), admin: tcp(), socket }
    }

    /// Hands them over under these names, in the order public, admin, Unix socket.
    fn hand_over(&self, to: &mut Command, names: &str) {
        // The shell puts them where they are looked for. Standard input and output are read for it.
        let inherit = |fd: &dyn std::os::fd::AsFd| fcntl_setfd(fd.as_fd(), FdFlags::empty()).unwrap();
        inherit(&self.public);
        inherit(&self.admin);
        inherit(&self.socket);
        let numbers = [raw(&self.public), raw(&self.admin), raw(&self.socket)];
        let [public, admin, socket] = numbers;
        let count = names.split(':').count();
        // Higher numbers first, for the ones that are looked for may be among them.
        let script = format!(
            "exec 200<&{public} 201<&{admin} 202<&{socket} && exec 3<&200 4<&201 5<&202 && \
             LISTEN_PID=$$ LISTEN_FDS={count} LISTEN_FDNAMES={names} exec \"$0\" serve"
        );
        let program = to.get_program().to_owned();
        let mut shell = Command::new("bash");
        shell.args(["-c", &script]).arg(program);
        if let Some(folder) = to.get_current_dir() {
            shell.current_dir(folder);
        }
        *to = shell;
    }
}

fn raw(socket: &impl std::os::fd::AsRawFd) -> i32 {
    socket.as_raw_fd()
}

fn folder() -> Folder {
    let folder = Folder::new();
    fs::write(folder.path().join("mcpd.toml"), CONFIG).unwrap();
    folder
}

#[test]
fn sockets_that_are_handed_over_are_answered_on_and_stay() {
    let folder = folder();
    let sockets = Sockets::listen(&folder);
    let start = |folder| {
        Binary::start_with(folder, |command| sockets.hand_over(command, "public:admin:admin-socket"))
    };
    let mut binary = start(folder);
    let key = binary.default_key();
    for _ in 0..3 {
        assert_eq!(binary.public, sockets.public.local_addr().unwrap());
        assert_eq!(binary.admin, sockets.admin.local_addr().unwrap());
        binary.call(&key, Request::chat("Hello")).expect(200);
        let log = binary.log();
        let told = "server.listen says 127.0.0.1:0, but the service manager listens on 127.0.0.1:";
        assert!(log.contains(told) && log.contains("admin.listen says"), "{log}");
        assert!(!log.contains("admin.socket says"), "{log}");
        let asked = command(&binary.folder, &["audit"]).output();
        let asked = asked.unwrap();
        assert!(asked.status.success(), "{asked:?}");
        binary.signal("TERM");
        let (status, folder) = binary.wait();
        assert_eq!(status, Some(0));
        assert!(folder.path().join("data/admin.sock").exists(), "it is the service manager's");
        // Between two processes nobody answers, and nobody is refused.
        let mut waiting = TcpStream::connect(sockets.public.local_addr().unwrap()).unwrap();
        waiting.write_all(&Request::chat("Hello").bearer(&key).bytes()).unwrap();
        binary = start(folder);
        let mut answer = String::new();
        waiting.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

fn refused(names: &str) -> (Folder, Output) {
    let folder = folder();
    let sockets = Sockets::listen(&folder);
    let mut command = command(&folder, &[]);
    sockets.hand_over(&mut command, names);
    let output = command.stdin(Stdio::null()).output().unwrap();
    (folder, output)
}

#[test]
fn a_socket_that_nobody_would_answer_on_keeps_it_from_starting() {
    let cases = [
        ("mcpd.socket", "`mcpd.socket`: nobody would answer on it: give the socket unit FileDescriptorName="),
        ("public:admin:admin", "`admin`: it cannot be used: fd 5 is not a valid tcp socket"),
        ("admin:admin", "`admin`: there are two of it"),
        ("admin-socket", "`admin-socket`: it cannot be used: fd 3 is not a valid unix stream socket"),
    ];
    for (names, said) in cases {
        let (folder, output) = refused(names);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.starts_with("mcpd: socket activation: the socket ") && error.contains(said), "{error}");
        assert!(!folder.path().join("data/mcpd.db").exists());
    }
}

#[test]
fn what_is_not_handed_over_is_bound_and_the_admin_api_stays_on_loopback() {
    let folder = folder();
    let sockets = Sockets::listen(&folder);
    fs::remove_file(folder.path().join("data/admin.sock")).unwrap();
    let binary = Binary::start_with(folder, |command| sockets.hand_over(command, "public"));
    assert_eq!(binary.public, sockets.public.local_addr().unwrap());
    assert_ne!(binary.admin, sockets.admin.local_addr().unwrap());
    binary.admin(Request::get("/admin/v1/server")).expect(200);
    binary.signal("TERM");
    let (_, folder) = binary.wait();
    assert!(!folder.path().join("data/admin.sock").exists(), "it is its own");

    let everywhere = Sockets { admin: TcpListener::bind("0.0.0.0:0").unwrap(), ..sockets };
    let mut command = command(&folder, &[]);
    everywhere.hand_over(&mut command, "public:admin");
    let error = String::from_utf8(command.stdin(Stdio::null()).output().unwrap().stderr).unwrap();
    assert!(error.contains("`admin`: it must be on a loopback address, not on 0.0.0.0:"), "{error}");
}

#[test]
fn restarts_under_load_fail_no_request() {
    let folder = folder();
    fs::write(
        folder.path().join("mcpd.toml"),
        format!("{CONFIG}server.workers = 2\nplans.standard.requests_per_minute = 1000000\n"),
    )
    .unwrap();
    let sockets = Sockets::listen(&folder);
    let start = |folder| {
        Binary::start_with(folder, |command| sockets.hand_over(command, "public:admin:admin-socket"))
    };
    let mut binary = start(folder);
    let (key, address) = (binary.default_key(), sockets.public.local_addr().unwrap());
    let (go_on, answered) = (AtomicBool::new(true), AtomicUsize::new(0));
    // Whoever still waits when all is done is to be answered.
    let _last = std::thread::scope(|scope| {
        let _stop = Stop(&go_on);
        for _ in 0..2 {
            scope.spawn(|| {
                while go_on.load(Ordering::Relaxed) {
                    Request::chat("Hello").bearer(&key).send(address).expect(200);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
            scope.spawn(|| {
                while go_on.load(Ordering::Relaxed) {
                    answered.fetch_add(ask_on_and_on(address, &key, &go_on), Ordering::Relaxed);
                }
            });
        }
        for _ in 0..10 {
            let before = answered.load(Ordering::Relaxed);
            eventually("it answers", || answered.load(Ordering::Relaxed) > before + 20);
            binary.signal("TERM");
            let (status, folder) = binary.wait();
            assert_eq!(status, Some(0));
            binary = start(folder);
        }
        binary
    });
}
