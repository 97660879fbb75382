//! Signed requests: the headers read, the body checked against them, the signature accepted once.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

use super::ApiError;
use super::exchange::Exchange;
use super::live::Signing;
use super::public::Rooms;
use crate::domain::signature::{Signature, SignatureError, Verifier};
use crate::domain::token::Token;
use crate::gate::{Refusal, replay};

const TIMESTAMP: HeaderName = HeaderName::from_static("x-mcp-timestamp");
const NONCE: HeaderName = HeaderName::from_static("x-mcp-nonce");
const SIGNATURE: HeaderName = HeaderName::from_static("x-mcp-signature");

/// A signature whose body is still coming.
pub struct Checking {
    signature: Signature,
    verifier: Verifier,
}

impl Checking {
    /// Takes the next piece of the body.
    pub fn update(&mut self, piece: &[u8]) {
        self.verifier.update(piece);
    }
}

/// Begins to check a request that was let through: returns what to check its body with, if it is signed. Fails if
/// it had to be.
pub fn begin(
    rooms: &Rooms,
    exchange: &Exchange,
    headers: &HeaderMap,
    bearer: Option<&[u8]>,
) -> Result<Option<Box<Checking>>, ApiError> {
    let Signing { required, skew } = rooms.live.signing;
    let permit = exchange.permit()?;
    let invalid = |error| permit.refuse(Refusal::InvalidSignature(error));
    let Some(signature) = signature(headers).map_err(invalid)? else {
        let required = required || permit.entry.key.settings.require_signature;
        return if required { Err(permit.refuse(Refusal::MissingSignature).into()) } else { Ok(None) };
    };
    signature.check_age(rooms.clock.now().wall, skew.of(&signature)).map_err(invalid)?;
    let token = bearer.and_then(|bearer| Token::parse(bearer).ok()).expect("the gate has read it");
    let verifier = signature.verifier(&token);
    Ok(Some(Box::new(Checking { signature, verifier })))
}

/// Accepts the signature of a body that was read to its end, for the first and only time, and writes that down.
pub async fn accept(rooms: &Rooms, exchange: &Exchange, checking: Box<Checking>) -> Result<(), ApiError> {
    let skew = rooms.live.signing.skew;
    let now = rooms.clock.now();
    let (entry, seal) = {
        let permit = exchange.permit()?;
        let invalid = |error| permit.refuse(Refusal::InvalidSignature(error));
        // A body that took longer than that to come may be one whose signature was used and forgotten.
        let longest = replay::memory(skew.of(&checking.signature));
        checking.signature.check_age(now.wall, longest).map_err(invalid)?;
        let seal = checking.verifier.finish().map_err(invalid)?;
        permit.accept_seal(seal, now, skew.most())?;
        (permit.entry.clone(), seal)
    };
    let expires_at = now.wall.after(replay::memory(skew.most()));
    if rooms.keeper.keep_seal(entry.key.id, seal, expires_at).await {
        return Ok(());
    }
    entry.seals().forget(&seal);
    Err(ApiError::StorageUnavailable)
}

fn signature(headers: &HeaderMap) -> Result<Option<Signature>, SignatureError> {
    let one = |name: HeaderName| {
        let mut values = headers.get_all(name).map(HeaderValue::as_bytes);
        let value = values.next();
        if values.next().is_some() {
            return Err(SignatureError::Malformed("each of the X-MCP headers may be sent once"));
        }
        Ok(value)
    };
    Signature::parse(one(TIMESTAMP)?, one(NONCE)?, one(SIGNATURE)?)
}
