-- name: events_insert!
INSERT INTO events (type, tenant_id, mode, subject, job_id, at_ms, reason, until_ms, error_code, data,
                    callback_url, callback_due_ms)
VALUES (:type, :tenant_id, :mode, :subject, :job_id, :at_ms, :reason, NULL, '', :data,
        :callback_url, CASE WHEN :callback_url <> '' THEN :at_ms END);

-- name: events_after
SELECT events.*,
       COALESCE(messages.recipient, calls.recipient) AS recipient,
       COALESCE(messages.sender, calls.sender) AS sender,
       COALESCE(messages.reference, calls.reference) AS reference,
       COALESCE(messages.metadata, calls.metadata) AS metadata
FROM events LEFT JOIN messages ON messages.id = events.subject LEFT JOIN calls ON calls.id = events.subject
WHERE events.seq > :after AND events.tenant_id = :tenant_id AND events.mode = :mode
  AND (:subject = '' OR events.subject = :subject)
  AND (:job_id = '' OR events.job_id = :job_id)
  AND (:type = '' OR events.type = :type)
ORDER BY events.seq LIMIT :limit;

-- name: events_newest
SELECT COALESCE(MAX(seq), 0) FROM events;

-- name: events_due
SELECT events.*,
       COALESCE(messages.recipient, calls.recipient) AS recipient,
       COALESCE(messages.sender, calls.sender) AS sender,
       COALESCE(messages.reference, calls.reference) AS reference,
       COALESCE(messages.metadata, calls.metadata) AS metadata
FROM events LEFT JOIN messages ON messages.id = events.subject LEFT JOIN calls ON calls.id = events.subject
WHERE events.callback_due_ms IS NOT NULL AND events.callback_due_ms <= :now_ms
  AND events.seq NOT IN :under_way AND events.tenant_id NOT IN :busy
ORDER BY events.callback_due_ms, events.seq LIMIT :limit;

-- name: events_by_type
SELECT type, COUNT(*) AS n FROM events WHERE seq > :after AND seq <= :newest GROUP BY type;

-- name: events_delivered!
UPDATE events SET callback_due_ms = NULL, callback_attempts = callback_attempts + 1, callback_done_ms = :now_ms
WHERE seq = :seq;

-- name: events_postponed!
-- `due_ms` NULL gives up; the event stays in the numbered log.
UPDATE events SET callback_due_ms = :due_ms, callback_attempts = callback_attempts + 1, callback_error = :error
WHERE seq = :seq;
