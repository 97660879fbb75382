//! The binary itself, as a process.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Answer, Folder, Request};

/// A running `mcpd serve`, in a folder of its own.
pub struct Binary {
    pub folder: Folder,
    pub public: SocketAddr,
    pub admin: SocketAddr,
    /// The folder as the process sees it.
    seen: PathBuf,
    child: Child,
}

/// A configuration on free ports, in the folder that it is run in.
pub const CONFIG: &str = "server.listen = [\"127.0.0.1:0\"]\nadmin.listen = \"127.0.0.1:0\"\n";

pub fn command(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcpd"));
    command.current_dir(folder.path()).args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MCPD")) {
        command.env_remove(name);
    }
    command
}

/// Makes a certificate for this machine, in `name.pem`, with its key in `name.key`.
pub fn make_certificate(folder: &Path, name: &str) {
    let file = |suffix: &str| folder.join(format!("{name}.{suffix}"));
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args([
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ])
        .arg("-keyout")
        .arg(file("key"))
        .arg("-out")
        .arg(file("pem"))
        .output()
        .expect("openssl, from the package of that name");
    assert!(output.status.success(), "{output:?}");
}

/// Makes a certificate for a name or address, such as `IP:127.0.0.1`, in `name.pem` with its key in `name.key`. It is
/// signed by a certificate that `make_certificate` made.
pub fn make_certificate_by(authority: &str, folder: &Path, name: &str, subject: &str) {
    let file = |name: &str, suffix: &str| folder.join(format!("{name}.{suffix}"));
    let config = format!(
        "[req]\ndistinguished_name = name\nx509_extensions = leaf\nprompt = no\n[name]\nCN = {name}\n\
         [leaf]\nbasicConstraints = critical, CA:FALSE\nsubjectAltName = {subject}\n"
    );
    std::fs::write(file(name, "conf"), config).unwrap();
    let output = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args([("-config", file(name, "conf")), ("-CA", file(authority, "pem"))].map(flag).concat())
        .args([("-CAkey", file(authority, "key")), ("-keyout", file(name, "key"))].map(flag).concat())
        .args(flag(("-out", file(name, "pem"))))
        .output()
        .expect("openssl, from the package of that name");
    assert!(output.status.success(), "{output:?}");
}

fn flag((name, value): (&str, PathBuf)) -> [OsString; 2] {
    [name.into(), value.into()]
}

impl Binary {
    /// Starts it with more configuration, in TOML, and waits until it answers.
    pub fn start(toml: &str) -> Self {
        let folder = Folder::new();
        std::fs::write(folder.path().join("mcpd.toml"), format!("{CONFIG}{toml}")).unwrap();
        Self::start_in(folder)
    }

    /// Starts it in a folder that has a configuration.
    pub fn start_in(folder: Folder) -> Self {
        Self::start_trusting(None, folder)
    }

    /// Does the same with certificates to trust in place of the system's.
    pub fn start_trusting(certificates: Option<&Path>, folder: Folder) -> Self {
        let mut command = command(&folder, &["serve"]);
        if let Some(file) = certificates {
            command.env("SSL_CERT_FILE", file).env_remove("SSL_CERT_DIR");
        }
        let seen = folder.path().to_owned();
        Self::spawn(folder, command, |_| seen)
    }

    /// Starts it with its data on a disk of its own that has this many MiB, in memory. Where that may not be made,
    /// the test fails: `tests/run` says so and leaves such tests out.
    pub fn start_on_a_small_disk(mebibytes: u32, toml: &str) -> Self {
        let folder = Folder::new();
        std::fs::write(folder.path().join("mcpd.toml"), format!("{CONFIG}{toml}")).unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let own = if rustix::process::geteuid().is_root() { "-m" } else { "-rm" };
        let script = format!("mount -t tmpfs -o size={mebibytes}m none data && exec \"$0\" serve");
        let plain = command(&folder, &[]);
        let mut command = Command::new("unshare");
        command.args([own, "sh", "-c", &script]).arg(plain.get_program()).current_dir(folder.path());
        command.stdin(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MCPD")) {
            command.env_remove(name);
        }
        let path = folder.path().strip_prefix("/").unwrap().to_owned();
        // The mount is the process's own; this is the way to look at it from outside.
        Self::spawn(folder, command, |pid| PathBuf::from(format!("/proc/{pid}/root")).join(path))
    }

    fn spawn(folder: Folder, mut command: Command, seen: impl FnOnce(u32) -> PathBuf) -> Self {
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut binary = Self {
            folder,
            seen: seen(child.id()),
            public: SocketAddr::from(([127, 0, 0, 1], 0)),
            admin: SocketAddr::from(([127, 0, 0, 1], 0)),
            child,
        };
        binary.wait_until_ready();
        binary
    }

    fn wait_until_ready(&mut self) {
        let start = Instant::now();
        loop {
            let log = self.log();
            let address = |mark: &str| {
                let rest = log.split(mark).nth(1)?;
                // A blank comes behind it, or in JSON the text's end.
                rest.split([' ', '\n', '"']).next()?.parse().ok()
            };
            let public = address("listening on http://").or_else(|| address("listening on https://"));
            if let (Some(public), Some(admin)) = (public, address("admin API on http://")) {
                (self.public, self.admin) = (public, admin);
                return;
            }
            assert!(self.child.try_wait().unwrap().is_none(), "it ended early: {log}");
            assert!(start.elapsed() < Duration::from_secs(10), "it never got ready: {log}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.seen.join(name)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub fn default_key(&self) -> String {
        std::fs::read_to_string(self.path("data/default-key")).unwrap().trim().to_owned()
    }

    pub fn token(&self) -> String {
        std::fs::read_to_string(self.path("data/admin-token")).unwrap().trim().to_owned()
    }

    pub fn admin(&self, request: Request) -> Answer {
        request.bearer(&self.token()).send(self.admin)
    }

    pub fn call(&self, key: &str, request: Request) -> Answer {
        request.bearer(key).send(self.public)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name, such as TERM.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Waits until it has ended by itself; returns its exit status and its folder, for another start.
    pub fn wait(mut self) -> (Option<i32>, Folder) {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.code(), std::mem::replace(&mut self.folder, Folder::new()));
            }
            assert!(start.elapsed() < Duration::from_secs(10), "it goes on: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it with a signal; returns its folder, for another start.
    pub fn end(mut self, signal: &str) -> Folder {
        self.signal(signal);
        self.child.wait().unwrap();
        std::mem::replace(&mut self.folder, Folder::new())
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
