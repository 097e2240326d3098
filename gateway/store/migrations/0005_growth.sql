-- What keeps a million waiting rows as quick to work with as ten thousand.

-- A large upload on its way in: its people are kept in blocks until all of them are on disk (`whole` becomes 1 in the
-- transaction that accepts them), and are then made into rows, one block a transaction. One a job at a time.
CREATE TABLE loads (
    id          TEXT PRIMARY KEY,
    job_id      TEXT NOT NULL UNIQUE,
    things      TEXT NOT NULL,
    base        TEXT NOT NULL,
    whole       INTEGER NOT NULL,
    touched_ms  BIGINT NOT NULL
);
CREATE TABLE load_blocks (
    load_id  TEXT NOT NULL,
    number   INTEGER NOT NULL,
    people   TEXT NOT NULL,
    PRIMARY KEY (load_id, number)
);

-- Jobs that were paused, resumed or cancelled, and not all of whose waiting rows have followed yet.
CREATE TABLE job_changes (
    job_id  TEXT PRIMARY KEY
);
