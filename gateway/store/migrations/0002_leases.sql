-- Who may write for which sender, while several processes share the work.

-- Processes that send or call. A beat that stands still for the length of a lease says that its process is gone;
-- whoever sees that takes its row away, and with it all that it held. Identifiers are never used twice. things: what
-- it takes leases of, `messages`, `calls` or both.
CREATE TABLE holders (
    id         IDENTITY,
    things     TEXT NOT NULL,
    beat       BIGINT NOT NULL,
    condemned  INTEGER NOT NULL,
    joined_ms  BIGINT NOT NULL
);

-- Who writes a sender's texts or dials its calls. owner 0, or one that is no holder any more: nobody does. The token
-- rises with each new owner. reason and opens_ms: what keeps the queue waiting just now, for `why` in other processes.
CREATE TABLE leases (
    things    TEXT NOT NULL,
    sender    TEXT NOT NULL,
    mode      TEXT NOT NULL,
    owner     BIGINT NOT NULL,
    token     BIGINT NOT NULL,
    reason    TEXT NOT NULL,
    opens_ms  BIGINT,
    PRIMARY KEY (things, sender, mode)
);
CREATE INDEX leases_of_owner ON leases (owner);

-- The holder that committed it as `sending` or `dialing`, or answered it: if that is gone, nobody knows how it ended.
ALTER TABLE messages ADD COLUMN holder BIGINT NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN holder BIGINT NOT NULL DEFAULT 0;

-- How far the carrier has come with a sender's texts: when the newest that left its queue was written, and when that
-- was told.
CREATE TABLE carrier_queues (
    sender       TEXT NOT NULL,
    mode         TEXT NOT NULL,
    left_sent_ms BIGINT NOT NULL,
    told_ms      BIGINT NOT NULL,
    PRIMARY KEY (sender, mode)
);
