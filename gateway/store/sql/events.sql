-- name: events_insert!
INSERT INTO events (type, tenant_id, mode, subject, job_id, at_ms, reason, until_ms, error_code, data,
                    callback_url, callback_due_ms)
VALUES (:type, :tenant_id, :mode, :subject, :job_id, :at_ms, :reason, NULL, '', :data,
        :callback_url, CASE WHEN :callback_url <> '' THEN :at_ms END);

-- name: events_of_tenant
-- Numbers of events; the next two are the same through other indexes.
SELECT seq FROM events WHERE tenant_id = :tenant_id AND mode = :mode AND seq > :after AND (:type = '' OR type = :type)
ORDER BY seq LIMIT :limit;

-- name: events_of_job
SELECT seq FROM events
WHERE job_id = :job_id AND seq > :after AND tenant_id || '' = :tenant_id AND mode = :mode AND (:type = '' OR type = :type)
ORDER BY seq LIMIT :limit;

-- name: events_of_subject
SELECT seq FROM events
WHERE subject = :subject AND seq > :after AND tenant_id || '' = :tenant_id AND mode = :mode AND (:type = '' OR type = :type)
  AND (:job_id = '' OR COALESCE(job_id, '') = :job_id)
ORDER BY seq LIMIT :limit;

-- name: events_numbered
-- Events with what does not change about their subjects.
SELECT events.*,
       COALESCE(messages.recipient, calls.recipient) AS recipient,
       COALESCE(messages.sender, calls.sender) AS sender,
       COALESCE(messages.reference, calls.reference) AS reference,
       COALESCE(messages.metadata, calls.metadata) AS metadata
FROM events LEFT JOIN messages ON messages.id = events.subject LEFT JOIN calls ON calls.id = events.subject
WHERE events.seq IN :seqs ORDER BY events.seq;

-- name: events_newest
SELECT COALESCE(MAX(seq), 0) FROM events;

-- name: events_tenants_due
-- Whose callbacks are due, who has waited longest first. One look a tenant.
SELECT id, due_ms FROM (
    SELECT tenants.id AS id, (SELECT MIN(callback_due_ms) FROM events
                              WHERE tenant_id = tenants.id AND callback_due_ms IS NOT NULL) AS due_ms
    FROM tenants WHERE tenants.id NOT IN :busy) AS waiting
WHERE due_ms <= :now_ms ORDER BY due_ms LIMIT :limit;

-- name: events_due
SELECT seq FROM events
WHERE tenant_id = :tenant_id AND callback_due_ms IS NOT NULL AND callback_due_ms <= :now_ms AND seq NOT IN :under_way
ORDER BY callback_due_ms, seq LIMIT :limit;

-- name: events_claim
-- Whoever claims these delivers them; they are due again, to anybody, at `until_ms`. Returns those that were left.
UPDATE events SET callback_due_ms = :until_ms
WHERE seq IN (SELECT seq FROM events WHERE seq IN :seqs AND callback_due_ms <= :now_ms FOR UPDATE SKIP LOCKED)
RETURNING seq;

-- name: events_unclaim!
UPDATE events SET callback_due_ms = :now_ms WHERE seq IN :seqs AND callback_due_ms IS NOT NULL;

-- name: events_by_type
SELECT type, COUNT(*) AS n FROM events WHERE seq > :after AND seq <= :newest GROUP BY type;

-- name: events_delivered!
UPDATE events SET callback_due_ms = NULL, callback_attempts = callback_attempts + 1, callback_done_ms = :now_ms
WHERE seq = :seq;

-- name: events_postponed!
-- `due_ms` NULL gives up; the event stays in the numbered log.
UPDATE events SET callback_due_ms = :due_ms, callback_attempts = callback_attempts + 1, callback_error = :error
WHERE seq = :seq;
