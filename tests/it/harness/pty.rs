//! A command on a terminal of its own.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// How long a command may take to say something.
const PATIENCE: Duration = Duration::from_secs(20);

/// A terminal, and the command that it is the terminal of.
pub struct Terminal {
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    /// All that was shown so far.
    shown: String,
    /// As much of it was looked for already.
    seen: usize,
    child: Child,
}

impl Terminal {
    /// Starts a command on a terminal with so many columns.
    pub fn start(command: &Command, columns: u16) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let terminal = open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let size = Winsize { ws_row: 50, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size).unwrap();
        // It is the session's own terminal, so that Ctrl-C means something.
        let mut on_terminal = Command::new("setsid");
        on_terminal.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
        on_terminal
            .current_dir(command.get_current_dir().unwrap())
            .env("TERM", "xterm")
            .env_remove("NO_COLOR");
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => on_terminal.env(name, value),
                None => on_terminal.env_remove(name),
            };
        }
        let end = |terminal: &OwnedFd| Stdio::from(terminal.try_clone().unwrap());
        on_terminal.stdin(end(&terminal)).stdout(end(&terminal)).stderr(end(&terminal));
        let child = on_terminal.spawn().expect("setsid, from util-linux");
        drop((on_terminal, terminal));
        let keyboard = File::from(controller);
        let screen = watch(keyboard.try_clone().unwrap());
        Self { keyboard, screen, shown: String::new(), seen: 0, child }
    }

    /// Waits until the text is shown, behind what was waited for before.
    pub fn wait_for(&mut self, text: &str) {
        let start = Instant::now();
        loop {
            if let Some(at) = self.shown[self.seen..].find(text) {
                self.seen += at + text.len();
                return;
            }
            match self.screen.recv_timeout(PATIENCE.saturating_sub(start.elapsed())) {
                Ok(piece) => self.shown.push_str(&String::from_utf8_lossy(&piece)),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("it does not show {text:?}: {}", self.shown)
                }
            }
        }
    }

    /// Types something; `\x03` is Ctrl-C, `\x04` Ctrl-D.
    pub fn keys(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until the command has ended; returns its exit status, and all that was shown.
    pub fn end(mut self) -> (Option<i32>, String) {
        let start = Instant::now();
        while let Ok(piece) = self.screen.recv_timeout(PATIENCE.saturating_sub(start.elapsed())) {
            self.shown.push_str(&String::from_utf8_lossy(&piece));
        }
        assert!(start.elapsed() < PATIENCE, "it goes on: {}", self.shown);
        (self.child.wait().unwrap().code(), self.shown.replace('\r', ""))
    }
}

/// Hands over what is shown, until the command has ended.
fn watch(mut screen: File) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut piece = [0; 4_096];
        // Once nobody has the terminal open any more, reading it is an error.
        while let Ok(length @ 1..) = screen.read(&mut piece) {
            if sender.send(piece[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}
