use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_795_000_000);
const HOUR: u64 = 3_600;

fn ago(seconds: u64) -> Timestamp {
    NOW.before(Duration::from_secs(seconds))
}

fn migration() -> Migration {
    Migration {
        rotated_at: Some(ago(2 * HOUR)),
        old_status: Some(Status::Active),
        old_ends_at: Some(NOW.after(Duration::from_secs(22 * HOUR))),
        old_last_used_at: None,
        old_is_in_use: false,
        revoke_when_quiet: None,
        old_clients: Vec::new(),
        new_admitted: 12,
        new_works: true,
    }
}

fn client(number: u8, user_agent: &str, admitted: u64, seconds: u64) -> Client {
    Client {
        ip: Some([203, 0, 113, number].into()),
        user_agent: user_agent.to_owned(),
        endpoint: "/v1/models".to_owned(),
        requests: 7,
        errors: 0,
        admitted,
        last_seen_at: ago(seconds),
    }
}

fn used(seconds: u64) -> Migration {
    let old_clients = vec![client(9, "curl/8", 7, seconds), client(9, "curl/8", 7, seconds + 1)];
    Migration { old_last_used_at: Some(ago(seconds)), old_clients, ..migration() }
}

#[test]
fn an_old_key_is_safe_to_revoke_once_nobody_would_miss_it() {
    let hour = Some(Duration::from_secs(HOUR));
    let ended = |old_status| Migration { old_status, ..used(5) };
    let cases = [
        ("never used, the new one is", migration(), true),
        ("neither is", Migration { new_admitted: 0, ..migration() }, false),
        (
            "neither for a day",
            Migration { new_admitted: 0, rotated_at: Some(ago(24 * HOUR)), ..migration() },
            true,
        ),
        ("used just now", used(5), false),
        ("used 23 hours ago", used(24 * HOUR - 1), false),
        ("used a day ago", used(24 * HOUR), true),
        ("used an hour ago, which is enough", Migration { revoke_when_quiet: hour, ..used(HOUR) }, true),
        ("less than an hour ago", Migration { revoke_when_quiet: hour, ..used(HOUR - 1) }, false),
        ("in use", Migration { old_is_in_use: true, ..migration() }, false),
        ("the new key is dead", Migration { new_works: false, ..migration() }, false),
        ("expired", ended(Some(Status::Expired)), true),
        ("revoked", ended(Some(Status::Revoked)), true),
        ("disabled", ended(Some(Status::Disabled)), true),
        ("deleted", ended(None), true),
    ];
    for (what, migration, safe) in cases {
        let verdict = migration.verdict(NOW);
        assert_eq!(verdict.safe_to_revoke, safe, "{what}: {}", verdict.text);
        let start = verdict.text.split([':', ' ']).next().unwrap();
        let expected = match (safe, what) {
            (false, _) => "Not",
            (true, "expired" | "revoked" | "disabled" | "deleted") => "The",
            (true, _) => "Safe",
        };
        assert_eq!(start, expected, "{what}: {}", verdict.text);
    }
}

#[test]
fn a_verdict_says_who_still_uses_the_old_key_and_when() {
    let text = |migration: Migration| migration.verdict(NOW).text;
    assert_eq!(
        text(used(300)),
        format!(
            "Not yet: 203.0.113.9 (curl/8) at /v1/models used the old key, last at {} (5m ago). Give them the \
             new key, and look again once the old one was quiet for 24h, or before {}, when it ends.",
            ago(300),
            NOW.after(Duration::from_secs(22 * HOUR))
        )
    );
    let mut many = used(300);
    many.old_clients = (1..=5).map(|number| client(number, "", 1, 300)).collect();
    many.old_clients[0].ip = None;
    many.old_clients[1].admitted = 0;
    let told = text(many.clone());
    assert!(
        told.contains("an address that is not known at /v1/models, 203.0.113.3 at /v1/models, "),
        "{told}"
    );
    assert!(told.contains("203.0.113.4 at /v1/models and 1 more used"), "{told}");
    assert_eq!(
        text(migration()),
        "Safe to revoke: nobody has used the old key since the rotation, the new one has answered 12 requests."
    );
}

#[test]
fn a_verdict_says_who_still_tries_an_old_key_that_has_ended() {
    let ended_at = ago(HOUR);
    let mut migration =
        Migration { old_status: Some(Status::Expired), old_ends_at: Some(ended_at), ..migration() };
    let text = |migration: &Migration| migration.verdict(NOW).text;
    migration.old_clients = vec![client(9, "python-requests/2.31", 2, 60), client(8, "", 2, 2 * HOUR)];
    assert_eq!(
        text(&migration),
        format!(
            "The old key expired at {ended_at}, but 203.0.113.9 (python-requests/2.31) at /v1/models still \
             tried it: 5 refused since the rotation. Give them the new key."
        )
    );
    migration.old_clients.remove(0);
    assert!(text(&migration).ends_with("Nobody has tried it since: the rotation is done."));
    migration.old_status = Some(Status::Disabled);
    assert!(text(&migration).starts_with("The old key is disabled, but 203.0.113.8"), "{}", text(&migration));
}

#[test]
fn ages_are_told_to_the_largest_unit() {
    for (seconds, expected) in
        [(0, "0s"), (59, "59s"), (119, "1m"), (3_700, "1h"), (172_799, "47h"), (180_000, "2d")]
    {
        assert_eq!(age(Duration::from_secs(seconds)), expected);
    }
}
