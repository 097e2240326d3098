-- What the auditor reads. One statement gives texts together with their events: one moment of a running gateway.

-- name: audit_texts
-- A page of texts after the id `after`, each once for every event of it, oldest first.
SELECT messages.id, messages.tenant_id, messages.mode, messages.sender, messages.recipient, messages.kind,
       messages.status, messages.segments, messages.reference, messages.job_id, messages.attempts, messages.sent_ms,
       messages.network, messages.reason,
       events.seq, events.type, events.at_ms, events.reason AS event_reason
FROM messages LEFT JOIN events ON events.subject = messages.id
WHERE messages.id IN (SELECT id FROM messages WHERE id > :after ORDER BY id LIMIT :limit)
ORDER BY messages.id, events.seq;

-- name: audit_usage
SELECT limit_key, window_us, used, seq FROM limit_usage;

-- name: audit_stops
-- Opt-outs made and lifted, oldest first; `data` has the scope.
SELECT type, tenant_id, mode, subject, at_ms, data FROM events
WHERE type IN ('opt_out.created', 'opt_out.deleted') ORDER BY seq;

-- name: audit_jobs
SELECT id, reference FROM jobs;

-- name: audit_loading
-- Jobs whose people are accepted and not all rows yet.
SELECT job_id FROM loads;

-- name: audit_senders
SELECT * FROM senders;

-- name: audit_states
SELECT status, COUNT(*) AS n FROM messages GROUP BY status;

-- name: audit_untold
-- A row while an engine is still to be told of something.
SELECT 1 FROM events WHERE callback_due_ms IS NOT NULL LIMIT 1;
