//! A copy of the daemon's database.

use std::io::Write;

use actix_web::http::Method;
use anyhow::{Result, bail};
use futures_util::StreamExt as _;

use super::{Client, broken_off, collect, length, refusal};

impl Client {
    /// Writes a copy of the database out as it comes, and tells how many bytes of how many came; fails if not all of
    /// them did. Returns how many there are.
    pub(in crate::cli) async fn copy(
        &self,
        to: &mut dyn Write,
        mut tell: impl FnMut(u64, u64),
    ) -> Result<u64> {
        let sent = self.request(&Method::POST, "/admin/v1/backup", &[])?.send().await;
        let mut response = self.answered(sent)?;
        if !response.status().is_success() {
            let status = response.status().as_u16();
            return Err(refusal(status, &collect(&mut response).await?));
        }
        let Some(all) = length(&response) else { bail!("the daemon does not say how long the backup is") };
        let mut came = 0;
        while let Some(piece) = response.next().await {
            let piece = piece.map_err(broken_off)?;
            to.write_all(&piece)?;
            came += piece.len() as u64;
            tell(came, all);
        }
        to.flush()?;
        if came != all {
            bail!(broken_off(format_args!("{came} of {all} bytes came")));
        }
        Ok(came)
    }
}
