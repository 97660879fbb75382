//! Stored files: what goes in comes out, to the byte, or it is refused and nothing of it stays.

mod disk;
mod ends;
mod forms;
mod limits;
mod load;
mod names;
mod ranges;
mod transfer;

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use ring::digest::{SHA256, digest};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::harness::{Answer, Request, TestServer, hex};

const CHUNK: usize = mcpd::files::CHUNK;
const BOUNDARY: &str = "----boundary-of-the-tests";

/// Bytes without a pattern that a wrong offset could hide in.
fn content(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64 ^ length as u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// A part of a form, with what is behind `form-data; ` in its header.
fn part(disposition: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Vec<u8> {
    let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; ");
    [head.as_bytes(), disposition.as_ref(), b"\r\n\r\n", content.as_ref(), b"\r\n"].concat()
}

fn purpose(value: &str) -> Vec<u8> {
    part("name=\"purpose\"", value)
}

fn file(name: &str, content: &[u8]) -> Vec<u8> {
    part(format!("name=\"file\"; filename=\"{name}\""), content)
}

/// A whole form's body.
fn form(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), format!("--{BOUNDARY}--\r\n").into_bytes()].concat()
}

/// A request with this as its body, which is said to be a form.
fn post(body: impl Into<Vec<u8>>) -> Request {
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    Request::new("POST", "/v1/files").header("Content-Type", kind).body(body)
}

fn upload(name: &str, content: &[u8]) -> Request {
    post(form(&[purpose("user_data"), file(name, content)]))
}

/// A request to store a file that is this long, up to the file's first byte.
fn begun(key: &str, length: usize) -> Vec<u8> {
    let head = [purpose("user_data"), file("a", b"")].concat();
    let request = post(&head[..head.len() - 2]);
    request.header("Content-Length", (head.len() + length + form(&[]).len()).to_string()).bearer(key).bytes()
}

/// What follows its last byte.
fn ended() -> Vec<u8> {
    [b"\r\n", &form(&[])[..]].concat()
}

/// Begins an upload that is to be this long and sends as much of its file.
fn begin(to: SocketAddr, key: &str, length: usize, sent: usize) -> TcpStream {
    let mut connection = TcpStream::connect(to).unwrap();
    connection.set_nodelay(true).unwrap();
    connection.write_all(&begun(key, length)).unwrap();
    connection.write_all(&content(sent)).unwrap();
    connection
}

fn download(id: &str) -> Request {
    Request::get(&format!("/v1/files/{id}/content"))
}

fn delete(id: &str) -> Request {
    Request::new("DELETE", &format!("/v1/files/{id}"))
}

/// Stores a file; returns its id.
fn store(server: &TestServer, key: &str, content: &[u8]) -> String {
    id(&server.call(key, upload("a.bin", content)).expect(200))
}

fn id(answer: &Answer) -> String {
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// How many rows are in files, in chunks and in what belongs to no file.
fn rows(database: &Path) -> [u32; 3] {
    let database = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    ["files", "file_chunks", "loose_files"].map(|table| {
        database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    })
}

fn kept(server: &TestServer) -> [u32; 3] {
    rows(&server.path("mcpd.db"))
}

const NOTHING: [u32; 3] = [0, 0, 0];

/// The figure of the requests to an endpoint that ended with this status, once there are any.
fn counted(server: &TestServer, endpoint: &str, status: u16, figure: &str) -> Option<u64> {
    let rows = server.usage("endpoint,status");
    let row = rows.iter().find(|row| row["endpoint"] == endpoint && row["status"] == status)?;
    row[figure].as_u64()
}

fn patch_key(server: &TestServer, made: &Value, change: &Value) {
    let path = format!("/admin/v1/keys/{}", made["id"].as_str().unwrap());
    server.admin(Request::new("PATCH", &path).json(change)).expect(200);
}

fn revoke(server: &TestServer, made: &Value) {
    let path = format!("/admin/v1/keys/{}/revoke", made["id"].as_str().unwrap());
    server.admin(Request::post(&path, &json!({}))).expect(200);
}
