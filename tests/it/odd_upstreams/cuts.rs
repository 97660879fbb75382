//! However an answer is cut into packets, it is the same answer.

use std::io::Write as _;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{HEAD, chat, fill, serving};
use crate::harness::FakeUpstream;

/// Good answers in the forms that there are.
fn forms() -> Vec<String> {
    let chunked = format!("{HEAD}transfer-encoding: chunked\r\n\r\n");
    vec![
        format!("{HEAD}content-length: LEN\r\nx-odd: sesame\r\n\r\nBODY"),
        format!("{chunked}CHUNKS"),
        format!("{chunked}0SIZE;name=\"a;b\"\r\nBODY\r\n00\r\nx-odd: sesame\r\n\r\n"),
        format!("{HEAD}content-length: LEN\r\nconnection: close\r\n\r\nBODY"),
        format!("{HEAD}x-odd: {}\r\ncontent-length: LEN\r\n\r\nBODY", "sesame ".repeat(40)),
    ]
}

#[test]
fn an_answer_is_the_same_wherever_it_is_cut() {
    let cuts: Arc<Mutex<Vec<usize>>> = Arc::default();
    let told = Arc::clone(&cuts);
    let upstream = FakeUpstream::start(move |seen, connection| {
        let (said, is_streamed) = super::asked(seen);
        let answer = fill(&forms()[said.parse::<usize>().unwrap()], is_streamed);
        let mut rest = &answer[..];
        for cut in told.lock().unwrap().iter() {
            let (piece, others) = rest.split_at(*cut % (rest.len() + 1));
            let _ = connection.write_all(piece);
            rest = others;
            // Long enough for what waits for it to wake up, mostly.
            std::thread::sleep(std::time::Duration::from_micros(300));
        }
        let _ = connection.write_all(rest);
        true
    });
    let (_server, client) = serving(&upstream, 30);
    let client = Mutex::new(client);
    let config = Config { cases: 150, failure_persistence: None, ..Config::default() };
    let some = (0..forms().len(), any::<bool>(), proptest::collection::vec(0..500_usize, 0..6));
    TestRunner::new(config)
        .run(&some, |(form, is_streamed, places)| {
            *cuts.lock().unwrap() = places;
            let got = client.lock().unwrap().ask(chat(&form.to_string(), is_streamed));
            prop_assert!(got.meets(super::Good, is_streamed), "{}", got.told());
            Ok(())
        })
        .unwrap();
}
