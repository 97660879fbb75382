//! Brings alerts to webhooks: those to one URL in their order, each until it is taken or given up.
//!
//! It runs on the main thread beside the servers, so that no request ever waits for a webhook.

mod post;

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use actix_web::web;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use super::{Alerts, AlertsError, Delivered};
use crate::domain::alert::Rule;
use crate::domain::id::{Order, Orders, RuleId};
use crate::domain::time::Timestamp;
use crate::domain::webhook::{Webhook, WebhookUrl};
use crate::store::outbox::Delivery;
use crate::store::{self, StoreError};
use post::{Outcome, Post};

/// How long a URL is left alone after the first failure, doubled with each one after it, and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How often a webhook is asked at least before a delivery is given up.
const FEWEST_ATTEMPTS: u32 = 10;
/// How long a webhook is waited for that is not there, or says that it will take it later.
const LONGEST_WAIT: Duration = Duration::from_secs(3 * 86_400);
/// How often it is looked whether something is due while something waits: the wall clock may be stepped.
const LOOK: Duration = Duration::from_millis(500);

/// A sample that somebody waits for.
#[derive(Debug)]
pub(super) struct Trial {
    webhook: Webhook,
    rule: RuleId,
    id: String,
    payload: String,
    answer: oneshot::Sender<TestOutcome>,
}

/// What became of a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestOutcome {
    /// Whether it was taken.
    pub delivered: bool,
    /// The status that the webhook answered with, if it did.
    pub status: Option<u16>,
    /// Why it was not taken.
    pub error: Option<String>,
}

/// Delivers what is in the outbox.
pub struct Courier {
    alerts: Arc<Alerts>,
    asked: mpsc::UnboundedReceiver<Trial>,
    post: Post,
    /// The oldest delivery to each URL.
    heads: Vec<Delivery>,
    trials: VecDeque<Trial>,
    /// URLs that are being asked right now: one delivery at a time.
    busy: HashSet<WebhookUrl>,
    /// Deliveries that were made and are still in the outbox, the disk being full.
    made: HashSet<i64>,
    /// URLs that were told why they fail, so that it is logged once.
    failing: HashMap<WebhookUrl, String>,
    /// Whether the outbox could not be read the last time.
    is_blind: bool,
}

/// What is sent.
enum Errand {
    Delivery(Box<Delivery>),
    Trial(Trial),
}

/// What became of something that was under way.
enum Event {
    /// It was sent.
    Sent(Errand, Outcome),
    /// What became of a delivery is noted, or could not be.
    Settled { sequence: i64, url: WebhookUrl, verdict: Delivered, is_written: bool },
}

type UnderWay = FuturesUnordered<Pin<Box<dyn Future<Output = Event>>>>;

impl Alerts {
    /// Sends a sample alert as the rule would, and tells what became of it.
    pub async fn test(&self, id: RuleId) -> Result<TestOutcome, AlertsError> {
        let rule = self.rules().get(id).cloned().ok_or(AlertsError::NoRule)?;
        let sample = self.sample(&rule)?;
        let Some(webhook) = rule.webhook.clone() else {
            tracing::warn!(rule.id = %id, alert.kind = %rule.kind, "alert: {}", sample.1);
            return Ok(TestOutcome { delivered: true, status: None, error: None });
        };
        let (answer, outcome) = oneshot::channel();
        let (sample_id, _, payload) = sample;
        // Where the courier has gone, nobody answers.
        let _ = self.trials.send(Trial { webhook, rule: id, id: sample_id, payload, answer });
        let stopping = |_| TestOutcome {
            delivered: false,
            status: None,
            error: Some("the server is stopping".to_owned()),
        };
        Ok(outcome.await.unwrap_or_else(stopping))
    }

    /// Returns the id, the summary and the JSON of a sample alert.
    fn sample(&self, rule: &Rule) -> Result<(String, String, String), AlertsError> {
        let now = self.clock.now().wall;
        let order: Order = Orders::default().next(now);
        let id = crate::domain::id::AlertId::new(order, &self.random)?.to_string();
        let summary = format!("This is a test of the rule {} for {}: nothing happened", rule.id, rule.kind);
        let payload = json!({
            "id": id,
            "object": "alert",
            "rule": rule.id.to_string(),
            "kind": rule.kind.name(),
            "key": rule.key.map(|key| key.to_string()),
            "status": "open",
            "count": 1,
            "first_seen_at": now.to_string(),
            "last_seen_at": now.to_string(),
            "summary": summary,
            "details": {"test": true},
        });
        Ok((id, summary, payload.to_string()))
    }
}

impl Courier {
    /// Returns the courier; there is one.
    pub fn new(alerts: Arc<Alerts>) -> Option<Self> {
        let asked = alerts.asked.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let post = Post::new(alerts.clock.clone());
        Some(Self {
            alerts,
            asked,
            post,
            heads: Vec::new(),
            trials: VecDeque::new(),
            busy: HashSet::new(),
            made: HashSet::new(),
            failing: HashMap::new(),
            is_blind: false,
        })
    }

    /// Delivers until it is dropped. What is not delivered by then stays in the outbox.
    pub async fn run(mut self) {
        // A fault in one delivery must not be the end of all to come.
        while AssertUnwindSafe(self.deliver()).catch_unwind().await.is_err() {
            tracing::error!("a fault in mcpd interrupted the delivery of alerts; it begins anew");
            self.heads.clear();
            self.busy.clear();
            tokio::time::sleep(FIRST_PAUSE).await;
        }
    }

    async fn deliver(&mut self) {
        let alerts = Arc::clone(&self.alerts);
        let mut under_way = UnderWay::new();
        let mut stale = true;
        loop {
            if stale {
                stale = !self.look().await;
            }
            while let Some(errand) = self.next_errand() {
                under_way.push(self.send(errand));
            }
            let waits = stale || !self.heads.is_empty();
            tokio::select! {
                () = alerts.news.notified() => stale = true,
                () = tokio::time::sleep(LOOK), if waits => {}
                Some(trial) = self.asked.recv() => self.trials.push_back(trial),
                Some(event) = under_way.next() => {
                    under_way.extend(self.settle(event));
                    stale = true;
                }
            }
        }
    }

    /// Reads what is to be delivered next; false if it could not be read.
    async fn look(&mut self) -> bool {
        let alerts = Arc::clone(&self.alerts);
        let read = web::block(move || alerts.store.read(store::outbox::heads)).await;
        match read {
            Ok(Ok(heads)) => {
                self.heads = heads;
                self.is_blind = false;
                true
            }
            Ok(Err(error)) => {
                if !std::mem::replace(&mut self.is_blind, true) {
                    tracing::warn!("cannot read which alerts are to be delivered: {error}");
                }
                false
            }
            Err(_) => false,
        }
    }

    /// Takes what may be sent now.
    fn next_errand(&mut self) -> Option<Errand> {
        let free = |busy: &HashSet<WebhookUrl>, webhook: &Webhook| !busy.contains(&webhook.url);
        if let Some(at) = self.trials.iter().position(|trial| free(&self.busy, &trial.webhook)) {
            return self.trials.remove(at).map(Errand::Trial);
        }
        let (now, rules) = (self.alerts.clock.now().wall, self.alerts.rules());
        let is_next = |head: &Delivery| free(&self.busy, &head.webhook) && is_due(head.next_at, now);
        while let Some(at) = self.heads.iter().position(is_next) {
            let head = self.heads.swap_remove(at);
            // The rule may have changed since: what is gone is not sent, and what goes elsewhere is read anew, as
            // each change wakes the courier.
            let webhook = rules.get(head.rule).and_then(|rule| rule.webhook.clone());
            if let Some(webhook) = webhook.filter(|webhook| webhook.url == head.webhook.url) {
                return Some(Errand::Delivery(Box::new(Delivery { webhook, ..head })));
            }
        }
        None
    }

    fn send(&mut self, errand: Errand) -> Pin<Box<dyn Future<Output = Event>>> {
        let (webhook, id, payload) = match &errand {
            Errand::Delivery(delivery) => {
                (&delivery.webhook, delivery.alert.to_string(), delivery.payload.as_str())
            }
            Errand::Trial(trial) => (&trial.webhook, trial.id.clone(), trial.payload.as_str()),
        };
        self.busy.insert(webhook.url.clone());
        if let Errand::Delivery(delivery) = &errand
            && self.made.contains(&delivery.sequence)
        {
            // It only has to leave the outbox; gently, while the disk is full.
            return Box::pin(async move {
                tokio::time::sleep(FIRST_PAUSE).await;
                Event::Sent(errand, Outcome::Taken(200))
            });
        }
        let sending = self.post.send(webhook, &id, payload);
        Box::pin(async move { Event::Sent(errand, sending.await) })
    }

    /// Does what follows of an event; returns what is under way by that.
    fn settle(&mut self, event: Event) -> Option<Pin<Box<dyn Future<Output = Event>>>> {
        match event {
            Event::Sent(Errand::Delivery(delivery), outcome) => {
                return Some(self.settle_delivery(*delivery, &outcome));
            }
            Event::Settled { sequence, url, verdict, is_written } => {
                self.busy.remove(&url);
                if is_written {
                    self.made.remove(&sequence);
                } else if verdict != Delivered::Failed {
                    self.made.insert(sequence);
                }
            }
            Event::Sent(Errand::Trial(trial), outcome) => {
                self.busy.remove(&trial.webhook.url);
                tracing::info!(
                    rule.id = %trial.rule,
                    "a test alert to {}: {outcome}",
                    trial.webhook.url.origin()
                );
                // Who asked may have left.
                let _ = trial.answer.send(outcome.into());
            }
        }
        None
    }

    /// Notes what became of a delivery; its URL is busy until that is done, and no other one waits for it.
    fn settle_delivery(
        &mut self,
        delivery: Delivery,
        outcome: &Outcome,
    ) -> Pin<Box<dyn Future<Output = Event>>> {
        let now = self.alerts.clock.now().wall;
        let sequence = delivery.sequence;
        let verdict = judge(&delivery, outcome, now);
        if !self.made.contains(&sequence) {
            self.alerts.count_delivery(verdict);
            self.tell(&delivery, outcome, verdict);
        }
        let alerts = Arc::clone(&self.alerts);
        let (next_at, url) = (now.after(pause(delivery.attempts)), delivery.webhook.url);
        let written = {
            let url = url.clone();
            web::block(move || {
                alerts.store.write(|transaction| {
                    match verdict {
                        Delivered::Delivered => store::outbox::delete(transaction, sequence),
                        Delivered::Failed => store::outbox::postpone(transaction, sequence, &url, next_at),
                        Delivered::GivenUp => store::outbox::give_up(transaction, sequence, &url),
                    }
                    .map_err(StoreError::from)
                })
            })
        };
        Box::pin(async move {
            let is_written = matches!(written.await, Ok(Ok(())));
            if !is_written {
                tokio::time::sleep(FIRST_PAUSE).await;
            }
            Event::Settled { sequence, url, verdict, is_written }
        })
    }

    /// Logs what became of a delivery: a failure once, until it is another one or over. The path may be secret.
    fn tell(&mut self, delivery: &Delivery, outcome: &Outcome, verdict: Delivered) {
        let (rule, alert, url) = (delivery.rule, delivery.alert, &delivery.webhook.url);
        let origin = url.origin();
        match verdict {
            Delivered::Delivered => {
                if self.failing.remove(url).is_some() {
                    tracing::info!(rule.id = %rule, "alerts to {origin} are being delivered again");
                }
                tracing::debug!(rule.id = %rule, alert.id = %alert, "delivered an alert to {origin}");
            }
            Delivered::Failed => {
                let reason = outcome.to_string();
                if self.failing.get(url) != Some(&reason) {
                    tracing::warn!(
                        rule.id = %rule,
                        alert.id = %alert,
                        "an alert to {origin} could not be delivered, trying again: {reason}"
                    );
                    self.failing.insert(url.clone(), reason);
                }
            }
            Delivered::GivenUp => tracing::error!(
                rule.id = %rule,
                alert.id = %alert,
                "an alert to {origin} is given up: {outcome}; look at the rule's webhook"
            ),
        }
    }
}

/// Tells whether it is time for a delivery. None is put off for longer than the longest pause, so that a later
/// time tells of a clock that was stepped back.
fn is_due(next_at: Timestamp, now: Timestamp) -> bool {
    next_at <= now || next_at > now.after(LONGEST_PAUSE)
}

/// Returns how long to wait after a failure that so many came before.
fn pause(attempts: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << attempts.min(16)).min(LONGEST_PAUSE)
}

fn judge(delivery: &Delivery, outcome: &Outcome, now: Timestamp) -> Delivered {
    let has_waited = match outcome {
        Outcome::Taken(_) => return Delivered::Delivered,
        Outcome::Refused(status) if is_final(*status) => true,
        Outcome::Refused(_) | Outcome::Failed(_) => now.since(delivery.created_at) >= LONGEST_WAIT,
    };
    let is_last = has_waited && delivery.attempts + 1 >= FEWEST_ATTEMPTS;
    if is_last { Delivered::GivenUp } else { Delivered::Failed }
}

/// Tells whether a status says that the same delivery will not be taken later either.
const fn is_final(status: u16) -> bool {
    matches!(status, 300..=499) && !matches!(status, 408 | 425 | 429)
}

impl From<Outcome> for TestOutcome {
    fn from(outcome: Outcome) -> Self {
        let (delivered, status) = match outcome {
            Outcome::Taken(status) => (true, Some(status)),
            Outcome::Refused(status) => (false, Some(status)),
            Outcome::Failed(_) => (false, None),
        };
        Self { delivered, status, error: (!delivered).then(|| outcome.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::webhook::Format;

    fn delivery(attempts: u32, created_at: i64) -> Delivery {
        let url = WebhookUrl::parse("http://127.0.0.1:9/").unwrap();
        Delivery {
            sequence: 1,
            rule: "rule_000000000000000000000001".parse().unwrap(),
            alert: "alert_000000000000000000000001".parse().unwrap(),
            payload: "{}".to_owned(),
            attempts,
            next_at: Timestamp::from_seconds(0),
            created_at: Timestamp::from_seconds(created_at),
            webhook: Webhook { url, format: Format::Json, secret: None },
        }
    }

    #[test]
    fn a_delivery_is_given_up_when_it_will_not_be_taken() {
        let (now, days) = (Timestamp::from_seconds(1_000_000_000), |days: i64| 1_000_000_000 - days * 86_400);
        let cases = [
            (Outcome::Taken(204), 50, 9, Delivered::Delivered),
            (Outcome::Refused(404), 8, 0, Delivered::Failed),
            (Outcome::Refused(404), 9, 0, Delivered::GivenUp),
            (Outcome::Refused(302), 9, 0, Delivered::GivenUp),
            (Outcome::Refused(429), 50, 2, Delivered::Failed),
            (Outcome::Refused(503), 50, 2, Delivered::Failed),
            (Outcome::Refused(503), 50, 3, Delivered::GivenUp),
            (Outcome::Failed("no"), 5_000, 2, Delivered::Failed),
            (Outcome::Failed("no"), 0, 30, Delivered::Failed),
            (Outcome::Failed("no"), 8, 30, Delivered::Failed),
            (Outcome::Failed("no"), 9, 3, Delivered::GivenUp),
        ];
        for (outcome, attempts, age, expected) in cases {
            assert_eq!(
                judge(&delivery(attempts, days(age)), &outcome, now),
                expected,
                "{outcome} {attempts}"
            );
        }
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        let pauses = [0, 1, 2, 5, 6, 7, 31, u32::MAX].map(|attempts| pause(attempts).as_secs());
        assert_eq!(pauses, [1, 2, 4, 32, 60, 60, 60, 60]);
    }

    #[test]
    fn a_clock_stepped_back_puts_no_delivery_off() {
        let now = Timestamp::from_seconds(10_000);
        let cases = [(9_999, true), (10_000, true), (10_030, false), (10_060, false), (13_600, true)];
        for (next_at, expected) in cases {
            assert_eq!(is_due(Timestamp::from_seconds(next_at), now), expected, "{next_at}");
        }
    }
}
