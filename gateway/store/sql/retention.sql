-- What has been over for so long that it is forgotten. Opt-outs and the audit log are not.

-- name: {things}_over
-- Identifiers sort by time: what was made later than `before` is not looked at.
SELECT id FROM {things} WHERE id < :before AND updated_ms < :before_ms AND status IN :finals ORDER BY id LIMIT :limit;

-- name: {things}_forget!
DELETE FROM {things} WHERE id IN :ids;

-- name: inbound_over
SELECT id FROM inbound WHERE id < :before AND at_ms < :before_ms ORDER BY id LIMIT :limit;

-- name: inbound_forget!
DELETE FROM inbound WHERE id IN :ids;

-- name: events_oldest
SELECT seq, at_ms FROM events WHERE seq > :after ORDER BY seq LIMIT :limit;

-- name: events_forget!
-- Not what is still to be delivered, and not how an opt-out came about.
DELETE FROM events
WHERE seq > :after AND seq <= :last AND at_ms < :before_ms AND callback_due_ms IS NULL
  AND type NOT IN ('opt_out.created', 'opt_out.deleted');

-- name: jobs_over
-- Finished jobs that nothing refers to any more.
SELECT id FROM jobs
WHERE id < :before AND status IN ('completed', 'cancelled') AND finished_ms < :before_ms
  AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.job_id = jobs.id)
  AND NOT EXISTS (SELECT 1 FROM calls WHERE calls.job_id = jobs.id)
ORDER BY id LIMIT :limit;

-- name: jobs_forget!
DELETE FROM jobs WHERE id IN :ids;
