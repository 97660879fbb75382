//! Speaks to the running daemon, over its admin socket.

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

use crate::config::Config;

/// How long the daemon may take to answer what it can answer at once.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest answer that is not written out as it comes, in bytes.
const LONGEST: usize = 256 * 1024 * 1024;

/// The way to the running daemon.
pub(super) struct Client {
    socket: PathBuf,
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

/// Runs work that asks the daemon whose configuration this is.
pub(super) fn ask<T>(config: Option<&Path>, work: impl AsyncFnOnce(&Client) -> Result<T>) -> Result<T> {
    let client = Config::load(config)?.admin.socket;
    System::new().block_on(async { work(&Client::new(client)).await })
}

impl Client {
    fn new(socket: PathBuf) -> Self {
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
        Self { socket, http }
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

    /// Writes an answer out as it comes, a row a line; fails if not all of them came.
    pub(super) async fn download(&self, path: &str, to: &mut dyn Write) -> Result<()> {
        let sent = self.request(&Method::GET, path, &[])?.send().await;
        let mut response = self.answered(sent)?;
        if !response.status().is_success() {
            let status = response.status().as_u16();
            bail!(refusal(status, &collect(&mut response).await?));
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
            _ => Ok(()),
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
            bail!(refusal(response.status().as_u16(), &body));
        }
        let text = String::from_utf8(body).context("the daemon's answer is no text")?;
        let value = serde_json::from_str(&text).context("the daemon's answer is no JSON")?;
        Ok(Answer { text, value })
    }

    fn answered(&self, sent: Result<Response, SendRequestError>) -> Result<Response> {
        sent.map_err(|error| match error {
            SendRequestError::Connect(NotConnected::Io(error)) => self.unreachable(&error),
            SendRequestError::Timeout => anyhow!("mcpd did not answer within {} s", PATIENCE.as_secs()),
            error => anyhow!("mcpd broke off before it answered: {error}"),
        })
    }

    fn unreachable(&self, error: &std::io::Error) -> anyhow::Error {
        let socket = self.socket.display();
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => anyhow!(
                "mcpd is not running here: nothing answers on {socket} (admin.socket); start it with `mcpd serve`, \
                 or name its configuration with --config"
            ),
            ErrorKind::PermissionDenied => anyhow!(
                "{socket} (admin.socket) may not be used by this user: use the one that mcpd runs as, or one of the \
                 socket's group, or root"
            ),
            _ => anyhow!("cannot connect to {socket} (admin.socket): {error}"),
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
    Ok(body)
}

fn broken_off(error: impl fmt::Display) -> anyhow::Error {
    anyhow!("the daemon's answer broke off: {error}")
}

/// Returns why the daemon refused, in its own words if it gave some.
fn refusal(status: u16, body: &[u8]) -> String {
    let error = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let message = error["error"]["message"].as_str().map(super::output::clean);
    message.unwrap_or_else(|| format!("the daemon answered with status {status}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_cannot_be_reached_is_told_with_what_to_do() {
        let cases = [
            (ErrorKind::NotFound, "start it with `mcpd serve`"),
            (ErrorKind::ConnectionRefused, "start it with `mcpd serve`"),
            (ErrorKind::PermissionDenied, "one of the socket's group, or root"),
            (ErrorKind::OutOfMemory, "cannot connect to"),
        ];
        for (kind, remedy) in cases {
            let client = Client::new("./data/admin.sock".into());
            let told = client.unreachable(&kind.into()).to_string();
            assert!(told.contains(remedy) && told.contains("./data/admin.sock (admin.socket)"), "{told}");
        }
    }

    #[test]
    fn a_refusal_is_told_in_the_daemon_s_words() {
        let body = br#"{"error": {"code": "not_found", "message": "There is no such alert", "type": "x"}}"#;
        assert_eq!(refusal(404, body), "There is no such alert");
        assert_eq!(refusal(502, b"<html>"), "the daemon answered with status 502");
    }
}
