//! Chunked bodies: sizes, extensions, trailers.

use super::{Case, Close, Either, Failed, Good, HEAD, Keep, Reset, case, try_all};

fn chunked(body: &str) -> String {
    format!("{HEAD}transfer-encoding: chunked\r\n\r\n{body}")
}

/// A chunk with this line, where its data would be 5 bytes long, behind the first chunk of the answer.
fn broken(what: &'static str, chunk: &str) -> Case {
    case(what, chunked(&format!("FIRST{chunk}RESTPOISON")), Keep, Failed)
}

#[test]
fn sizes_are_hexadecimal_in_any_spelling() {
    try_all(vec![
        case("two chunks", chunked("CHUNKS"), Keep, Good),
        case("one chunk", chunked("SIZE\r\nBODY\r\n0\r\n\r\n"), Keep, Good),
        case("a large letter", chunked("UPPER\r\nBODY\r\n0\r\n\r\n"), Keep, Good),
        case("zeros", chunked("000000SIZE\r\nBODY\r\n0\r\n\r\n"), Keep, Good),
        case("many zeros at the end", chunked("SIZE\r\nBODY\r\n0000\r\n\r\n"), Keep, Good),
        case("an extension", chunked("SIZE;name\r\nBODY\r\n0\r\n\r\n"), Keep, Good),
        case("with a value", chunked("SIZE;name=value;b=c\r\nBODY\r\n0;e\r\n\r\n"), Keep, Good),
        case("a quoted value", chunked("SIZE;a=\"b;c\\\" d\"\r\nBODY\r\n0\r\n\r\n"), Keep, Good),
        case("blanks", chunked("SIZE ; a = b\r\nBODY\r\n0\r\n\r\n"), Keep, Either),
        case("a blank at the end", chunked("SIZE \r\nBODY\r\n0\r\n\r\n"), Keep, Either),
        case("a bare line feed", chunked("SIZE\nBODY\r\n0\r\n\r\nPOISON"), Keep, Either),
        case("line feeds only", chunked("SIZE\nBODY\n0\n\nPOISON"), Keep, Either),
        case(
            "an extension of 8 KiB",
            chunked(&format!("SIZE;{}\r\nBODY\r\n0\r\n\r\n", "x".repeat(8192))),
            Keep,
            Either,
        ),
    ]);
}

#[test]
fn a_size_that_is_none_ends_the_answer() {
    try_all(vec![
        broken("no size", "\r\nhello\r\n"),
        broken("no number", "zz\r\nhello\r\n"),
        broken("a prefix", "0x5\r\nhello\r\n"),
        broken("a sign", "+5\r\nhello\r\n"),
        broken("a negative one", "-5\r\nhello\r\n"),
        broken("a blank before", " 5\r\nhello\r\n"),
        broken("a blank within", "0 5\r\nhello\r\n"),
        broken("a comma", "5,\r\nhello\r\n"),
        broken("an extension alone", ";a=b\r\nhello\r\n"),
        broken("2^64", "10000000000000000\r\nhello\r\n"),
        broken("2^64 + 5", "10000000000000005\r\nhello\r\n"),
        broken("40 digits", "ffffffffffffffffffffffffffffffffffffffff\r\nhello\r\n"),
        broken("a NUL", "5\0\r\nhello\r\n"),
        broken("data that is longer", "5\r\nhello, world\r\n"),
        broken("data without its end", "5\r\nhello"),
        broken("data that ends otherwise", "5\r\nhelloxx"),
        broken("a bare CR", "5\rxhello\r\n"),
    ]);
}

#[test]
fn chunks_that_break_off_are_no_answer() {
    try_all(vec![
        case("before the first", chunked(""), Close, Failed),
        case("behind the first", chunked("FIRST"), Close, Failed),
        case("in a size", chunked("FIRST5"), Close, Failed),
        case("behind a size", chunked("FIRST5\r\n"), Close, Failed),
        case("in data", chunked("FIRST5\r\nhe"), Close, Failed),
        case("behind data", chunked("FIRST5\r\nhello"), Close, Failed),
        case("with a reset", chunked("FIRST5\r\nhello"), Reset, Failed),
        case("of 2^64 - 1 bytes", chunked("FIRSTffffffffffffffff\r\nhello"), Close, Failed),
        case("in the last", chunked("SIZE\r\nBODY\r\n0\r\n"), Close, Either).streamed(Good),
    ]);
}

#[test]
fn trailers_are_read_and_dropped() {
    let with = |trailers: &str| chunked(&format!("SIZE\r\nBODY\r\n0\r\n{trailers}\r\n"));
    let mib = || "x-odd: sesame\r\n".repeat(70_000);
    try_all(vec![
        case("one", with("x-odd: sesame\r\n"), Keep, Good),
        case("several", with(&"x-odd: sesame\r\n".repeat(10)), Keep, Good),
        case("a length", with("content-length: 3\r\n"), Keep, Good),
        case("an encoding", with("transfer-encoding: chunked\r\n"), Keep, Good),
        case("a cookie", with("set-cookie: sesame\r\n"), Keep, Good),
        case("one, and an answer behind", with("x-odd: sesame\r\n") + "POISON", Keep, Good),
        case("one without a colon", with("sesame\r\n") + "POISON", Keep, Either).streamed(Good),
        case("a MiB", with(&mib()), Keep, Either).streamed(Good),
        case("a MiB and no end", with(&mib()).trim_end().to_owned(), Close, Either).streamed(Good),
    ]);
}
