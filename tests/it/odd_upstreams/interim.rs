//! Interim answers, such as 100 and 103: any number of them may come before the answer.

use super::{Close, Either, Failed, Good, HEAD, Keep, case, try_all};

#[test]
fn interim_answers_are_not_the_answer() {
    let before = |interim: &str| format!("{interim}{HEAD}content-length: LEN\r\n\r\nBODY");
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: <sesame>\r\nx-odd: sesame\r\n\r\n";
    let length = "HTTP/1.1 100 Continue\r\ncontent-length: 5\r\n\r\n";
    try_all(vec![
        case("100", before("HTTP/1.1 100 Continue\r\n\r\n"), Keep, Good),
        case("100 without a reason", before("HTTP/1.1 100 \r\n\r\n"), Keep, Good),
        case("102", before("HTTP/1.1 102 Processing\r\n\r\n"), Keep, Good),
        case("103", before(hints), Keep, Good),
        case("199", before("HTTP/1.1 199 Odd\r\n\r\n"), Keep, Good),
        case("several", before(&format!("HTTP/1.1 100 Continue\r\n\r\n{hints}{hints}")), Keep, Good),
        case("one with a length", before(length), Keep, Either),
        case("hundreds", before(&hints.repeat(300)), Keep, Either),
        case("one and no more", "HTTP/1.1 100 Continue\r\n\r\n", Close, Failed),
        case("one and half an answer", format!("{hints}HTTP/1.1 2"), Close, Failed),
        case("one and garbage", format!("{hints}garbage\r\n\r\n"), Keep, Failed),
        case("another protocol", "HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\nPOISON", Keep, Failed),
    ]);
}

#[test]
fn interim_answers_have_bounds() {
    let endless = "HTTP/1.1 103 Early Hints\r\nx-odd: sesame\r\n\r\n".repeat(100_000);
    try_all(vec![case("four MiB of them", endless, Keep, Failed)]);
}
