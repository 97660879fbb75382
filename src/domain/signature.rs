//! Signed requests: HMAC-SHA-256, keyed with the token, over `"{timestamp}." + body`.
//!
//! With a nonce, over `"{timestamp}.{nonce}." + body`, so that equal bodies may be sent in one second.

use std::time::Duration;

use ring::hmac;

use super::time::Timestamp;
use super::token::Token;

/// What a signature is remembered by, so that it is accepted once.
pub type Seal = [u8; 32];

/// The signature headers of one request, well-formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    timestamp: String,
    nonce: Option<String>,
    seal: Seal,
}

/// A signature that proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The headers are not of their form.
    #[error("{0}")]
    Malformed(&'static str),
    /// Made too long ago, or too far in the future.
    #[error("X-MCP-Timestamp is too far from the server's time: sign each attempt anew")]
    Stale,
    /// Not the signature of this body under this key.
    #[error("X-MCP-Signature does not match the request body")]
    Mismatch,
}

/// Checks a body against its signature as it comes in.
#[derive(Debug)]
pub struct Verifier {
    key: hmac::Key,
    context: hmac::Context,
    seal: Seal,
}

impl Signature {
    /// Returns the signature that the headers carry: `None` where none of them was sent.
    pub fn parse(
        timestamp: Option<&[u8]>,
        nonce: Option<&[u8]>,
        signature: Option<&[u8]>,
    ) -> Result<Option<Self>, SignatureError> {
        use SignatureError::Malformed;
        let Some(signature) = signature else {
            return if timestamp.is_some() || nonce.is_some() {
                Err(Malformed("X-MCP-Signature is missing beside X-MCP-Timestamp or X-MCP-Nonce"))
            } else {
                Ok(None)
            };
        };
        let seal = parse_hex(signature).ok_or(Malformed("X-MCP-Signature must be 64 hexadecimal digits"))?;
        let timestamp = timestamp
            .filter(|text| (1..=15).contains(&text.len()) && text.iter().all(u8::is_ascii_digit))
            .ok_or(Malformed("X-MCP-Timestamp must be unix seconds"))?;
        let nonce = nonce.map(|nonce| parse_nonce(nonce).ok_or(Malformed(NONCE_FORM))).transpose()?;
        Ok(Some(Self { timestamp: super::alphabet::as_str(timestamp).to_owned(), nonce, seal }))
    }

    /// Fails if the signature was made further than `max_skew` from now, either way.
    pub fn check_age(&self, now: Timestamp, max_skew: Duration) -> Result<(), SignatureError> {
        if self.made().as_seconds().abs_diff(now.as_seconds()) > max_skew.as_secs() {
            return Err(SignatureError::Stale);
        }
        Ok(())
    }

    /// Returns when it was made, as it says itself.
    pub fn made(&self) -> Timestamp {
        Timestamp::from_seconds(self.timestamp.parse().expect("at most 15 digits"))
    }

    /// Returns a check of the body that is to come.
    pub fn verifier(&self, token: &Token) -> Verifier {
        let key = hmac::Key::new(hmac::HMAC_SHA256, token.expose().as_bytes());
        let mut context = hmac::Context::with_key(&key);
        context.update(self.timestamp.as_bytes());
        context.update(b".");
        if let Some(nonce) = &self.nonce {
            context.update(nonce.as_bytes());
            context.update(b".");
        }
        Verifier { key, context, seal: self.seal }
    }
}

impl Verifier {
    /// Takes the next piece of the body.
    pub fn update(&mut self, piece: &[u8]) {
        self.context.update(piece);
    }

    /// Returns what to remember the signature by; fails if it is not the body's.
    pub fn finish(self) -> Result<Seal, SignatureError> {
        let expected = self.context.sign();
        // ring's public constant-time comparison works on whole messages: compare the tags of both tags.
        let tag = hmac::sign(&self.key, expected.as_ref());
        hmac::verify(&self.key, &self.seal, tag.as_ref()).map_err(|_| SignatureError::Mismatch)?;
        Ok(self.seal)
    }
}

const NONCE_FORM: &str = "X-MCP-Nonce must be 8 to 64 characters of A-Z, a-z, 0-9, - and _";

fn parse_nonce(bytes: &[u8]) -> Option<String> {
    let fits = (8..=64).contains(&bytes.len())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    fits.then(|| super::alphabet::as_str(bytes).to_owned())
}

fn parse_hex(bytes: &[u8]) -> Option<Seal> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut seal = Seal::default();
    if bytes.len() != seal.len() * 2 {
        return None;
    }
    for (byte, pair) in seal.iter_mut().zip(bytes.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(seal)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &[u8] = b"mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38";
    const BODY: &[u8] = br#"{"model":"m","messages":[]}"#;
    const SIGNATURE: &[u8] = b"80e67340107f227b0b265d7f3215b445a9c772cc752f1f74702bb28c93c5166b";

    fn verify(
        timestamp: &[u8],
        nonce: Option<&[u8]>,
        signature: &[u8],
        body: &[u8],
    ) -> Result<Seal, SignatureError> {
        let signature = Signature::parse(Some(timestamp), nonce, Some(signature))?.unwrap();
        signature.check_age(Timestamp::from_seconds(1_700_000_000), Duration::from_secs(300))?;
        let mut verifier = signature.verifier(&Token::parse(TOKEN).unwrap());
        for piece in body.chunks(5) {
            verifier.update(piece);
        }
        verifier.finish()
    }

    #[test]
    fn the_published_example_verifies() {
        assert!(verify(b"1700000000", None, SIGNATURE, BODY).is_ok());
        assert!(verify(b"1700000000", None, &SIGNATURE.to_ascii_uppercase(), BODY).is_ok());
    }

    #[test]
    fn anything_else_is_refused() {
        type Case<'a> = (&'a str, &'a [u8], Option<&'a [u8]>, &'a [u8], &'a [u8], SignatureError);
        use SignatureError::{Malformed, Mismatch, Stale};
        let cases: &[Case<'_>] = &[
            ("another body", b"1700000000", None, SIGNATURE, b"{}", Mismatch),
            ("no body", b"1700000000", None, SIGNATURE, b"", Mismatch),
            ("another second", b"1700000001", None, SIGNATURE, BODY, Mismatch),
            ("a nonce added", b"1700000000", Some(b"12345678"), SIGNATURE, BODY, Mismatch),
            ("301 s old", b"1699999699", None, SIGNATURE, BODY, Stale),
            ("301 s ahead", b"1700000301", None, SIGNATURE, BODY, Stale),
            ("milliseconds", b"1700000000000", None, SIGNATURE, BODY, Stale),
            ("no number", b"now", None, SIGNATURE, BODY, Malformed("X-MCP-Timestamp must be unix seconds")),
            ("negative", b"-1", None, SIGNATURE, BODY, Malformed("X-MCP-Timestamp must be unix seconds")),
            ("a short nonce", b"1700000000", Some(b"1234567"), SIGNATURE, BODY, Malformed(NONCE_FORM)),
            (
                "63 digits",
                b"1700000000",
                None,
                &SIGNATURE[1..],
                BODY,
                Malformed("X-MCP-Signature must be 64 hexadecimal digits"),
            ),
        ];
        for (name, timestamp, nonce, signature, body, error) in cases {
            assert_eq!(verify(timestamp, *nonce, signature, body), Err(*error), "{name}");
        }
    }

    #[test]
    fn at_the_edge_of_the_skew_only_the_signature_decides() {
        assert_eq!(verify(b"1699999700", None, SIGNATURE, BODY), Err(SignatureError::Mismatch));
        assert_eq!(verify(b"1700000300", None, SIGNATURE, BODY), Err(SignatureError::Mismatch));
    }

    #[test]
    fn headers_without_a_signature_are_no_unsigned_request() {
        assert_eq!(Signature::parse(None, None, None), Ok(None));
        assert!(Signature::parse(Some(b"1700000000"), None, None).is_err());
        assert!(Signature::parse(None, None, Some(SIGNATURE)).is_err());
    }
}
