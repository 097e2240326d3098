-- What the API asks beside the moves.

-- name: {things}_ahead
-- How many texts or calls of this sender leave before this one.
SELECT COUNT(*) AS n FROM {things}
WHERE status = 'queued' AND sender = :sender AND mode = :mode
  AND (priority > :priority OR (priority = :priority AND id < :id));

-- name: {things}_held_in_job
SELECT reason, COUNT(*) AS n, MIN(hold_until_ms) AS until_ms FROM {things}
WHERE job_id = :job_id AND status = 'held' GROUP BY reason ORDER BY n DESC, reason;

-- name: {things}_in_job_among
-- Which of these people a job has already. The index by person is the one to take, so the job's is hidden.
SELECT recipient FROM {things} WHERE recipient IN :recipients AND job_id || '' = :job_id;

-- name: messages_ahead_segments
SELECT COALESCE(SUM(segments), 0) FROM messages
WHERE status = 'queued' AND sender = :sender AND mode = :mode
  AND (priority > :priority OR (priority = :priority AND id < :id));

-- name: messages_waiting_segments
-- All that this sender has still to send, through the indexes over what is queued and what is held.
SELECT (SELECT COALESCE(SUM(segments), 0) FROM messages WHERE status = 'queued' AND sender = :sender AND mode = :mode)
     + (SELECT COALESCE(SUM(segments), 0) FROM messages WHERE status = 'held' AND sender = :sender AND mode = :mode);

-- name: calls_waiting_of_sender
SELECT (SELECT COUNT(*) FROM calls WHERE status = 'queued' AND sender = :sender AND mode = :mode)
     + (SELECT COUNT(*) FROM calls WHERE status = 'held' AND sender = :sender AND mode = :mode);

-- name: events_of_one
-- What happened last to one message or call, oldest first, in the shape of events_numbered.
SELECT events.*,
       COALESCE(messages.recipient, calls.recipient) AS recipient,
       COALESCE(messages.sender, calls.sender) AS sender,
       COALESCE(messages.reference, calls.reference) AS reference,
       COALESCE(messages.metadata, calls.metadata) AS metadata
FROM events LEFT JOIN messages ON messages.id = events.subject LEFT JOIN calls ON calls.id = events.subject
WHERE events.seq IN (SELECT seq FROM events WHERE subject = :subject ORDER BY seq DESC LIMIT :limit)
ORDER BY events.seq;

-- name: events_callbacks_waiting
SELECT COUNT(*) FROM events WHERE callback_due_ms IS NOT NULL;

-- name: {things}_waiting_by_status
-- What waits, each through its partial index.
SELECT 'queued' AS status, COUNT(*) AS n FROM {things} WHERE status = 'queued'
UNION ALL SELECT 'held', COUNT(*) FROM {things} WHERE status = 'held';

-- name: under_way
-- What has left and has not ended, each through its partial index.
SELECT 'sms' AS channel, 'sending' AS status, COUNT(*) AS n FROM messages
WHERE status IN ('sending', 'sent', 'unknown') AND status = 'sending'
UNION ALL SELECT 'sms', 'unknown', COUNT(*) FROM messages
WHERE status IN ('sending', 'sent', 'unknown') AND status = 'unknown'
UNION ALL SELECT 'voice', 'live', COUNT(*) FROM calls WHERE status IN ('dialing', 'ringing', 'answered');
