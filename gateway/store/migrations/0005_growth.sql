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

-- Indexes: each is there for a question that would otherwise read every row there is. A text's way from queued to
-- delivered touches fewer of them than before.

-- whom a stop, an answer, a keyword or an upload is about; never changes
CREATE INDEX messages_of_person ON messages (recipient);
DROP INDEX messages_waiting;
DROP INDEX messages_answered;
DROP INDEX messages_replies;
CREATE INDEX calls_of_person ON calls (recipient);
DROP INDEX calls_waiting;
-- what a sender's loop takes next, and how many segments leave before a text (with the status, or rows would be read)
CREATE INDEX messages_next ON messages (sender, mode, priority DESC, id, segments, status) WHERE status = 'queued';
DROP INDEX messages_queued;
-- how a job stands, without its rows
CREATE INDEX messages_by_state ON messages (job_id, status, reason, segments, hold_until_ms) WHERE job_id IS NOT NULL;
DROP INDEX messages_of_job;
CREATE INDEX calls_by_state ON calls (job_id, status, reason, hold_until_ms) WHERE job_id IS NOT NULL;
DROP INDEX calls_of_job;
-- a job's list, newest first
CREATE INDEX messages_in_job ON messages (job_id, id) WHERE job_id IS NOT NULL;
CREATE INDEX calls_in_job ON calls (job_id, id) WHERE job_id IS NOT NULL;
-- what waits for something that a change of its sender ends
CREATE INDEX messages_held_for ON messages (sender, reason, mode, segments, status) WHERE status = 'held';
CREATE INDEX calls_held_for ON calls (sender, reason, mode) WHERE status = 'held';
-- a job's events; and callbacks that are due, a tenant at a time: one whose engine is away hides nobody else's
CREATE INDEX events_of_job ON events (job_id, seq) WHERE job_id IS NOT NULL;
CREATE INDEX events_to_tell ON events (tenant_id, callback_due_ms) WHERE callback_due_ms IS NOT NULL;
DROP INDEX events_due;
