-- Usage as it was counted, one row after the other, until it is added to where it is asked for: written many times a
-- second while many keys are used at once.
CREATE TABLE usage_journal (
    minute            INTEGER NOT NULL,         -- minutes since the epoch
    key_id            TEXT NOT NULL,            -- empty where there is no key that mcpd knows
    endpoint          TEXT NOT NULL,
    status            INTEGER NOT NULL,
    model             TEXT NOT NULL,            -- empty where there is none, or none that the server has
    requests          INTEGER NOT NULL,
    latency_sum       INTEGER NOT NULL,         -- microseconds
    latency_max       INTEGER NOT NULL,         -- microseconds
    latencies         BLOB NOT NULL,            -- a histogram
    bytes_in          INTEGER NOT NULL,
    bytes_out         INTEGER NOT NULL,
    prompt_tokens     INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    estimated         INTEGER NOT NULL          -- requests whose tokens are an estimate
) STRICT;
