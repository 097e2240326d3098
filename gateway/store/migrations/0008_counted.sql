-- What left before a limit was there counts in its windows, too.

-- What left from a sender, by time: counted when a cap comes into force in the middle of its window.
CREATE INDEX messages_left ON messages (sender, mode, sent_ms) WHERE sent_ms IS NOT NULL;
CREATE INDEX calls_left ON calls (sender, mode, ended_ms) WHERE ended_ms IS NOT NULL;

-- Limits for which it was counted what had left already: since when, and whether nothing about them changed meanwhile.
CREATE TABLE limit_counted (
    limit_key  TEXT PRIMARY KEY,
    since_us   BIGINT NOT NULL,
    stands     INTEGER NOT NULL
);

-- The last day (since 1970, UTC) on which rows of the limits file came into force; 0: none was noted yet.
ALTER TABLE limit_epoch ADD COLUMN day BIGINT NOT NULL DEFAULT 0;

-- Of the limits file that what had left was counted by: with another one it is counted again.
ALTER TABLE limit_epoch ADD COLUMN limits_file TEXT NOT NULL DEFAULT '';
