//! What the service manager is told, as systemd's `sd_notify` says it: that the server answers, reloads, stops,
//! and is alive.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// How long a start may take until the next sign that it goes on: longer than the slowest disk is silent.
const NEXT_SIGN: Duration = Duration::from_secs(120);
/// How often such a sign is given at most.
const PAUSE: Duration = Duration::from_secs(5);
/// A manager that does not take what it is told may not hold up the server for longer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who started the server and wants to know how it does; mostly nobody.
#[derive(Debug, Default)]
pub struct Supervisor {
    socket: Option<UnixDatagram>,
    /// When it was told last that a start goes on.
    told_at: Mutex<Option<Instant>>,
    /// How long it waits for a sign of life before it ends the server; `None` is forever.
    pub(super) watchdog: Option<Duration>,
}

impl Supervisor {
    /// Returns whom the environment names: `NOTIFY_SOCKET`, and `WATCHDOG_USEC` where `WATCHDOG_PID` is this
    /// process or nobody.
    pub fn from_environment() -> Self {
        let Some(address) = std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty()) else {
            return Self::default();
        };
        let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
        let is_own = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| is_own && *micros > 0);
        Self::at(&address, watchdog.map(Duration::from_micros))
    }

    /// Returns who listens at a socket's path, or at an abstract address that begins with `@`.
    pub fn at(address: &OsStr, watchdog: Option<Duration>) -> Self {
        match connect(address) {
            Ok(socket) => Self { socket: Some(socket), watchdog, told_at: Mutex::default() },
            Err(error) => {
                tracing::warn!("the service manager hears nothing of this: NOTIFY_SOCKET: {error}");
                Self::default()
            }
        }
    }

    /// Tells that the start goes on, if that was not just told, so that it is given the time that it needs.
    pub(super) fn starting(&self, now: Instant) {
        let mut told_at = self.told_at.lock().unwrap_or_else(PoisonError::into_inner);
        if told_at.is_none_or(|at| now.saturating_duration_since(at) >= PAUSE) {
            *told_at = Some(now);
            self.tell(&format!("{}{}", extended(NEXT_SIGN), line("Starting")));
        }
    }

    /// Tells that the server answers, where it does.
    pub(super) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\n{}", line(status)));
    }

    /// Tells that the configuration is being read again; [`ready`](Self::ready) ends it.
    pub(super) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\n{}", line("Reading the configuration")));
    }

    /// Tells that the server is about to end, and how long that may take.
    pub(super) fn stopping(&self, status: &str, within: Duration) {
        self.tell(&format!("STOPPING=1\n{}{}", line(status), extended(within)));
    }

    /// Tells that the server is alive.
    pub(super) fn alive(&self) {
        self.tell("WATCHDOG=1\n");
    }

    fn tell(&self, text: &str) {
        if let Some(error) = self.socket.as_ref().and_then(|socket| socket.send(text.as_bytes()).err()) {
            tracing::warn!("the service manager could not be told: {error}");
        }
    }
}

/// A time-out that ends later already stays as it is.
fn extended(time: Duration) -> String {
    format!("EXTEND_TIMEOUT_USEC={}\n", time.as_micros())
}

/// A status is one line, whatever is in it.
fn line(status: &str) -> String {
    let status: String = status.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("STATUS={status}\n")
}

fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
    let address = match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_abstract_address_is_told_too() {
        let name = format!("mcpd-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        let supervisor = Supervisor::at(OsStr::new(&format!("@{name}")), None);
        supervisor.ready("one line\nREADY=0");
        let mut told = [0; 100];
        let length = manager.recv(&mut told).unwrap();
        assert_eq!(&told[..length], b"READY=1\nSTATUS=one line READY=0\n");
    }

    #[test]
    fn a_start_that_goes_on_is_told_of_again_but_not_at_every_step() {
        let name = format!("mcpd-starting-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        manager.set_nonblocking(true).unwrap();
        let supervisor = Supervisor::at(OsStr::new(&format!("@{name}")), None);
        let begin = Instant::now();
        for (seconds, is_told) in [(0, true), (0, false), (4, false), (5, true), (9, false), (60, true)] {
            supervisor.starting(begin + Duration::from_secs(seconds));
            let mut told = [0; 100];
            let told = manager.recv(&mut told).map(|length| told[..length].to_vec()).ok();
            let expected = is_told.then(|| b"EXTEND_TIMEOUT_USEC=120000000\nSTATUS=Starting\n".to_vec());
            assert_eq!(told, expected, "after {seconds} s");
        }
    }

    #[test]
    fn nobody_need_listen() {
        let supervisor = Supervisor::at(OsStr::new("/no/such/socket"), Some(PATIENCE));
        assert!(supervisor.socket.is_none() && supervisor.watchdog.is_none());
        supervisor.ready("");
    }
}
