-- Usage again, smaller and read faster: keys and series are numbers, what all keys used together is counted beside what
-- each did, and the hour is told apart by its quarters, so that days of any time zone add up.

ALTER TABLE usage RENAME TO old_usage;

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

CREATE TABLE usage (
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

-- What was counted before is carried over. `renew_histogram` and `sum_histograms` are mcpd's own functions.

INSERT INTO usage_owners (key_id)
SELECT DISTINCT key_id FROM old_usage WHERE key_id <> '' ORDER BY key_id;

INSERT INTO usage_series (endpoint, status, model)
SELECT DISTINCT endpoint, status, model FROM old_usage ORDER BY endpoint, status, model;

-- What was forgotten shows in sums: an hour is whole if its minutes add up to it, a day if its hours do.
INSERT INTO usage_since (step, since)
SELECT 60, coalesce(max(hours.start) + 3600, 0)
FROM (SELECT start, sum(requests) AS requests FROM old_usage WHERE step = 3600 GROUP BY start) AS hours
LEFT JOIN (SELECT start / 3600 * 3600 AS hour, sum(requests) AS requests FROM old_usage WHERE step = 60 GROUP BY hour)
    AS minutes ON minutes.hour = hours.start
WHERE hours.requests IS NOT minutes.requests;

INSERT INTO usage_since (step, since)
SELECT 900, coalesce(max(days.start) + 86400, 0)
FROM (SELECT start, sum(requests) AS requests FROM old_usage WHERE step = 86400 GROUP BY start) AS days
LEFT JOIN (SELECT start / 86400 * 86400 AS day, sum(requests) AS requests FROM old_usage WHERE step = 3600 GROUP BY day)
    AS hours ON hours.day = days.start
WHERE days.requests IS NOT hours.requests;

INSERT INTO usage_since (step, since) VALUES (86400, 0);

INSERT INTO usage
SELECT old.step, old.start, owner.number, series.number, old.requests, old.latency_sum, old.latency_max,
    renew_histogram(old.latencies), old.bytes_in, old.bytes_out, old.prompt_tokens, old.completion_tokens, old.estimated
FROM old_usage AS old
JOIN usage_owners AS owner ON owner.key_id = old.key_id
JOIN usage_series AS series ON (series.endpoint, series.status, series.model) = (old.endpoint, old.status, old.model)
WHERE old.step IN (60, 86400);

-- Quarters are made of minutes where those are whole; before that an hour counts as its first quarter.
INSERT INTO usage
SELECT 900, start / 900 * 900 AS quarter, owner, series, sum(requests), sum(latency_sum), max(latency_max),
    sum_histograms(latencies), sum(bytes_in), sum(bytes_out), sum(prompt_tokens), sum(completion_tokens), sum(estimated)
FROM usage
WHERE step = 60 AND start >= (SELECT since FROM usage_since WHERE step = 60)
GROUP BY quarter, owner, series;

INSERT INTO usage
SELECT 900, old.start, owner.number, series.number, old.requests, old.latency_sum, old.latency_max,
    renew_histogram(old.latencies), old.bytes_in, old.bytes_out, old.prompt_tokens, old.completion_tokens, old.estimated
FROM old_usage AS old
JOIN usage_owners AS owner ON owner.key_id = old.key_id
JOIN usage_series AS series ON (series.endpoint, series.status, series.model) = (old.endpoint, old.status, old.model)
WHERE old.step = 3600 AND old.start < (SELECT since FROM usage_since WHERE step = 60);

INSERT INTO usage
SELECT step, start, 0, series, sum(requests), sum(latency_sum), max(latency_max),
    sum_histograms(latencies), sum(bytes_in), sum(bytes_out), sum(prompt_tokens), sum(completion_tokens), sum(estimated)
FROM usage
GROUP BY step, start, series;

DROP TABLE old_usage;
