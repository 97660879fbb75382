-- Watching keys: who uses them, how much at most, and what is unusual about it.

-- Settings that are only tried out: names of them, a blank between.
ALTER TABLE keys ADD COLUMN report_only TEXT NOT NULL DEFAULT '';
-- When a rotated key handed over, and how long it must have been quiet to be revoked by itself (seconds).
ALTER TABLE keys ADD COLUMN rotated_at INTEGER;
ALTER TABLE keys ADD COLUMN revoke_when_quiet INTEGER CHECK (revoke_when_quiet > 0);

CREATE INDEX keys_to_revoke ON keys (id) WHERE revoke_when_quiet IS NOT NULL AND revoked_at IS NULL;

UPDATE keys
SET rotated_at = coalesce(
    (SELECT max(at) FROM audit WHERE action = 'key.rotate' AND target = keys.id),
    (SELECT created_at FROM keys AS successor WHERE successor.id = keys.rotated_to))
WHERE rotated_to IS NOT NULL;

-- Who asked for what with each key, by UTC day.
CREATE TABLE sightings (
    key_id     TEXT NOT NULL,
    day        INTEGER NOT NULL,                -- days since the epoch
    superseded INTEGER NOT NULL CHECK (superseded IN (0, 1)),   -- whether the key had a successor by then
    client     TEXT NOT NULL,                   -- the address; empty where it could not be read, or beyond the bound
    user_agent TEXT NOT NULL,
    endpoint   TEXT NOT NULL,
    requests   INTEGER NOT NULL,
    errors     INTEGER NOT NULL,
    admitted   INTEGER NOT NULL,
    scopes     TEXT NOT NULL,                   -- that admitted requests called for: names, a blank between them
    first_at   INTEGER NOT NULL,
    last_at    INTEGER NOT NULL,
    PRIMARY KEY (key_id, day, superseded, client, user_agent, endpoint)
) STRICT, WITHOUT ROWID;

CREATE INDEX sightings_by_day ON sightings (day);

-- How each key was used, by UTC day.
CREATE TABLE profiles (
    key_id          TEXT NOT NULL,
    day             INTEGER NOT NULL,           -- days since the epoch
    requests        INTEGER NOT NULL,
    hours           INTEGER NOT NULL,           -- bit 0 is the first hour (UTC) with one let through, bit 23 the last
    busiest_quarter INTEGER NOT NULL,           -- most requests let through in a quarter of an hour
    peak_rate       INTEGER NOT NULL,           -- most requests let through in 60 seconds
    peak_concurrent INTEGER NOT NULL,           -- most requests in flight
    PRIMARY KEY (key_id, day)
) STRICT, WITHOUT ROWID;

CREATE INDEX profiles_by_day ON profiles (day);

-- How often each key was let through in the last quarters of an hour.
CREATE TABLE quarters (
    quarter  INTEGER NOT NULL,                  -- since the epoch
    key_id   TEXT NOT NULL,
    admitted INTEGER NOT NULL,
    PRIMARY KEY (quarter, key_id)
) STRICT, WITHOUT ROWID;

-- Where each key was used from: an IPv4 address, or an IPv6 network of 64 bits.
CREATE TABLE networks (
    key_id   TEXT NOT NULL,
    network  TEXT NOT NULL,
    first_at INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,                  -- to the hour
    PRIMARY KEY (key_id, network)
) STRICT, WITHOUT ROWID;

CREATE INDEX networks_by_end ON networks (last_at);

-- What settings that are only tried out would have refused, by UTC day.
CREATE TABLE reports (
    key_id  TEXT NOT NULL,
    day     INTEGER NOT NULL,
    setting TEXT NOT NULL CHECK (setting IN ('allowed_ips', 'scopes')),
    value   TEXT NOT NULL,                      -- the address or the scope
    requests INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (key_id, day, setting, value)
) STRICT, WITHOUT ROWID;

-- Not only keys are made by requests that may be repeated.
ALTER TABLE idempotency RENAME COLUMN key_id TO made;

CREATE INDEX reports_by_day ON reports (day);

-- Who came before and after a key, and what became of it.
CREATE INDEX keys_by_predecessor ON keys (rotated_from) WHERE rotated_from IS NOT NULL;
CREATE INDEX keys_by_successor ON keys (rotated_to) WHERE rotated_to IS NOT NULL;
CREATE INDEX audit_by_target ON audit (target, sequence);

CREATE TABLE alert_rules (
    id             TEXT PRIMARY KEY,            -- rule_ and 24 base62 characters
    kind           TEXT NOT NULL,
    enabled        INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    key_id         TEXT,                        -- all keys where there is none
    threshold      REAL,                        -- the kind's own where there is none
    window         INTEGER,                     -- seconds; the kind's own where there is none
    webhook_url    TEXT,
    webhook_format TEXT CHECK (webhook_format IN ('json', 'ntfy', 'slack', 'discord')),
    webhook_secret TEXT,                        -- what deliveries are signed with
    created_at     INTEGER NOT NULL,
    CHECK ((webhook_url IS NULL) = (webhook_format IS NULL))
) STRICT, WITHOUT ROWID;

-- One rule of each kind, for all keys.
INSERT INTO alert_rules (id, kind, enabled, created_at)
SELECT 'rule_' || lower(hex(randomblob(12))), column1, 1, CAST(unixepoch('subsec') * 1000 AS INTEGER)
FROM (VALUES ('error_rate'), ('request_spike'), ('new_client_address'), ('unusual_hour'), ('failed_auth'),
    ('rate_limited'), ('key_expiring'), ('rotated_key_in_use'));

CREATE TABLE alerts (
    id            TEXT PRIMARY KEY,             -- alert_ and 24 base62 characters, in the order of raising
    rule_id       TEXT NOT NULL,                -- outlives the rule
    kind          TEXT NOT NULL,
    key_id        TEXT,
    subject       TEXT NOT NULL,                -- what else tells one episode from another, such as an address
    status        TEXT NOT NULL CHECK (status IN ('open', 'acknowledged', 'resolved')),
    count         INTEGER NOT NULL,
    first_seen_at INTEGER NOT NULL,
    last_seen_at  INTEGER NOT NULL,
    resolved_at   INTEGER,
    summary       TEXT NOT NULL,
    details       TEXT NOT NULL CHECK (json_type(details) = 'object')
) STRICT, WITHOUT ROWID;

CREATE INDEX alerts_unresolved ON alerts (status) WHERE status <> 'resolved';
CREATE INDEX alerts_by_end ON alerts (resolved_at) WHERE status = 'resolved';

-- Deliveries to webhooks that are still to be made, in their order.
CREATE TABLE outbox (
    sequence   INTEGER PRIMARY KEY AUTOINCREMENT,
    rule_id    TEXT NOT NULL REFERENCES alert_rules (id) ON DELETE CASCADE,
    alert_id   TEXT NOT NULL,
    payload    TEXT NOT NULL CHECK (json_valid(payload)),       -- the alert as it was raised
    attempts   INTEGER NOT NULL DEFAULT 0,
    next_at    INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX outbox_by_rule ON outbox (rule_id, sequence);
