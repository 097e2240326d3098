-- Every noun the gateway keeps. Times are epoch milliseconds (BIGINT): SQLite would lose a zone.
-- JSON is TEXT. IDENTITY is the driver's word for a growing integer key. Written for SQLite 3.35+ and PostgreSQL 14+.

CREATE TABLE tenants (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    created_ms  BIGINT NOT NULL
);

CREATE TABLE api_keys (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL REFERENCES tenants (id),
    sha256      TEXT NOT NULL UNIQUE,
    scopes      TEXT NOT NULL,
    mode        TEXT NOT NULL,
    label       TEXT NOT NULL,
    created_ms  BIGINT NOT NULL,
    revoked_ms  BIGINT
);

CREATE TABLE senders (
    number            TEXT PRIMARY KEY,
    tenant_id         TEXT NOT NULL REFERENCES tenants (id),
    kind              TEXT NOT NULL,
    status            TEXT NOT NULL,
    carrier           TEXT NOT NULL,
    voice             TEXT NOT NULL,
    limits            TEXT NOT NULL,
    keyword_replies   TEXT NOT NULL,
    stop_text         TEXT NOT NULL,
    start_text        TEXT NOT NULL,
    help_text         TEXT NOT NULL,
    inbound_dialplan  TEXT NOT NULL,
    created_ms        BIGINT NOT NULL
);

CREATE TABLE jobs (
    id            TEXT PRIMARY KEY,
    tenant_id     TEXT NOT NULL REFERENCES tenants (id),
    mode          TEXT NOT NULL,
    channel       TEXT NOT NULL,
    sender        TEXT NOT NULL,
    spec          TEXT NOT NULL,
    status        TEXT NOT NULL,
    start_ms      BIGINT,
    expires_ms    BIGINT,
    priority      INTEGER NOT NULL,
    reference     TEXT NOT NULL,
    metadata      TEXT NOT NULL,
    callback_url  TEXT NOT NULL,
    created_ms    BIGINT NOT NULL,
    finished_ms   BIGINT
);
CREATE INDEX jobs_of_tenant ON jobs (tenant_id, id);
CREATE INDEX jobs_open ON jobs (status) WHERE status IN ('running', 'paused');

CREATE TABLE messages (
    id             TEXT PRIMARY KEY,
    tenant_id      TEXT NOT NULL,
    mode           TEXT NOT NULL,
    sender         TEXT NOT NULL,
    recipient      TEXT NOT NULL,
    body           TEXT NOT NULL,
    encoding       TEXT NOT NULL,
    segments       INTEGER NOT NULL,
    job_id         TEXT,
    kind           TEXT NOT NULL,
    priority       INTEGER NOT NULL,
    status         TEXT NOT NULL,
    reason         TEXT NOT NULL,
    hold_until_ms  BIGINT,
    expires_ms     BIGINT,
    carrier        TEXT NOT NULL,
    carrier_id     TEXT,
    error_code     TEXT NOT NULL,
    reference      TEXT NOT NULL,
    metadata       TEXT NOT NULL,
    callback_url   TEXT NOT NULL,
    attempts       INTEGER NOT NULL,
    created_ms     BIGINT NOT NULL,
    updated_ms     BIGINT NOT NULL,
    sent_ms        BIGINT
);
-- what a sender's loop takes next
CREATE INDEX messages_queued ON messages (sender, mode, priority DESC, id) WHERE status = 'queued';
-- holds that end by themselves
CREATE INDEX messages_held ON messages (hold_until_ms) WHERE status = 'held' AND hold_until_ms IS NOT NULL;
-- what a stop cancels
CREATE INDEX messages_waiting ON messages (recipient) WHERE status IN ('queued', 'held');
CREATE INDEX messages_expiring ON messages (expires_ms) WHERE status IN ('queued', 'held') AND expires_ms IS NOT NULL;
CREATE INDEX messages_unsettled ON messages (status, sent_ms) WHERE status IN ('sending', 'sent', 'unknown');
CREATE INDEX messages_of_job ON messages (job_id, status) WHERE job_id IS NOT NULL;
CREATE INDEX messages_of_carrier ON messages (carrier_id) WHERE carrier_id IS NOT NULL;
-- which of ours a person answers
CREATE INDEX messages_answered ON messages (recipient, sender, sent_ms) WHERE sent_ms IS NOT NULL;
-- our own answers to keywords, so that two auto-responders do not talk to each other
CREATE INDEX messages_replies ON messages (recipient, sender) WHERE kind <> 'out';

CREATE TABLE calls (
    id                TEXT PRIMARY KEY,
    tenant_id         TEXT NOT NULL,
    mode              TEXT NOT NULL,
    sender            TEXT NOT NULL,
    recipient         TEXT NOT NULL,
    dialplan          TEXT NOT NULL,
    dialplan_version  INTEGER NOT NULL,
    variables         TEXT NOT NULL,
    direction         TEXT NOT NULL,
    job_id            TEXT,
    priority          INTEGER NOT NULL,
    status            TEXT NOT NULL,
    reason            TEXT NOT NULL,
    hold_until_ms     BIGINT,
    expires_ms        BIGINT,
    carrier           TEXT NOT NULL,
    carrier_id        TEXT,
    error_code        TEXT NOT NULL,
    answered_by       TEXT NOT NULL,
    outcome           TEXT NOT NULL,
    keys              TEXT NOT NULL,
    path              TEXT NOT NULL,
    prompts           TEXT NOT NULL,
    collected         TEXT NOT NULL,
    engine_state      TEXT NOT NULL,
    reference         TEXT NOT NULL,
    metadata          TEXT NOT NULL,
    callback_url      TEXT NOT NULL,
    created_ms        BIGINT NOT NULL,
    updated_ms        BIGINT NOT NULL,
    answered_ms       BIGINT,
    ended_ms          BIGINT
);
CREATE INDEX calls_queued ON calls (sender, mode, priority DESC, id) WHERE status = 'queued';
CREATE INDEX calls_held ON calls (hold_until_ms) WHERE status = 'held' AND hold_until_ms IS NOT NULL;
CREATE INDEX calls_waiting ON calls (recipient) WHERE status IN ('queued', 'held');
CREATE INDEX calls_expiring ON calls (expires_ms) WHERE status IN ('queued', 'held') AND expires_ms IS NOT NULL;
CREATE INDEX calls_live ON calls (status) WHERE status IN ('dialing', 'ringing', 'answered');
CREATE INDEX calls_of_job ON calls (job_id, status) WHERE job_id IS NOT NULL;
CREATE INDEX calls_of_carrier ON calls (carrier_id) WHERE carrier_id IS NOT NULL;

-- One row for each thing that happened. reason, until_ms and error_code are the state's own at that moment; what
-- does not change (to, from, reference) is read from the subject's row, so that a bulk change is one INSERT … SELECT.
CREATE TABLE events (
    seq                IDENTITY,
    type               TEXT NOT NULL,
    tenant_id          TEXT NOT NULL,
    mode               TEXT NOT NULL,
    subject            TEXT NOT NULL,
    job_id             TEXT,
    at_ms              BIGINT NOT NULL,
    reason             TEXT NOT NULL,
    until_ms           BIGINT,
    error_code         TEXT NOT NULL,
    data               TEXT NOT NULL,
    callback_url       TEXT NOT NULL,
    callback_due_ms    BIGINT,
    callback_attempts  INTEGER NOT NULL DEFAULT 0,
    callback_done_ms   BIGINT,
    callback_error     TEXT NOT NULL DEFAULT ''
);
CREATE INDEX events_of_tenant ON events (tenant_id, seq);
CREATE INDEX events_of_subject ON events (subject);
CREATE INDEX events_due ON events (callback_due_ms) WHERE callback_due_ms IS NOT NULL;

CREATE TABLE opt_outs (
    tenant_id  TEXT NOT NULL,
    mode       TEXT NOT NULL,
    recipient  TEXT NOT NULL,
    scope      TEXT NOT NULL,
    source     TEXT NOT NULL,
    evidence   TEXT NOT NULL,
    at_ms      BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, mode, recipient, scope)
);

CREATE TABLE inbound (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    mode        TEXT NOT NULL,
    carrier     TEXT NOT NULL,
    carrier_id  TEXT NOT NULL,
    sender      TEXT NOT NULL,
    person      TEXT NOT NULL,
    body        TEXT NOT NULL,
    keyword     TEXT NOT NULL,
    answers     TEXT,
    at_ms       BIGINT NOT NULL,
    UNIQUE (carrier, carrier_id)
);
CREATE INDEX inbound_of_tenant ON inbound (tenant_id, id);

-- A webhook's answer, kept so that its repeat gets the same and does nothing.
CREATE TABLE webhooks (
    carrier  TEXT NOT NULL,
    token    TEXT NOT NULL,
    answer   TEXT NOT NULL,
    at_ms    BIGINT NOT NULL,
    PRIMARY KEY (carrier, token)
);
CREATE INDEX webhooks_by_age ON webhooks (at_ms);

CREATE TABLE idempotency (
    tenant_id   TEXT NOT NULL,
    key         TEXT NOT NULL,
    sha256      TEXT NOT NULL,
    status      INTEGER NOT NULL,
    answer      TEXT NOT NULL,
    at_ms       BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, key)
);
CREATE INDEX idempotency_by_age ON idempotency (at_ms);

-- Published versions never change; a call is pinned to one.
CREATE TABLE dialplans (
    tenant_id   TEXT NOT NULL,
    name        TEXT NOT NULL,
    version     INTEGER NOT NULL,
    source      TEXT NOT NULL,
    sha256      TEXT NOT NULL,
    created_ms  BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, name, version)
);

CREATE TABLE templates (
    tenant_id   TEXT NOT NULL,
    kind        TEXT NOT NULL,
    name        TEXT NOT NULL,
    body        TEXT NOT NULL,
    created_ms  BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, kind, name)
);

-- What each limit used in each window, written in the transaction that writes `sending`: Redis is rebuilt from here.
CREATE TABLE limit_usage (
    limit_key  TEXT NOT NULL,
    window_us  BIGINT NOT NULL,
    used       BIGINT NOT NULL,
    seq        BIGINT NOT NULL,
    PRIMARY KEY (limit_key, window_us)
);
CREATE INDEX limit_usage_by_window ON limit_usage (window_us);

-- Raised each time Redis's counters are rebuilt; a grant of an older epoch is not written.
CREATE TABLE limit_epoch (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    epoch  BIGINT NOT NULL
);
INSERT INTO limit_epoch (one, epoch) VALUES (1, 0);

CREATE TABLE audit_log (
    seq     IDENTITY,
    actor   TEXT NOT NULL,
    action  TEXT NOT NULL,
    detail  TEXT NOT NULL,
    at_ms   BIGINT NOT NULL
);
