//! What is kept of a token: its HMAC-SHA-256 under a secret of the server's own.

use std::fmt;

use ring::hmac;

use super::token::Token;

/// The HMAC-SHA-256 of a token.
pub type Digest = [u8; 32];

/// The server's secret behind all digests. Without it, a stolen database proves nothing about a token.
#[derive(Clone)]
pub struct Digester(hmac::Key);

impl Digester {
    /// Returns a digester with this secret.
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// Returns the digest of a token.
    pub fn digest(&self, token: &Token) -> Digest {
        let tag = hmac::sign(&self.0, token.expose().as_bytes());
        tag.as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// Tells, in constant time, whether the digest is the token's.
    pub fn verify(&self, token: &Token, digest: &Digest) -> bool {
        hmac::verify(&self.0, token.expose().as_bytes(), digest).is_ok()
    }
}

impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digester(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_the_token_s_under_one_secret_only() {
        let token = Token::random(&ring::rand::SystemRandom::new()).unwrap();
        let other = Token::random(&ring::rand::SystemRandom::new()).unwrap();
        let digester = Digester::new(b"secret");
        let digest = digester.digest(&token);
        assert!(digester.verify(&token, &digest));
        assert!(!digester.verify(&other, &digest));
        assert!(!Digester::new(b"another").verify(&token, &digest));
    }
}
