//! Clients that ask for much at once on one HTTP/2 connection, and take nothing of it. No key is needed for that.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use memchr::memmem;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use socket2::SockRef;

use crate::harness::binary::{CONFIG, make_certificate, make_certificate_by};
use crate::harness::{Binary, Folder};

/// As many requests may go on at once on a connection.
const MOST: u32 = 128;
/// As much is answered to a client that takes nothing, in bytes: what the system holds of it, and of its requests.
const LONGEST: usize = 48 << 20;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn serving() -> Binary {
    let folder = Folder::new();
    make_certificate(folder.path(), "authority");
    make_certificate_by("authority", folder.path(), "own", "DNS:localhost");
    let config = format!("{CONFIG}server.tls = {{ cert = \"own.pem\", key = \"own.key\" }}\n");
    std::fs::write(folder.path().join("mcpd.toml"), config).unwrap();
    Binary::start_in(folder)
}

/// A client of HTTP/2 that says what it is told to.
struct Client {
    socket: StreamOwned<ClientConnection, TcpStream>,
    next: u32,
}

impl Client {
    /// Connects, and takes answers' bodies up to as many bytes each.
    fn connect(server: &Binary, window: u32) -> Self {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_file(server.path("authority.pem")).unwrap();
        roots.add(certificate).unwrap();
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name = ServerName::try_from("localhost").unwrap();
        let session = ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = TcpStream::connect(server.public).unwrap();
        SockRef::from(&socket).set_recv_buffer_size(16 * 1024).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket.set_write_timeout(Some(Duration::from_secs(3))).unwrap();
        let mut client = Self { socket: StreamOwned::new(session, socket), next: 1 };
        client.socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        client.set_window(window).unwrap();
        client
    }

    fn set_window(&mut self, window: u32) -> std::io::Result<()> {
        self.send(SETTINGS, 0, 0, &[&[0, 4], &window.to_be_bytes()[..]].concat())
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, content: &[u8]) -> std::io::Result<()> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        let frame = [&length[1..], &[kind, flags], &stream.to_be_bytes(), content].concat();
        self.socket.write_all(&frame)
    }

    /// Asks for something without a key; returns how many bytes that takes.
    fn ask(&mut self) -> std::io::Result<usize> {
        self.ask_with(END_STREAM, b"")
    }

    /// Does so with more in the head.
    fn ask_with(&mut self, flags: u8, more: &[u8]) -> std::io::Result<usize> {
        // Static entries of HPACK, and two fields that are written out (RFC 7541, 6).
        let fields = [b"\x82\x87\x04\x07/v1/key\x01\x09localhost", more].concat();
        let stream = self.next;
        self.next += 2;
        self.send(HEADERS, flags | END_HEADERS, stream, &fields)?;
        Ok(9 + fields.len())
    }

    /// Reads the next frame: its kind, its flags and what is in it. `None` once the connection has ended.
    fn read(&mut self) -> Option<(u8, u8, Vec<u8>)> {
        let mut head = [0; 9];
        self.socket.read_exact(&mut head).ok()?;
        let mut content = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.socket.read_exact(&mut content).ok()?;
        Some((head[3], head[4], content))
    }

    /// Reads until as many frames of a kind with a flag have come; returns how many have.
    fn read_until(&mut self, kind: u8, flag: u8, count: u32) -> u32 {
        let mut read = 0;
        while read < count
            && let Some((of_kind, flags, _)) = self.read()
        {
            read += u32::from(of_kind == kind && flags & flag != 0);
        }
        read
    }
}

#[test]
fn as_many_requests_as_are_allowed_at_once_are_answered_and_far_more_end_the_connection() {
    let server = serving();
    let mut client = Client::connect(&server, 0);
    let (kind, _, settings) = client.read().unwrap();
    let bound = [&[0, 3][..], &MOST.to_be_bytes()].concat();
    assert_eq!(kind, SETTINGS);
    assert!(settings.chunks(6).any(|setting| setting == bound), "{settings:?}");

    for _ in 0..MOST {
        client.ask().unwrap();
    }
    assert_eq!(client.read_until(HEADERS, END_HEADERS, MOST), MOST);
    client.set_window(65_535).unwrap();
    assert_eq!(client.read_until(DATA, END_STREAM, MOST), MOST);

    client.set_window(0).unwrap();
    let begun = (0..20 * MOST).take_while(|_| client.ask().is_ok()).count();
    let answered = client.read_until(HEADERS, END_HEADERS, u32::MAX);
    let has_ended = (0..10).any(|_| client.ask().is_err());
    assert!(answered < 6 * MOST && has_ended, "{answered} of {begun}, ended: {has_ended}");
    let mut other = Client::connect(&server, 65_535);
    other.ask().unwrap();
    assert_eq!(other.read_until(DATA, END_STREAM, 1), 1);
}

#[test]
fn a_byte_may_stand_for_a_header_but_not_very_many_for_very_many() {
    let server = serving();
    let mut client = Client::connect(&server, 65_535);
    client.ask_with(END_STREAM, b"\x40\x01x\x00").unwrap();
    assert_eq!(client.read_until(DATA, END_STREAM, 1), 1);
    // The header from before, again and again; the body does not come, and is not waited for.
    for (times, code) in [(90, "missing_api_key"), (100, "headers_too_large"), (2_000, "headers_too_large")] {
        client.ask_with(0, &vec![0xbe; times]).unwrap();
        let told = loop {
            let (kind, _, content) = client.read().expect("an answer");
            if kind == DATA && !content.is_empty() {
                break content;
            }
        };
        assert!(
            memmem::find(&told, code.as_bytes()).is_some(),
            "{times}: {}",
            String::from_utf8_lossy(&told)
        );
    }
}

#[test]
fn who_takes_nothing_of_what_is_written_is_read_no_further() {
    let server = serving();
    let mut client = Client::connect(&server, 65_535);
    let mut sent = 0;
    while sent < LONGEST
        && let Ok(bytes) = client.ask()
    {
        sent += bytes;
    }
    assert!(sent < LONGEST, "all of it was read");
    let mut other = Client::connect(&server, 65_535);
    other.ask().unwrap();
    assert_eq!(other.read_until(DATA, END_STREAM, 1), 1);
}
