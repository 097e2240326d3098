-- name: calls_insert!
INSERT INTO calls (id, tenant_id, mode, sender, recipient, dialplan, dialplan_version, variables, direction, job_id,
                   priority, status, reason, hold_until_ms, expires_ms, carrier, carrier_id, error_code, answered_by,
                   outcome, keys, path, prompts, collected, engine_state, reference, metadata, callback_url,
                   created_ms, updated_ms, answered_ms, ended_ms, attempt, first_id, alternatives, tried,
                   message_delay_ms)
VALUES (:id, :tenant_id, :mode, :sender, :recipient, :dialplan, :dialplan_version, :variables, :direction, :job_id,
        :priority, :status, :reason, :hold_until_ms, :expires_ms, :carrier, :carrier_id, :error_code, :answered_by,
        :outcome, :keys, :path, :prompts, :collected, :engine_state, :reference, :metadata, :callback_url,
        :created_ms, :updated_ms, :answered_ms, :ended_ms, :attempt, :first_id, :alternatives, :tried,
        :message_delay_ms);

-- name: calls_progress!
-- What the call has said and heard so far.
UPDATE calls SET answered_by = :answered_by, outcome = :outcome, keys = :keys, path = :path, prompts = :prompts,
                 collected = :collected, engine_state = :engine_state, updated_ms = :now_ms
WHERE id = :id;

-- name: calls_turned!
-- Compare and set: from one webhook to the next. None where another process was quicker.
UPDATE calls SET engine_state = :engine_state WHERE id = :id AND engine_state = :before;

-- name: calls_found!
UPDATE calls SET detection = :detection, message_delay_ms = :message_delay_ms, transfers = :transfers,
                 recordings = :recordings, quality = :quality
WHERE id = :id;

-- name: calls_was_transferred!
UPDATE calls SET outcome = 'transferred' WHERE id = :id AND outcome = '' AND ended_ms IS NOT NULL;

-- name: calls_answered!
UPDATE calls SET answered_ms = :now_ms WHERE id = :id AND answered_ms IS NULL;

-- name: calls_ended!
UPDATE calls SET ended_ms = :now_ms WHERE id = :id AND ended_ms IS NULL;

-- name: calls_at_carriers
-- The states are written out: with a parameter in their place SQLite would not use the index over them.
SELECT * FROM calls WHERE status IN ('dialing', 'ringing', 'answered') AND engine_state <> '' ORDER BY id;

-- name: calls_live_ids
SELECT id FROM calls WHERE status IN ('dialing', 'ringing', 'answered');

-- name: calls_abandoned
-- Held by a process that is no holder any more; those that live between webhooks go on without it.
SELECT id FROM calls
WHERE status IN ('dialing', 'ringing', 'answered') AND engine_state = ''
  AND NOT EXISTS (SELECT 1 FROM holders WHERE holders.id = calls.holder) LIMIT :limit;

-- name: calls_left_at_carrier
SELECT * FROM calls
WHERE status IN ('dialing', 'ringing', 'answered') AND engine_state <> ''
  AND NOT EXISTS (SELECT 1 FROM holders WHERE holders.id = calls.holder);

-- name: calls_answered_by_holder!
UPDATE calls SET holder = :holder WHERE id = :id;

-- name: calls_outcomes
-- Of calls that were answered and are over.
SELECT outcome, COUNT(*) AS n, SUM(LENGTH(keys)) AS keys FROM calls
WHERE job_id = :job_id AND answered_ms IS NOT NULL AND ended_ms IS NOT NULL GROUP BY outcome;

-- name: calls_attempts_of_job
-- How many calls of a job are further attempts, and how many of these wait.
SELECT COUNT(*) AS n, COALESCE(SUM(CASE WHEN status IN ('queued', 'held') THEN 1 ELSE 0 END), 0) AS waiting
FROM calls WHERE job_id = :job_id AND first_id IS NOT NULL;

-- name: calls_attempt
SELECT * FROM calls WHERE first_id = :first_id AND attempt = :attempt;

-- name: calls_ids_of_person
-- What waits for this number, and further attempts at the same person by another number of theirs.
SELECT id FROM calls
WHERE status IN ('queued', 'held') AND recipient = :recipient AND tenant_id = :tenant_id AND mode = :mode
  AND direction NOT IN :kept AND (:scope = 'tenant' OR sender = :scope)
UNION SELECT waits.id FROM calls AS theirs JOIN calls AS waits ON waits.first_id = COALESCE(theirs.first_id, theirs.id)
WHERE theirs.recipient = :recipient AND theirs.tenant_id = :tenant_id AND theirs.mode = :mode
  AND waits.status IN ('queued', 'held') AND (:scope = 'tenant' OR waits.sender = :scope);

-- name: calls_words_for
-- The words of the last message this sender wrote to this person, and whom its engine wants told. Never those of a
-- tenant that had the number before.
SELECT body, callback_url FROM messages
WHERE recipient = :recipient AND sender = :sender AND tenant_id = :tenant_id AND mode = :mode AND sent_ms IS NOT NULL AND kind = 'out'
ORDER BY sent_ms DESC LIMIT 1;
