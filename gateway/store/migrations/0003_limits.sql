-- Limits beyond a sender's own: 10DLC campaigns, brands, tenants, carrier accounts, recipients.

CREATE TABLE limit_scopes (
    tenant_id     TEXT NOT NULL,
    kind          TEXT NOT NULL,
    name          TEXT NOT NULL,
    status        TEXT NOT NULL,
    parent        TEXT NOT NULL,
    limits        TEXT NOT NULL,
    callback_url  TEXT NOT NULL,
    updated_ms    BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, kind, name)
);

-- A number's campaign, and where what its own limits have come to is told.
ALTER TABLE senders ADD COLUMN campaign TEXT NOT NULL DEFAULT '';
ALTER TABLE senders ADD COLUMN callback_url TEXT NOT NULL DEFAULT '';

-- The network a text goes to, where the engine knows it.
ALTER TABLE messages ADD COLUMN network TEXT NOT NULL DEFAULT '';

-- Raised whenever a scope changes: what was granted under other limits is not written.
ALTER TABLE limit_epoch ADD COLUMN version BIGINT NOT NULL DEFAULT 0;

-- The most segments that any text had: after a rebuild its last ones may still have to leave.
ALTER TABLE limit_epoch ADD COLUMN longest BIGINT NOT NULL DEFAULT 1;

-- until_us: when the window no longer matters. told: the highest share, in per cent, that an event told of.
ALTER TABLE limit_usage ADD COLUMN until_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE limit_usage ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
CREATE INDEX limit_usage_over ON limit_usage (until_us) WHERE until_us > 0;
