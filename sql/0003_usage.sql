-- Usage again, smaller and read faster: keys and series are numbers, what all keys used together is counted beside what
-- each did, and the hour is told apart by its quarters, so that days of any time zone add up.

-- Whose usage it is. 0 is all of it together; an empty key_id stands for requests without a key that mcpd knows.
CREATE TABLE usage_owners (
    number INTEGER PRIMARY KEY,
    key_id TEXT NOT NULL UNIQUE                 -- '*' for 0
) STRICT;

INSERT INTO usage_owners (number, key_id) VALUES (0, '*'), (1, '');

-- What else usage is told apart by. An empty model is none, or none that the server has.
CREATE TABLE usage_series (
    number   INTEGER PRIMARY KEY,
    endpoint TEXT NOT NULL,
    status   INTEGER NOT NULL,
    model    TEXT NOT NULL,
    UNIQUE (endpoint, status, model)
) STRICT;

-- From when on each step is whole: what was before may be forgotten.
CREATE TABLE usage_since (
    step  INTEGER PRIMARY KEY CHECK (step IN (60, 900, 86400)),     -- seconds
    since INTEGER NOT NULL                      -- seconds since the epoch
) STRICT;

CREATE TABLE usage_steps (
    step              INTEGER NOT NULL CHECK (step IN (60, 900, 86400)),    -- seconds
    start             INTEGER NOT NULL,         -- seconds since the epoch
    owner             INTEGER NOT NULL REFERENCES usage_owners (number),
    series            INTEGER NOT NULL REFERENCES usage_series (number),
    requests          INTEGER NOT NULL,
    latency_sum       INTEGER NOT NULL,         -- microseconds
    latency_max       INTEGER NOT NULL,         -- microseconds
    latencies         BLOB NOT NULL,            -- a histogram
    bytes_in          INTEGER NOT NULL,
    bytes_out         INTEGER NOT NULL,
    prompt_tokens     INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    estimated         INTEGER NOT NULL,         -- requests whose tokens are an estimate
    PRIMARY KEY (step, start, owner, series)
) STRICT, WITHOUT ROWID;
