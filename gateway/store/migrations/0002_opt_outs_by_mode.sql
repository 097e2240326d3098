-- Test keys reach the practice far end alone, so a stop or a start there is no word of the person's: opt-outs have a mode.

CREATE TABLE opt_outs_by_mode (
    tenant_id  TEXT NOT NULL,
    mode       TEXT NOT NULL,
    recipient  TEXT NOT NULL,
    scope      TEXT NOT NULL,
    source     TEXT NOT NULL,
    evidence   TEXT NOT NULL,
    at_ms      BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, mode, recipient, scope)
);
INSERT INTO opt_outs_by_mode (tenant_id, mode, recipient, scope, source, evidence, at_ms)
SELECT tenant_id, 'live', recipient, scope, source, evidence, at_ms FROM opt_outs;
DROP TABLE opt_outs;
ALTER TABLE opt_outs_by_mode RENAME TO opt_outs;
