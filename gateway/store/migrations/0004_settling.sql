-- What settles a text whose carrier never answered, and reports that come before what they report on.

-- How often a text was queued again although it may have left before: each is a flagged copy.
ALTER TABLE messages ADD COLUMN copies INTEGER NOT NULL DEFAULT 0;

-- rest: an unknown text waits for a report, the carrier's list or a person; resend: it is queued again once.
ALTER TABLE jobs ADD COLUMN on_unknown TEXT NOT NULL DEFAULT 'rest';

-- Unknown texts that the carrier was asked about. looks: lists read whole in which a text was missing, since its time
-- was over; tries: times in a row that the list could not be read.
CREATE TABLE unsettled (
    message_id  TEXT PRIMARY KEY,
    looks       INTEGER NOT NULL,
    tries       INTEGER NOT NULL,
    next_ms     BIGINT NOT NULL
);

-- Reports that named no message of ours when they came: applied when a message gets that id of the carrier's.
CREATE TABLE early_reports (
    carrier     TEXT NOT NULL,
    carrier_id  TEXT NOT NULL,
    status      TEXT NOT NULL,
    mode        TEXT NOT NULL,
    reason      TEXT NOT NULL,
    error_code  TEXT NOT NULL,
    at_ms       BIGINT NOT NULL,
    PRIMARY KEY (carrier, carrier_id, status)
);
CREATE INDEX early_reports_by_age ON early_reports (at_ms);

ALTER TABLE audit_log ADD COLUMN tenant_id TEXT NOT NULL DEFAULT '';
ALTER TABLE audit_log ADD COLUMN mode TEXT NOT NULL DEFAULT '';
ALTER TABLE audit_log ADD COLUMN subject TEXT NOT NULL DEFAULT '';
ALTER TABLE audit_log ADD COLUMN note TEXT NOT NULL DEFAULT '';
CREATE INDEX audit_log_of_tenant ON audit_log (tenant_id, seq);
