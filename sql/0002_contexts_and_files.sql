-- What keys may store: conversations, and files. Each record names the key that made it, and outlives it.

CREATE TABLE contexts (
    id         TEXT PRIMARY KEY,                -- ctx_ and 24 base62 characters, in the order of making
    name       TEXT,
    metadata   TEXT NOT NULL CHECK (json_type(metadata) = 'object'),
    revision   INTEGER NOT NULL,                -- goes up with each change
    length     INTEGER NOT NULL,                -- messages
    bytes      INTEGER NOT NULL,                -- of messages, as JSON
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The messages of contexts, a row each, so that appending one writes one.
CREATE TABLE context_messages (
    context_id TEXT NOT NULL REFERENCES contexts (id) ON DELETE CASCADE,
    position   INTEGER NOT NULL,                -- from 0
    message    TEXT NOT NULL,                   -- JSON, as it was sent
    PRIMARY KEY (context_id, position)
) STRICT;

CREATE TABLE files (
    id         TEXT PRIMARY KEY,                -- file_ and 24 base62 characters, in the order of making
    filename   TEXT NOT NULL,
    purpose    TEXT NOT NULL,
    bytes      INTEGER NOT NULL,
    sha256     BLOB NOT NULL CHECK (length(sha256) = 32),
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What is in files, in chunks of 131,072 bytes; a file's last one may be shorter.
CREATE TABLE file_chunks (
    file_id  TEXT NOT NULL,
    position INTEGER NOT NULL,                  -- from 0
    bytes    BLOB NOT NULL,
    PRIMARY KEY (file_id, position)
) STRICT;

-- Ids whose chunks belong to no file: not yet, while it is being uploaded; no more, until they are cleared away.
CREATE TABLE loose_files (
    id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
