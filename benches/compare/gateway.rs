//! The gateways: how each is set up and started, all for the same work.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::keys::Keys;
use crate::process::Process;

/// What stands before the model server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Direct,
    /// mcpd with so many keys.
    Mcpd(usize),
    /// mcpd as another build has it.
    Other,
    /// mcpd's own HTTP server and client, and nothing between them.
    Bare,
    Nginx,
    Lua,
    Haproxy,
}

/// A gateway that runs.
pub struct Gateway {
    pub kind: Kind,
    pub address: SocketAddr,
    /// From its start to its first answer.
    pub started_in: Duration,
    process: Option<Process>,
}

impl Kind {
    pub fn name(self) -> String {
        match self {
            Self::Direct => "no gateway".to_owned(),
            Self::Mcpd(10_000) => "mcpd".to_owned(),
            Self::Mcpd(keys) => format!("mcpd, {keys} keys"),
            Self::Other => "mcpd, other build".to_owned(),
            Self::Bare => "bare proxy".to_owned(),
            Self::Nginx => "nginx, map".to_owned(),
            Self::Lua => "nginx, Lua".to_owned(),
            Self::Haproxy => "HAProxy".to_owned(),
        }
    }
}

impl Gateway {
    /// Starts a gateway in a folder of its own; it answers by now.
    pub fn start(kind: Kind, other: Option<&Path>, upstream: SocketAddr, keys: &Keys, folder: &Path) -> Self {
        std::fs::create_dir_all(folder).expect("the folder can be made");
        if kind == Kind::Direct {
            return Self { kind, address: upstream, started_in: Duration::ZERO, process: None };
        }
        let address = free_port();
        let setup = Setup { address, upstream, keys, folder };
        let mut command = match kind {
            Kind::Mcpd(count) => setup.mcpd(Path::new(env!("CARGO_BIN_EXE_mcpd")), count),
            Kind::Other => setup.mcpd(other.expect("it was asked for"), 10_000),
            Kind::Bare => setup.bare(),
            Kind::Nginx => setup.nginx(include_str!("peers/map.conf"), ""),
            Kind::Lua => setup.nginx(include_str!("peers/lua.conf"), LUA),
            Kind::Haproxy => setup.haproxy(),
            Kind::Direct => unreachable!("it has no process"),
        };
        let started = Instant::now();
        let process = Process::start(&mut command, &folder.join("log"));
        let mut gateway = Self { kind, address, started_in: Duration::ZERO, process: Some(process) };
        while !answers(address) {
            let log = || std::fs::read_to_string(folder.join("log")).unwrap_or_default();
            assert!(started.elapsed() < Duration::from_secs(30), "{kind:?} does not start: {}", log());
            std::thread::sleep(Duration::from_millis(1));
        }
        gateway.started_in = started.elapsed();
        gateway
    }

    /// The CPU time that it has used.
    pub fn cpu(&self) -> Duration {
        self.process.as_ref().map_or(Duration::ZERO, Process::cpu)
    }

    /// Its resident memory in bytes.
    pub fn resident(&self) -> u64 {
        self.process.as_ref().map_or(0, Process::resident)
    }
}

/// Where a gateway listens, what it passes requests on to, and where its files are.
struct Setup<'a> {
    address: SocketAddr,
    upstream: SocketAddr,
    keys: &'a Keys,
    folder: &'a Path,
}

/// Debian's modules for Lua.
const LUA: &str = "load_module /usr/lib/nginx/modules/ndk_http_module.so;\n\
                   load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;";

impl Setup<'_> {
    fn mcpd(&self, binary: &Path, keys: usize) -> Command {
        let config = format!(
            "server = {{ listen = [\"{}\"], workers = 1 }}\nlimits.failed_auth_per_minute = 100000000\nadmin.listen = \"{}\"\n\
             [[upstreams]]\nname = \"bench\"\nkind = \"openai\"\nbase_url = \"http://{}/v1\"\nmodels = [\"m\", \"paced\"]\n",
            self.address,
            free_port(),
            self.upstream,
        );
        self.write("mcpd.toml", &config);
        let mut command = Command::new(binary);
        command.arg("serve").current_dir(self.folder);
        // It makes its database, which the keys go into.
        let first = Process::start(&mut command, &self.folder.join("first.log"));
        while !answers(self.address) {
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(first);
        self.keys.add_to_database(&self.folder.join("data/mcpd.db"), keys);
        command
    }

    fn bare(&self) -> Command {
        let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
        command.args(["bare", &self.address.to_string(), &self.upstream.to_string()]);
        command
    }

    fn nginx(&self, gate: &str, modules: &str) -> Command {
        let map = |token: &str, name: &str, _| format!("\"Bearer {token}\" \"{name}\";");
        self.write("keys.map", &self.keys.lines(map));
        self.write("limited.map", &self.keys.limited_lines(map));
        self.write("keys.lua", &self.keys.lines(|token, name, limit| format!("{token} {name} {limit}")));
        self.write("gate.lua", include_str!("peers/gate.lua"));
        let config = include_str!("peers/nginx.conf").replace("GATE", gate).replace("MODULES", modules);
        let config = self.write("nginx.conf", &self.filled_in(&config));
        let mut command = Command::new("/usr/sbin/nginx");
        command.arg("-c").arg(config).arg("-p").arg(self.folder);
        command
    }

    fn haproxy(&self) -> Command {
        self.write("keys.map", &self.keys.lines(|token, name, _| format!("{token} {name}")));
        let config = self.write("haproxy.cfg", &self.filled_in(include_str!("peers/haproxy.cfg")));
        let mut command = Command::new("/usr/sbin/haproxy");
        command.arg("-db").arg("-f").arg(config);
        command
    }

    fn filled_in(&self, config: &str) -> String {
        config
            .replace("FOLDER", &self.folder.display().to_string())
            .replace("LISTEN", &self.address.to_string())
            .replace("UPSTREAM", &self.upstream.to_string())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        std::fs::write(&path, text).expect("the folder takes files");
        path
    }
}

/// Tells whether somebody answers there, whatever it is that they say.
fn answers(address: SocketAddr) -> bool {
    let ask = || {
        let mut connection = TcpStream::connect(address)?;
        connection.write_all(b"GET /healthz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
        connection.read_exact(&mut [0])
    };
    ask().is_ok()
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    listener.local_addr().expect("it is bound")
}
