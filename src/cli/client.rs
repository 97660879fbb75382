//! Speaks to the running daemon, over its admin socket.

mod change;
mod copy;
mod plain;

use std::fmt;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use actix_service::fn_service;
use actix_tls::connect::{ConnectError, ConnectInfo, Connection};
use actix_web::http::{Method, Uri};
use actix_web::rt::System;
use actix_web::rt::net::UnixStream;
use anyhow::{Context as _, Result, anyhow, bail};
use awc::error::{ConnectError as NotConnected, SendRequestError};
use awc::{ClientRequest, Connector};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::Misuse;
use super::origin::{absolute, named_by};
use crate::config::Config;

/// How long the daemon may take to answer what it can answer at once.
const PATIENCE: Duration = Duration::from_secs(60);
/// What names the socket before any file does.
const SOCKET_VARIABLE: &str = "MCPD__ADMIN__SOCKET";
/// The longest answer that is not written out as it comes, in bytes.
const LONGEST: usize = 256 * 1024 * 1024;

/// The way to the running daemon.
pub(super) struct Client {
    socket: PathBuf,
    /// Which configuration names the socket.
    named_by: String,
    http: awc::Client,
}

/// An answer of the daemon's.
pub(super) struct Answer {
    /// As it came.
    pub(super) text: String,
    /// What it says.
    pub(super) value: Value,
}

/// The status and body of an answer, as far as its body has come.
type Response = awc::ClientResponse<actix_http::BoxedPayloadStream>;

/// The connection ended before the answer did: whether the daemon did what it was asked to is not known.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BrokenOff(String);

/// Runs work that asks the daemon whose configuration this is.
pub(super) fn ask<T>(config: Option<&Path>, work: impl AsyncFnOnce(&Client) -> Result<T>) -> Result<T> {
    let config = Config::load(config)?;
    System::new().block_on(async {
        work(&Client::new(config.admin.socket, named_by(SOCKET_VARIABLE, config.origin.as_deref()))).await
    })
}

impl Client {
    fn new(socket: PathBuf, named_by: String) -> Self {
        let path = socket.clone();
        let connect = fn_service(move |info: ConnectInfo<Uri>| {
            let path = path.clone();
            async move {
                let stream = UnixStream::connect(path).await.map_err(ConnectError::Io)?;
                Ok::<_, ConnectError>(Connection::new(info.request().clone(), stream))
            }
        });
        let http = awc::Client::builder()
            .connector(Connector::new().connector(connect))
            .disable_timeout()
            .disable_redirects()
            .finish();
        Self { socket, named_by, http }
    }

    /// Asks for something.
    pub(super) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Answer> {
        self.read(self.request(&Method::GET, path, query)?.timeout(PATIENCE).send().await).await
    }

    /// Asks for something that takes as long as it takes.
    pub(super) async fn get_patiently(&self, path: &str) -> Result<Answer> {
        self.read(self.request(&Method::GET, path, &[])?.send().await).await
    }

    /// Asks for something to be done.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.read(self.request(&Method::POST, path, &[])?.timeout(PATIENCE).send_json(body).await).await
    }

    /// Asks for all rows of a list, page by page.
    pub(super) async fn list(&self, path: &str, query: &[(&str, &str)]) -> Result<Vec<Value>> {
        let mut rows = Vec::new();
        let mut after = None;
        loop {
            let page = [("limit", "1000")].into_iter().chain(query.iter().copied());
            let page: Vec<_> = page.chain(after.as_deref().map(|id| ("after", id))).collect();
            let mut page = self.get(path, &page).await?.value;
            let has_more = page["has_more"] == json!(true);
            after = page["last_id"].as_str().map(ToOwned::to_owned);
            if let Some(Value::Array(data)) = page.get_mut("data").map(Value::take) {
                rows.extend(data);
            }
            if !has_more || after.is_none() {
                return Ok(rows);
            }
        }
    }

    /// Writes an answer out as it comes, a row a line; returns how many, and fails if not all of them came.
    pub(super) async fn download(&self, path: &str, to: &mut dyn Write) -> Result<usize> {
        let sent = self.request(&Method::GET, path, &[])?.send().await;
        let mut response = self.answered(sent)?;
        if !response.status().is_success() {
            let status = response.status().as_u16();
            return Err(refusal(status, &collect(&mut response).await?));
        }
        let mut lines = 0;
        while let Some(piece) = response.next().await {
            let piece = piece.map_err(broken_off)?;
            lines += memchr::memchr_iter(b'\n', &piece).count();
            to.write_all(&piece)?;
        }
        to.flush()?;
        // The end of the connection looks like the answer's own.
        match rows(&response) {
            Some(rows) if rows != lines => bail!(broken_off(format_args!("{lines} of {rows} rows came"))),
            _ => Ok(lines),
        }
    }

    fn request(&self, method: &Method, path: &str, query: &[(&str, &str)]) -> Result<ClientRequest> {
        let request = self.http.request(method.clone(), format!("http://localhost{path}"));
        if query.is_empty() {
            return Ok(request);
        }
        request.query(&query).context("cannot write down what is asked for")
    }

    async fn read(&self, sent: Result<Response, SendRequestError>) -> Result<Answer> {
        let mut response = self.answered(sent)?;
        let body = collect(&mut response).await?;
        if !response.status().is_success() {
            return Err(refusal(response.status().as_u16(), &body));
        }
        let text = String::from_utf8(body).context("the daemon's answer is no text")?;
        let value = serde_json::from_str(&text).context("the daemon's answer is no JSON")?;
        Ok(Answer { text, value })
    }

    fn answered(&self, sent: Result<Response, SendRequestError>) -> Result<Response> {
        sent.map_err(|error| match error {
            SendRequestError::Connect(NotConnected::Io(error)) => self.unreachable(&error),
            SendRequestError::Timeout => anyhow!("mcpd did not answer within {} s", PATIENCE.as_secs()),
            error => BrokenOff(format!("mcpd broke off before it answered: {error}")).into(),
        })
    }

    fn unreachable(&self, error: &std::io::Error) -> anyhow::Error {
        let socket = format!("{} (admin.socket, {})", absolute(&self.socket), self.named_by);
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                // Root would otherwise start the packaged one outside of its unit.
                let is_packaged = self.named_by.contains("/etc/mcpd/");
                let start = if is_packaged { "systemctl start mcpd" } else { "mcpd serve" };
                anyhow!(
                    "mcpd is not running here: nothing answers on {socket}; start it with `{start}`, or name its \
                     configuration with --config"
                )
            }
            ErrorKind::PermissionDenied => anyhow!(
                "{socket} may not be used by this user: use the one that mcpd runs as, or one of the socket's group, \
                 or root"
            ),
            _ => anyhow!("cannot connect to {socket}: {error}"),
        }
    }
}

/// Returns how many rows an answer has, if it says so.
fn rows(response: &Response) -> Option<usize> {
    response.headers().get("x-mcp-rows")?.to_str().ok()?.parse().ok()
}

async fn collect(response: &mut Response) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(piece) = response.next().await {
        body.extend_from_slice(&piece.map_err(broken_off)?);
        if body.len() > LONGEST {
            bail!("the daemon's answer is too long: ask for less at a time");
        }
    }
    // The end of the connection looks like the answer's own.
    match length(response) {
        Some(length) if length != body.len() as u64 => {
            Err(broken_off(format_args!("{} of {length} bytes came", body.len())))
        }
        _ => Ok(body),
    }
}

/// Returns how many bytes an answer has, if it says so.
fn length(response: &Response) -> Option<u64> {
    response.headers().get("content-length")?.to_str().ok()?.parse().ok()
}

fn broken_off(error: impl fmt::Display) -> anyhow::Error {
    BrokenOff(format!("the daemon's answer broke off: {error}")).into()
}

/// Returns why the daemon refused, in its own words if it gave some. What it cannot make sense of came with the
/// arguments.
fn refusal(status: u16, body: &[u8]) -> anyhow::Error {
    let error = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let message = error["error"]["message"].as_str().map(super::output::clean);
    let message = message.unwrap_or_else(|| format!("the daemon answered with status {status}"));
    if matches!(status, 400 | 422) { Misuse(message).into() } else { anyhow!(message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_cannot_be_reached_is_told_with_what_to_do() {
        let packaged = "by /etc/mcpd/mcpd.toml";
        let cases = [
            (ErrorKind::NotFound, "by /home/me/mcpd.toml", "start it with `mcpd serve`"),
            (ErrorKind::ConnectionRefused, "by /home/me/mcpd.toml", "start it with `mcpd serve`"),
            (ErrorKind::ConnectionRefused, packaged, "start it with `systemctl start mcpd`"),
            (ErrorKind::PermissionDenied, packaged, "one of the socket's group, or root"),
            (ErrorKind::OutOfMemory, packaged, "cannot connect to"),
        ];
        for (kind, named_by, remedy) in cases {
            let client = Client::new("./data/admin.sock".into(), named_by.to_owned());
            let told = client.unreachable(&kind.into()).to_string();
            let socket = format!("/data/admin.sock (admin.socket, {named_by})");
            assert!(told.contains(remedy) && told.contains(&socket) && !told.contains("./"), "{told}");
        }
    }

    #[test]
    fn a_refusal_is_told_in_the_daemon_s_words() {
        let body = br#"{"error": {"code": "not_found", "message": "There is no such alert", "type": "x"}}"#;
        for (status, is_misuse) in [(404, false), (409, false), (503, false), (400, true), (422, true)] {
            let error = refusal(status, body);
            assert_eq!(
                (error.to_string().as_str(), error.is::<Misuse>()),
                ("There is no such alert", is_misuse)
            );
        }
        assert_eq!(refusal(502, b"<html>").to_string(), "the daemon answered with status 502");
    }
}
