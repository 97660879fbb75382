//! What the daemon is asked to change.

use actix_web::http::Method;
use anyhow::{Context as _, Result, anyhow};
use ring::rand::SystemRandom;
use serde_json::Value;

use super::{Answer, BrokenOff, Client, PATIENCE};
use crate::domain::alphabet;

impl Client {
    /// Asks for something to be done, and once more if the connection breaks before the answer is there. The daemon
    /// knows by a key of its own that it is the same wish, so that it is done once.
    pub(in crate::cli) async fn post_once(&self, path: &str, body: &Value) -> Result<Answer> {
        let random: [u8; 24] = alphabet::random(&SystemRandom::new())
            .map_err(|_| anyhow!("the system gives no random numbers"))?;
        let wish = String::from_utf8_lossy(&random).into_owned();
        match self.post_as(path, body, &wish).await {
            Err(error) if error.is::<BrokenOff>() => {
                let again = self.post_as(path, body, &wish).await;
                again.context("the connection broke, so it is not known whether this was done")
            }
            answered => answered,
        }
    }

    /// Asks for something to be changed.
    pub(in crate::cli) async fn patch(&self, path: &str, body: &Value) -> Result<Answer> {
        self.read(self.request(&Method::PATCH, path, &[])?.timeout(PATIENCE).send_json(body).await).await
    }

    /// Asks for something to be deleted.
    pub(in crate::cli) async fn delete(&self, path: &str) -> Result<Answer> {
        self.read(self.request(&Method::DELETE, path, &[])?.timeout(PATIENCE).send().await).await
    }

    async fn post_as(&self, path: &str, body: &Value, wish: &str) -> Result<Answer> {
        let request = self.request(&Method::POST, path, &[])?.insert_header(("Idempotency-Key", wish));
        self.read(request.timeout(PATIENCE).send_json(body).await).await
    }
}
