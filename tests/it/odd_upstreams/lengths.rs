//! How long a body is: `Content-Length`, `Transfer-Encoding`, neither, both, and lies.

use super::{Case, Close, Either, Expected, Failed, Good, HEAD, Keep, Reset, case, try_all};

/// A good body under a head with these lines more.
fn under(lines: &str) -> String {
    format!("{HEAD}{lines}\r\nBODY")
}

/// The same in chunks.
fn chunked_under(lines: &str) -> String {
    format!("{HEAD}{lines}\r\nCHUNKS")
}

/// Cases that differ in one header's value.
fn each(values: &[&'static str], answer: impl Fn(&str) -> String, expected: Expected) -> Vec<Case> {
    values.iter().map(|value| case(value, answer(value), Keep, expected)).collect()
}

#[test]
fn a_body_ends_where_its_length_says() {
    try_all(vec![
        case("a length", under("content-length: LEN\r\n"), Keep, Good),
        case("a length with zeros", under("content-length: 000LEN\r\n"), Keep, Good),
        case("a length, then closed", under("content-length: LEN\r\n"), Close, Good),
        case("chunks", chunked_under("transfer-encoding: chunked\r\n"), Keep, Good),
        case("chunks, then closed", chunked_under("transfer-encoding: chunked\r\n"), Close, Good),
        case("the end of HTTP/1.0", under("").replace("HTTP/1.1", "HTTP/1.0"), Close, Good),
        case("a length in HTTP/1.0", under("content-length: LEN\r\n").replace("P/1.1", "P/1.0"), Close, Good),
        case(
            "a connection of HTTP/1.0 that is kept",
            under("connection: keep-alive\r\ncontent-length: LEN\r\n").replace("HTTP/1.1", "HTTP/1.0"),
            Keep,
            Good,
        ),
    ]);
}

#[test]
fn a_body_shorter_than_its_length_is_no_answer() {
    let half = || format!("{HEAD}content-length: LEN\r\n\r\n");
    try_all(vec![
        case("nothing", half(), Close, Failed),
        case("nothing, reset", half(), Reset, Failed),
        case("half", half() + "{\"choices\":", Close, Failed),
        case("half an event", half() + "data: {\"choices\":[]", Close, Failed),
        case("an end without [DONE]", format!("{HEAD}\r\ndata: {{\"choices\":"), Close, Failed),
    ]);
}

#[test]
fn what_comes_behind_a_body_is_nobodys_answer() {
    let length = under("content-length: LEN\r\n");
    let chunks = chunked_under("transfer-encoding: chunked\r\n");
    let closing = under("content-length: LEN\r\nconnection: close\r\n");
    try_all(vec![
        case("an answer", format!("{length}POISON"), Keep, Good),
        case("two answers", format!("{length}POISONPOISON"), Keep, Good),
        case("half an answer", format!("{length}HTTP/1.1 200 OK\r\ncontent-"), Keep, Good),
        case("a blank line", format!("{length}\r\n"), Keep, Good),
        case("a byte", format!("{length}x"), Keep, Good),
        case("garbage", format!("{length}{}", "garbage".repeat(500)), Keep, Good),
        case("an answer, where it closes", format!("{closing}POISON"), Keep, Good),
        case("an answer behind chunks", format!("{chunks}POISON"), Keep, Good),
        case("a byte behind chunks", format!("{chunks}x"), Keep, Good),
        case("another last chunk", format!("{chunks}0\r\n\r\n"), Keep, Good),
    ]);
}

#[test]
fn a_length_that_is_no_number_is_no_length() {
    let values = [
        "-1",
        "-LEN",
        "+LEN",
        "0xLEN",
        "LENx",
        "LEN.0",
        "1e3",
        "LEN LEN",
        "\"LEN\"",
        "five",
        "",
        ",",
        "LEN,",
        "18446744073709551616",
        "18446744073709551621",
        "99999999999999999999999999999999",
        "\u{ff}",
    ];
    try_all(each(&values, |value| under(&format!("content-length: {value}\r\n")) + "POISON", Failed));
}

#[test]
fn lengths_that_contradict_each_other_are_refused() {
    let more = "9999";
    let under = |lines: &str| under(lines) + "POISON";
    try_all(vec![
        case("twice the same", under("content-length: LEN\r\ncontent-length: LEN\r\n"), Keep, Either),
        case("twice the same in a list", under("content-length: LEN, LEN\r\n"), Keep, Either),
        case("two", under(&format!("content-length: LEN\r\ncontent-length: {more}\r\n")), Keep, Failed),
        case("two, the other first", under("content-length: 3\r\ncontent-length: LEN\r\n"), Keep, Failed),
        case("two in a list", under("content-length: LEN, 3\r\n"), Keep, Failed),
        case("one and an empty one", under("content-length: LEN\r\ncontent-length:\r\n"), Keep, Failed),
        case("one and no number", under("content-length: LEN\r\ncontent-length: x\r\n"), Keep, Failed),
    ]);
}

#[test]
fn chunks_go_before_a_length_or_are_refused_with_it() {
    let both = |lines: &str| chunked_under(lines) + "POISON";
    try_all(vec![
        case("both", both("transfer-encoding: chunked\r\ncontent-length: LEN\r\n"), Keep, Either),
        case("the length first", both("content-length: LEN\r\ntransfer-encoding: chunked\r\n"), Keep, Either),
        case("a short length", both("content-length: 3\r\ntransfer-encoding: chunked\r\n"), Keep, Either),
        case("no length", both("content-length: x\r\ntransfer-encoding: chunked\r\n"), Keep, Either),
        case(
            "chunks that are none",
            under("transfer-encoding: chunked\r\ncontent-length: LEN\r\n") + "POISON",
            Keep,
            Failed,
        ),
    ]);
}

#[test]
fn an_encoding_that_nobody_asked_for_is_refused() {
    let values = [
        "gzip",
        "gzip, chunked",
        "chunked, gzip",
        "chunked, identity",
        "chunked, chunked",
        "chunked\r\ntransfer-encoding: chunked",
        "gzip\r\ntransfer-encoding: chunked",
        "chunked\r\ntransfer-encoding: identity",
        "xchunked",
        "chunkedx",
        "x",
        "\"chunked\"",
        "chunked;x=y",
        "\x0bchunked",
    ];
    let answer = |value: &str| chunked_under(&format!("transfer-encoding: {value}\r\n"));
    try_all(values.iter().map(|value| case(value, answer(value), Close, Failed)).collect());
    let values = ["Chunked", "CHUNKED", "  chunked \t"];
    try_all(each(&values, answer, Good));
    let answer = |value: &str| chunked_under(&format!("transfer-encoding: {value}\r\n")) + "POISON";
    try_all(each(&["chunked,", ",chunked", ""], answer, Either));
}
