//! Writing where something cannot be written.

use rusqlite::Connection;

use super::*;
use crate::domain::scope::Scopes;
use crate::domain::sighting::Seen;
use crate::domain::sighting::Sighting;

/// A guess that is one too many, shown to the watch.
fn alarm(writer: &mut Writer) {
    let now = writer.rooms.clock.now();
    let sighting =
        Sighting { key: None, superseded: false, client: None, user_agent: "".into(), endpoint: "/v1/key" };
    let seen = Seen {
        requests: 20,
        errors: 20,
        admitted: 0,
        failures: 0,
        rate_limited: 0,
        failed_auth: 20,
        scopes: Scopes::NONE,
        first: now.wall,
        last: now.wall,
    };
    writer.rooms.watch.observe([(&sighting, &seen)].into_iter(), now);
}

fn seal() -> (Job, oneshot::Receiver<()>) {
    let (kept, answer) = oneshot::channel();
    let key = "key_000000000000000000000001".parse().unwrap();
    let expires_at = Timestamp::from_seconds(i64::from(u32::MAX));
    (Job::Seal { key, seal: [7; 32], expires_at, kept }, answer)
}

#[test]
fn what_the_watch_found_is_written_with_usage_and_a_signature_clears_no_failure() {
    let folder = testing::folder("findings");
    let mut writer = Writer::new(testing::rooms(&folder), Arc::new(Trouble::new(None)));
    alarm(&mut writer);
    let work = writer.gather(Vec::new(), false, false);
    assert!(!work.is_anything(), "it waits for the next flush");
    let other = Connection::open(folder.join("mcpd.db")).unwrap();
    other.execute_batch("ALTER TABLE alerts RENAME TO away").unwrap();
    let work = writer.gather(Vec::new(), true, false);
    assert!(work.findings && !writer.carry_out(work) && writer.failing);
    let (job, mut answer) = seal();
    let work = writer.gather(vec![job], false, false);
    assert!(writer.carry_out(work) && answer.try_recv().is_ok());
    assert!(writer.failing, "the alert is still to be written");
    other.execute_batch("ALTER TABLE away RENAME TO alerts").unwrap();
    let work = writer.gather(Vec::new(), true, false);
    assert!(writer.carry_out(work) && !writer.failing && writer.rooms.watch.is_written());
    drop(writer);
    std::fs::remove_dir_all(folder).unwrap();
}
