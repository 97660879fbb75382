//! However usage is looked at, it is the same usage.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use rusqlite::Connection;

use super::super::migrate;
use super::*;
use crate::domain::usage::{Bucket, Tokens};

/// A midnight.
const MIDNIGHT: i64 = 20_000 * 86_400;
const OFFSETS: [&str; 6] = ["Z", "+05:30", "+05:45", "-03:30", "+12:45", "-14:00"];
const GROUPS: [Group; 4] = [Group::Key, Group::Endpoint, Group::Status, Group::Model];

/// Start, key, endpoint, status, model.
type Place = (i64, String, String, u16, String);

fn key(number: usize) -> KeyId {
    format!("key_00000000000000000000000{number}").parse().unwrap()
}

fn database() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    migrate::run(&mut connection).unwrap();
    register_functions(&connection).unwrap();
    connection
}

/// One request: the minute, up to so many around the midnight, the key (0 is none), the endpoint, the status and the model.
fn request(span: i64) -> impl Strategy<Value = (Bucket, Figures)> {
    let minutes = prop_oneof![-20..20_i64, -span..span];
    (minutes, 0..4_usize, 0..2_usize, 0..3_usize, 0..3_usize, 1..1_000_000_u64, 0..50_u64).prop_map(
        |(minute, owner, endpoint, status, model, micros, tokens)| {
            let bucket = Bucket {
                minute: MIDNIGHT / 60 + minute,
                key: (owner > 0).then(|| key(owner)),
                endpoint: ["/v1/key", "/v1/models/{id}"][endpoint],
                status: [200, 404, 499][status],
                model: [None, Some("a"), Some("b")][model].map(Arc::from),
            };
            let latency = Duration::from_micros(micros);
            let mut figures = Figures {
                requests: 1,
                latency_sum: latency,
                latency_max: latency,
                bytes_in: tokens * 4,
                bytes_out: micros,
                tokens: Tokens { prompt: tokens, completion: 1 },
                estimated: tokens % 2,
                ..Figures::default()
            };
            figures.latencies.record(latency);
            (bucket, figures)
        },
    )
}

fn query(step: Step, offset: &str, groups: &[Group]) -> Query {
    let offset: Offset = offset.parse().unwrap();
    let far = Duration::from_secs(20 * 86_400);
    let time = Timestamp::from_seconds(MIDNIGHT);
    Query {
        key: None,
        from: offset.floor(time.before(far), step.length()),
        to: offset.ceil(time.after(far), step.length()),
        step,
        offset,
        groups: groups.to_vec(),
    }
}

/// What the query must answer, summed up from the requests themselves.
fn expected(traffic: &[(Bucket, Figures)], query: &Query) -> BTreeMap<Place, (Figures, u64)> {
    let has = |group| query.groups.contains(&group);
    let mut sums: BTreeMap<Place, (Figures, u64)> = BTreeMap::new();
    for (bucket, figures) in traffic {
        let time = Timestamp::from_seconds(bucket.minute * 60);
        if query.key.is_some_and(|key| bucket.key != Some(key)) || time < query.from || time >= query.to {
            continue;
        }
        let place = (
            query.offset.floor(time, query.step.length()).as_seconds(),
            bucket.key.filter(|_| has(Group::Key)).map(|key| key.to_string()).unwrap_or_default(),
            if has(Group::Endpoint) { bucket.endpoint } else { "" }.to_owned(),
            if has(Group::Status) { bucket.status } else { 0 },
            bucket.model.as_deref().filter(|_| has(Group::Model)).unwrap_or_default().to_owned(),
        );
        let (sum, errors) = sums.entry(place).or_default();
        sum.merge(figures);
        *errors += u64::from(bucket.status >= 400);
    }
    sums
}

fn found(connection: &Connection, query: &Query) -> Vec<(Place, (Figures, u64))> {
    let rows = sum(connection, query).unwrap().rows.into_iter();
    rows.map(|row| {
        let [key, endpoint, model] = [row.key, row.endpoint, row.model].map(|text| text.as_ref().to_owned());
        let place = (row.start.as_seconds(), key, endpoint, row.status, model);
        (place, (row.figures, row.errors))
    })
    .collect()
}

fn total(connection: &Connection, query: &Query) -> (Figures, u64) {
    let mut total = (Figures::default(), 0);
    for (_, (figures, errors)) in found(connection, query) {
        total.0.merge(&figures);
        total.1 += errors;
    }
    total
}

fn counted(traffic: &[(Bucket, Figures)]) -> Connection {
    let connection = database();
    for batch in traffic.chunks(7) {
        add(&connection, batch.iter().map(|(bucket, figures)| (bucket, figures))).unwrap();
    }
    connection
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn what_a_crash_left_in_the_journal_is_added_up_as_it_was_counted(
        counted in proptest::collection::vec(request(100_000), 0..30),
    ) {
        let rows = |database: &Connection| -> Vec<(i64, i64, i64, String, Vec<u8>)> {
            // By what they stand for: numbers are given out in the order of what comes first.
            let mut all = database
                .prepare(
                    "SELECT step, start, requests * 1000000 + prompt_tokens, key_id || endpoint || status || model
                         || latency_sum || ' ' || latency_max || ' ' || bytes_in || ' ' || bytes_out || ' '
                         || completion_tokens || ' ' || estimated, latencies
                     FROM usage JOIN usage_owners ON usage_owners.number = owner
                     JOIN usage_series ON usage_series.number = series
                     ORDER BY 1, 2, 4",
                )
                .unwrap();
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?));
            all.query_map([], row).unwrap().collect::<rusqlite::Result<_>>().unwrap()
        };
        let (added, journaled) = (database(), database());
        add(&added, counted.iter().map(|(bucket, figures)| (bucket, figures))).unwrap();
        for (bucket, figures) in &counted {
            note(&journaled, [(bucket, figures)]).unwrap();
        }
        prop_assert!(rows(&journaled).is_empty());
        recover(&journaled).unwrap();
        prop_assert_eq!(rows(&journaled), rows(&added));
        // Once.
        recover(&journaled).unwrap();
        prop_assert_eq!(rows(&journaled), rows(&added));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn sums_are_those_of_the_requests_whatever_they_are_told_apart_by(
        traffic in proptest::collection::vec(request(900), 1..60),
    ) {
        let connection = counted(&traffic);
        let reference = total(&connection, &query(Step::Day, "Z", &[]));
        prop_assert_eq!(reference.0.requests, traffic.len() as u64);
        for (step, offset) in Step::ALL.into_iter().flat_map(|step| OFFSETS.map(|offset| (step, offset))) {
            for some in 0..16 {
                let groups: Vec<_> = (0..4).filter(|place| some >> place & 1 == 1).map(|at| GROUPS[at]).collect();
                let asked = query(step, offset, &groups);
                let all: Vec<_> = expected(&traffic, &asked).into_iter().collect();
                prop_assert_eq!(found(&connection, &asked), all, "{:?}", asked);
                prop_assert_eq!(&total(&connection, &asked), &reference, "{:?}", asked);
            }
            let mut keys = total(&connection, &Query { key: Some(key(1)), ..query(step, offset, &[]) });
            for other in [2, 3] {
                let asked = Query { key: Some(key(other)), ..query(step, offset, &[Group::Model]) };
                let all: Vec<_> = expected(&traffic, &asked).into_iter().collect();
                prop_assert_eq!(found(&connection, &asked), all, "{:?}", asked);
                let (figures, errors) = total(&connection, &asked);
                keys.0.merge(&figures);
                keys.1 += errors;
            }
            let nobody = found(&connection, &query(step, offset, &[Group::Key]));
            for (_, (figures, errors)) in nobody.into_iter().filter(|((_, key, ..), _)| key.is_empty()) {
                keys.0.merge(&figures);
                keys.1 += errors;
            }
            prop_assert_eq!(&keys, &reference);
        }
        let verification = verify(&connection).unwrap();
        prop_assert!(verification.first_difference.is_none(), "{:?}", verification);
    }

    #[test]
    fn neighbouring_ranges_share_nothing_and_leave_nothing_out_whatever_is_forgotten(
        traffic in proptest::collection::vec(request(2_900), 1..60),
        forgotten in -3_000..3_000_i64,
        cut in -80..80_i64,
        most in prop_oneof![1..100_usize, Just(usize::MAX)],
    ) {
        let connection = counted(&traffic);
        let until = Timestamp::from_seconds(MIDNIGHT + forgotten * 60);
        delete_before(&connection, Step::Minute, until, most).unwrap();
        delete_before(&connection, Step::Hour, until, most).unwrap();
        let reference = total(&connection, &query(Step::Day, "Z", &[]));
        prop_assert_eq!(reference.0.requests, traffic.len() as u64);
        for (offset, groups) in OFFSETS.into_iter().flat_map(|offset| [(offset, &[][..]), (offset, &[Group::Key])]) {
            let all = query(Step::Day, offset, groups);
            prop_assert_eq!(&total(&connection, &all), &reference, "{}", offset);
            let middle = Timestamp::from_seconds(MIDNIGHT + cut * 3_600);
            let middle = all.offset.floor(middle, Step::Day.length());
            let mut halves = total(&connection, &Query { to: middle, ..all.clone() });
            let (figures, errors) = total(&connection, &Query { from: middle, ..all });
            halves.0.merge(&figures);
            halves.1 += errors;
            prop_assert_eq!(&halves, &reference, "{}", offset);
            // Hours are told as far back as they are whole, and then they are those of the requests.
            for step in [Step::Minute, Step::Hour] {
                let asked = query(step, offset, &[]);
                let from = sum(&connection, &asked).unwrap().from;
                let all: Vec<_> = expected(&traffic, &Query { from, ..asked.clone() }).into_iter().collect();
                prop_assert_eq!(found(&connection, &asked), all, "{:?} from {}", asked, from);
            }
        }
        let verification = verify(&connection).unwrap();
        prop_assert!(verification.first_difference.is_none(), "{:?}", verification);
    }
}

/// Three days with a request of two keys in every hour.
fn three_days() -> Connection {
    let figures = |micros| {
        let mut figures = Figures { requests: 1, latency_sum: micros, ..Figures::default() };
        (figures.latency_max, figures.bytes_in) = (micros, 7);
        figures.latencies.record(micros);
        figures
    };
    let traffic = (0..72).flat_map(|hour| {
        [1, 2].map(|owner| {
            let (endpoint, status) = ("/v1/chat/completions", 200);
            let minute = MIDNIGHT / 60 + hour * 60 + 7;
            let bucket =
                Bucket { minute, key: Some(key(owner)), endpoint, status, model: Some(Arc::from("m")) };
            (bucket, figures(Duration::from_millis(hour.cast_unsigned() + 1)))
        })
    });
    counted(&traffic.collect::<Vec<_>>())
}

#[test]
fn a_verification_finds_what_does_not_add_up() {
    let cases = [
        // what is done to it                                                   what it finds first    how often in all
        ("SELECT 1", None, 0),
        (
            "UPDATE usage SET requests = 2 WHERE step = 60 AND owner = 2 AND start = 1728000420",
            Some("histograms"),
            3,
        ),
        (
            "UPDATE usage SET bytes_in = 8 WHERE step = 60 AND owner = 0 AND start = 1728000420",
            Some("by the minute"),
            2,
        ),
        ("UPDATE usage SET latency_max = 1 WHERE step = 900 AND owner = 2", Some("minutes add up"), 72 + 3),
        ("DELETE FROM usage WHERE step = 86400 AND owner = 0", Some("quarters of an hour add up"), 6),
        ("DELETE FROM usage WHERE step = 86400", Some("quarters of an hour add up"), 9),
        ("DELETE FROM usage WHERE step = 60 AND start < 1728003600", Some("minutes add up"), 3),
        ("DELETE FROM usage WHERE step = 60", Some("minutes add up"), 216),
        (
            "UPDATE usage SET owner = 4 WHERE step = 86400 AND owner = 2",
            Some("quarters of an hour add up"),
            6,
        ),
        (
            "UPDATE usage SET latencies = x'0102' WHERE step = 900 AND owner = 0",
            Some("minutes add up"),
            72 * 2 + 3,
        ),
    ];
    for (change, what, differences) in cases {
        let connection = three_days();
        connection.pragma_update(None, "foreign_keys", false).unwrap();
        connection.execute_batch(change).unwrap();
        let verification = verify(&connection).unwrap();
        let all: u64 = verification.checks.iter().map(|check| check.differences).sum();
        let first = verification.first_difference.as_ref().map(|difference| difference.what);
        assert_eq!(first.is_some(), what.is_some(), "{change}: {verification:?}");
        assert!(first.zip(what).is_none_or(|(first, what)| first.contains(what)), "{change}: {first:?}");
        assert_eq!(all, differences, "{change}");
    }
}

#[test]
fn a_verification_names_the_first_difference_and_counts_rows() {
    let connection = three_days();
    connection
        .execute("UPDATE usage SET bytes_in = 8 WHERE step = 900 AND owner = 3 AND start < 1728003600", [])
        .unwrap();
    let verification = verify(&connection).unwrap();
    let rows: Vec<_> = verification.checks.iter().map(|check| check.rows).collect();
    let (minutes, days) = (72 * 3, 3 * 3);
    assert_eq!(rows, [minutes, minutes, days, minutes, minutes, 2 * minutes + days]);
    let difference = verification.first_difference.unwrap();
    assert_eq!(difference.key, Some(key(2).to_string()));
    assert_eq!((difference.start, difference.figure), (Timestamp::from_seconds(MIDNIGHT), "bytes_in"));
    assert_eq!((difference.expected, difference.found), (7, 8));
    assert_eq!(
        (&*difference.endpoint, difference.status, &*difference.model),
        ("/v1/chat/completions", 200, "m")
    );
}

#[test]
fn a_key_s_requests_are_told_by_model_and_status() {
    let connection = three_days();
    let day = |day: i64| Timestamp::from_seconds(MIDNIGHT + day * 86_400);
    assert_eq!(models_of(&connection, key(1), day(1), day(3)).unwrap(), [("m".to_owned(), 200, 48)]);
    assert_eq!(models_of(&connection, key(9), day(0), day(3)).unwrap(), []);
}
