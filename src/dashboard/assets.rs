//! The files that pages ask for. They are part of the binary.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};

use crate::http::ApiError;

/// A file. Its path changes with what is in it, so that a browser may keep it for good.
pub(super) struct Asset {
    stem: &'static str,
    extension: &'static str,
    kind: &'static str,
    text: &'static str,
}

pub(super) const STYLE: Asset = Asset {
    stem: "style",
    extension: "css",
    kind: "text/css; charset=utf-8",
    text: include_str!("assets/style.css"),
};

pub(super) const SCRIPT: Asset = Asset {
    stem: "script",
    extension: "js",
    kind: "text/javascript; charset=utf-8",
    text: include_str!("assets/script.js"),
};

pub(super) const ICON: Asset =
    Asset { stem: "icon", extension: "svg", kind: "image/svg+xml", text: include_str!("assets/icon.svg") };

impl Asset {
    pub(super) fn path(&self) -> String {
        format!("/assets/{}", self.name())
    }

    fn name(&self) -> String {
        format!("{}-{:08x}.{}", self.stem, crc32fast::hash(self.text.as_bytes()), self.extension)
    }
}

/// Answers with the file that has the name.
pub(super) fn answer(name: &str) -> Result<HttpResponse, ApiError> {
    let found = [STYLE, SCRIPT, ICON].into_iter().find(|asset| asset.name() == name);
    let asset = found.ok_or_else(|| ApiError::NotFound("There is no such file".into()))?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, asset.kind))
        .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .body(asset.text))
}
