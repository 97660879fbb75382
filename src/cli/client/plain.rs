//! What the daemon answers in plain text.

use actix_web::http::Method;
use anyhow::{Context as _, Result};

use super::{Client, PATIENCE, collect, refusal};

impl Client {
    /// Asks for something that is no JSON.
    pub(in crate::cli) async fn text(&self, path: &str) -> Result<String> {
        let mut response =
            self.answered(self.request(&Method::GET, path, &[])?.timeout(PATIENCE).send().await)?;
        let body = collect(&mut response).await?;
        if !response.status().is_success() {
            return Err(refusal(response.status().as_u16(), &body));
        }
        String::from_utf8(body).context("the daemon's answer is no text")
    }
}
