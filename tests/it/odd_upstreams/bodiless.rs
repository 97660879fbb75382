//! Answers that have no body, whatever they say.

use super::{Failed, Keep, case, try_all};

#[test]
fn an_answer_without_a_body_has_none_whatever_its_length_says() {
    let answer = |status: &str, lines: &str| format!("HTTP/1.1 {status}\r\n{lines}\r\n");
    try_all(vec![
        case("204", answer("204 No Content", ""), Keep, Failed),
        case("204 with a length", answer("204 No Content", "content-length: 1000\r\n"), Keep, Failed),
        case("204 with chunks", answer("204 No Content", "transfer-encoding: chunked\r\n"), Keep, Failed),
        case("204 and more", answer("204 No Content", "content-length: 5\r\n") + "helloPOISON", Keep, Failed),
        case("204 and an answer", answer("204 No Content", "") + "POISON", Keep, Failed),
        case("304", answer("304 Not Modified", ""), Keep, Failed),
        case("304 with a length", answer("304 Not Modified", "content-length: 1000\r\n"), Keep, Failed),
        case("304 and an answer", answer("304 Not Modified", "") + "POISON", Keep, Failed),
        case("200 with an empty body", answer("200 OK", "content-length: 0\r\n"), Keep, Failed),
    ]);
}
