-- Calls of a broadcast in full: further attempts, what may follow, and how soon people who answered heard the message.

-- attempt: from 1. first_id: of a later attempt, the call that was the first; so each attempt is made once. NULL: it is
-- the first. alternatives: the person's other numbers, in order. tried: how many attempts ended in each outcome so far.
ALTER TABLE calls ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1;
ALTER TABLE calls ADD COLUMN first_id TEXT;
ALTER TABLE calls ADD COLUMN alternatives TEXT NOT NULL DEFAULT '[]';
ALTER TABLE calls ADD COLUMN tried TEXT NOT NULL DEFAULT '{}';
CREATE UNIQUE INDEX calls_attempts ON calls (first_id, attempt) WHERE first_id IS NOT NULL;

-- From the end of the person's greeting (of the answer, where nobody listens for one) to the first sound of the
-- message. NULL: they never heard it.
ALTER TABLE calls ADD COLUMN message_delay_ms BIGINT;

-- category: what a broadcast is for, by law. retries: what becomes of a call that reached nobody, by outcome. reason:
-- why it is paused, where nobody paused it.
ALTER TABLE jobs ADD COLUMN category TEXT NOT NULL DEFAULT 'informational';
ALTER TABLE jobs ADD COLUMN retries TEXT NOT NULL DEFAULT '{}';
ALTER TABLE jobs ADD COLUMN reason TEXT NOT NULL DEFAULT '';

-- What was found wrong when a broadcast's prompts were looked at, before its first call.
ALTER TABLE jobs ADD COLUMN launch TEXT NOT NULL DEFAULT '[]';

-- What people who answered in person heard, by job and day (of epoch, UTC): how many they were, and for how many the
-- message began too late or never. Counted in the transaction that ends the call.
CREATE TABLE answered_calls (
    job_id     TEXT NOT NULL,
    day        BIGINT NOT NULL,
    answered   BIGINT NOT NULL,
    abandoned  BIGINT NOT NULL,
    PRIMARY KEY (job_id, day)
);
CREATE INDEX answered_calls_by_day ON answered_calls (day);

-- detection: how it was found out who answered, and what a machine was left. transfers: to whom the call was handed
-- on, and how that went. recordings: spoken answers that were kept.
ALTER TABLE calls ADD COLUMN detection TEXT NOT NULL DEFAULT '{}';
ALTER TABLE calls ADD COLUMN transfers TEXT NOT NULL DEFAULT '[]';
ALTER TABLE calls ADD COLUMN recordings TEXT NOT NULL DEFAULT '[]';

-- quality: what the line was like, as both ends' packets and reports say.
ALTER TABLE calls ADD COLUMN quality TEXT NOT NULL DEFAULT '{}';

-- Flagged copies of a job's texts, which hardly any has: asked for whenever somebody looks at the job.
CREATE INDEX messages_copied ON messages (job_id, copies) WHERE copies > 0;

-- What people said into calls, as G.711 mu-law; deleted when it is as old as the settings allow. source: the carrier
-- that it is still to be fetched from, at due_ms; empty once it is here, or was given up.
CREATE TABLE recordings (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    mode        TEXT NOT NULL,
    call_id     TEXT NOT NULL,
    node        TEXT NOT NULL,
    created_ms  BIGINT NOT NULL,
    audio       BYTEA NOT NULL,
    source      TEXT NOT NULL DEFAULT '',
    tries       INTEGER NOT NULL DEFAULT 0,
    due_ms      BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX recordings_by_age ON recordings (created_ms);
CREATE INDEX recordings_to_fetch ON recordings (source, due_ms) WHERE source <> '';

-- The hours of people's own day in which a job may call them.
ALTER TABLE jobs ADD COLUMN hours TEXT NOT NULL DEFAULT '{}';

-- The further attempts of a job, without its other calls.
CREATE INDEX calls_further ON calls (job_id, status) WHERE first_id IS NOT NULL;
