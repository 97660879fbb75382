//! What was signed before the wall clock was stepped back.

use ring::hmac;
use serde_json::json;

use crate::harness::{Request, TestServer, hex};

fn signed(key: &str, timestamp: i64) -> Request {
    let secret = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    let signature = hex(hmac::sign(&secret, format!("{timestamp}.").as_bytes()).as_ref());
    let request = Request::get("/v1/key").header("X-MCP-Timestamp", timestamp.to_string());
    request.header("X-MCP-Signature", signature)
}

#[test]
fn a_signature_stays_used_up_when_the_clock_goes_back() {
    for restarts in [false, true] {
        let mut server = TestServer::start();
        let (key, _) = server.key(json!({}));
        let signed_at = server.unix_time();
        server.call(&key, signed(&key, signed_at)).expect(200);
        server.pass(3_500);
        server.call(&key, signed(&key, signed_at)).expect_error(401, "stale_timestamp");
        // A start clears away what is past its time, and so does the next signature.
        if restarts {
            server = server.restart();
        }
        server.call(&key, signed(&key, signed_at + 3_500)).expect(200);
        server.clock.step_wall(-3_500_000);
        server.call(&key, signed(&key, signed_at)).expect_error(401, "replayed_signature");
        // Nobody is locked out by it.
        server.call(&key, signed(&key, signed_at + 1)).expect(200);
    }
}
