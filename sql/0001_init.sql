-- The first schema. Times are milliseconds since 1970-01-01T00:00:00Z unless a column says otherwise.

-- What the server made for itself at first start, such as the secret behind the digests of keys.
CREATE TABLE secrets (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE keys (
    id                  TEXT PRIMARY KEY,       -- key_ and 24 base62 characters
    digest              BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),   -- HMAC-SHA-256 of the token
    hint                TEXT NOT NULL,          -- first and last four characters of the token
    name                TEXT NOT NULL,
    enabled             INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    scopes              TEXT NOT NULL,          -- names, a blank between them
    plan                TEXT NOT NULL,
    requests_per_minute INTEGER CHECK (requests_per_minute > 0),
    max_concurrent      INTEGER CHECK (max_concurrent > 0),
    expires_at          INTEGER,
    allowed_ips         TEXT NOT NULL CHECK (json_type(allowed_ips) = 'array'),
    allowed_models      TEXT NOT NULL CHECK (json_type(allowed_models) = 'array'),
    metadata            TEXT NOT NULL CHECK (json_type(metadata) = 'object'),
    require_signature   INTEGER NOT NULL CHECK (require_signature IN (0, 1)),
    created_at          INTEGER NOT NULL,
    revoked_at          INTEGER,
    rotated_from        TEXT,
    rotated_to          TEXT,
    allowance           TEXT NOT NULL,          -- the first key of a line of rotations
    last_used_at        INTEGER,
    last_used_ip        TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX keys_by_age ON keys (created_at, id);

-- What each allowance let through in its last 60 seconds, so that a restart gives nobody a fresh one.
CREATE TABLE windows (
    allowance    TEXT PRIMARY KEY,
    boot         TEXT NOT NULL,                 -- the boot that the steady times count from
    saved_at     INTEGER NOT NULL,
    saved_steady INTEGER NOT NULL,              -- nanoseconds
    slices       BLOB NOT NULL                  -- first and last (nanoseconds, steady) and count of each
) STRICT, WITHOUT ROWID;

-- Signatures that were accepted, each once.
CREATE TABLE seals (
    key_id     TEXT NOT NULL,
    seal       BLOB NOT NULL CHECK (length(seal) = 32),
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (key_id, seal)
) STRICT, WITHOUT ROWID;

-- What an Idempotency-Key was used for.
CREATE TABLE idempotency (
    digest      BLOB PRIMARY KEY CHECK (length(digest) = 32),       -- of the Idempotency-Key
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),     -- of the request made with it
    key_id      TEXT NOT NULL,                                      -- the key that the request made or changed
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who changed what. Each row holds the digest of the one before.
CREATE TABLE audit (
    sequence        INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT NOT NULL UNIQUE,
    at              INTEGER NOT NULL,
    via             TEXT NOT NULL CHECK (via IN ('socket', 'token', 'dashboard', 'system')),
    uid             INTEGER,
    pid             INTEGER,
    action          TEXT NOT NULL,
    target          TEXT NOT NULL,
    before          TEXT CHECK (before IS NULL OR json_valid(before)),
    after           TEXT CHECK (after IS NULL OR json_valid(after)),
    previous_digest BLOB NOT NULL CHECK (length(previous_digest) = 32),
    digest          BLOB NOT NULL CHECK (length(digest) = 32)
) STRICT;

CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;

CREATE TRIGGER audit_is_never_shortened BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;

-- Usage, counted three times over, by minute, hour and day, so that a long range is read from few rows.
-- An empty key_id is a request without a key that mcpd knows, an empty model one without a known model.
CREATE TABLE usage (
    step              INTEGER NOT NULL CHECK (step IN (60, 3600, 86400)),   -- seconds
    start             INTEGER NOT NULL,         -- seconds since the epoch
    key_id            TEXT NOT NULL,
    endpoint          TEXT NOT NULL,
    status            INTEGER NOT NULL,
    model             TEXT NOT NULL,
    requests          INTEGER NOT NULL,
    latency_sum       INTEGER NOT NULL,         -- microseconds
    latency_max       INTEGER NOT NULL,         -- microseconds
    latencies         BLOB NOT NULL,            -- a histogram
    bytes_in          INTEGER NOT NULL,
    bytes_out         INTEGER NOT NULL,
    prompt_tokens     INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    estimated         INTEGER NOT NULL,         -- requests whose tokens are an estimate
    PRIMARY KEY (step, start, key_id, endpoint, status, model)
) STRICT, WITHOUT ROWID;
