//! Upstreams that speak HTTP/1.0.

use super::{Close, Either, HEAD, case, try_all};

#[test]
fn chunks_are_no_part_of_http_1_0() {
    let answer = format!("{HEAD}transfer-encoding: chunked\r\n\r\nCHUNKS").replace("HTTP/1.1", "HTTP/1.0");
    try_all(vec![case("chunks", answer, Close, Either)]);
}
