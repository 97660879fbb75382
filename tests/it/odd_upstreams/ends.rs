//! Bodies that end with their connection: where that is their end, and where it comes too early.

use std::io::Write as _;

use super::{Close, Either, Failed, Good, HEAD, Reset, case, try_all};
use crate::harness::FakeUpstream;
use crate::harness::upstream::wait_for_close;

#[test]
fn without_a_length_a_body_ends_with_its_connection() {
    try_all(vec![
        case("not announced", format!("{HEAD}\r\nBODY"), Close, Good),
        case("announced", format!("{HEAD}connection: close\r\n\r\nBODY"), Close, Good),
        // The last event is there, and the model has said all.
        case("with a reset", format!("{HEAD}\r\nBODY"), Reset, Failed).streamed(Either),
    ]);
}

#[test]
fn a_body_that_could_be_whole_and_came_short_is_not_passed_on_as_whole() {
    let length = format!("{HEAD}content-length: 9999\r\n\r\nBODY");
    let chunks = format!("{HEAD}transfer-encoding: chunked\r\n\r\nSIZE\r\nBODY\r\n");
    try_all(vec![
        case("a length", length, Close, Failed).streamed(Good),
        case("chunks without the last", chunks.clone(), Close, Failed).streamed(Good),
        case("chunks up to half of the last", chunks + "0", Close, Failed).streamed(Good),
    ]);
}

#[test]
fn an_end_that_never_comes_is_waited_for_like_any_other_piece() {
    let upstream = FakeUpstream::start(|seen, connection| {
        let (said, is_streamed) = super::asked(seen);
        if said != "endless" {
            let _ = connection.write_all(&super::good(&said, is_streamed));
            return true;
        }
        let beginning = format!("{HEAD}\r\ndata: {{\"choices\":[]}}\n\n");
        let _ = connection.write_all(&super::fill(&beginning, is_streamed));
        wait_for_close(connection);
        false
    });
    let (_server, mut client) = super::serving(&upstream, 1);
    let got = client.ask(super::chat("endless", false));
    assert!(got.is_failure(504, "upstream_timeout"), "{}", got.told());
    assert!(client.ask(super::chat("next", false)).is_good("next", false));
}
