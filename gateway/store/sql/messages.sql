-- name: messages_insert!
INSERT INTO messages (id, tenant_id, mode, sender, recipient, body, encoding, segments, job_id, kind, priority, status,
                      reason, hold_until_ms, expires_ms, carrier, carrier_id, error_code, reference, metadata,
                      callback_url, attempts, copies, created_ms, updated_ms, sent_ms, network)
VALUES (:id, :tenant_id, :mode, :sender, :recipient, :body, :encoding, :segments, :job_id, :kind, :priority, :status,
        :reason, :hold_until_ms, :expires_ms, :carrier, :carrier_id, :error_code, :reference, :metadata,
        :callback_url, :attempts, :copies, :created_ms, :updated_ms, :sent_ms, :network);

-- name: messages_offered!
-- The moment its first byte left, in milliseconds of our clock.
UPDATE messages SET sent_ms = :sent_ms, attempts = attempts + 1 WHERE id = :id;

-- name: messages_abandoned
-- Committed by a process that is no holder any more.
SELECT id FROM messages
WHERE status IN ('sending', 'sent', 'unknown') AND status = 'sending'
  AND NOT EXISTS (SELECT 1 FROM holders WHERE holders.id = messages.holder) LIMIT :limit;

-- name: messages_accepted!
-- The same, and the carrier's own id for it: most texts, in one update.
UPDATE messages SET sent_ms = :sent_ms, attempts = attempts + 1, carrier = :carrier, carrier_id = :carrier_id
WHERE id = :id;

-- name: messages_left_sending!
-- A process was killed: its texts may have left as soon as they were committed.
UPDATE messages SET sent_ms = updated_ms, attempts = attempts + 1 WHERE status = 'sending' AND id IN :ids;

-- name: messages_reported_on!
-- The carrier has it, although nobody noted when it left.
UPDATE messages SET sent_ms = :now_ms WHERE id = :id AND sent_ms IS NULL;

-- name: messages_silent
-- Sent before `before_ms` and never reported on.
SELECT id FROM messages
WHERE status IN ('sending', 'sent', 'unknown') AND status = 'sent' AND sent_ms <= :before_ms LIMIT :limit;

-- name: messages_last_to
-- The last message this sender wrote to this person: what a text from them answers.
SELECT id, job_id, callback_url FROM messages
WHERE recipient = :recipient AND sender = :sender AND mode = :mode AND sent_ms IS NOT NULL AND kind = 'out'
ORDER BY sent_ms DESC LIMIT 1;

-- name: messages_segments_of_job
SELECT COALESCE(SUM(segments), 0) FROM messages WHERE job_id = :job_id;

-- name: messages_replies_since
-- Whether this person had an answer of this kind from this sender since then.
SELECT 1 FROM messages
WHERE recipient = :recipient AND sender = :sender AND mode = :mode AND kind <> 'out' AND kind = :kind
  AND created_ms >= :since_ms LIMIT 1;

-- name: messages_ids_of_person
-- What waits for this person, from the tenant or (scope a number) from that one sender; not what may follow a stop.
SELECT id FROM messages
WHERE status IN ('queued', 'held') AND recipient = :recipient AND tenant_id = :tenant_id AND mode = :mode
  AND kind NOT IN :kept AND (:scope = 'tenant' OR sender = :scope);

-- name: messages_by_carrier_ids
-- What reports that come together are about.
SELECT id, carrier_id, sender, mode, sent_ms FROM messages WHERE carrier_id IN :carrier_ids;

-- name: messages_at_carrier
-- What this sender's carrier has taken since then and not finished, oldest first.
SELECT sent_ms, segments FROM messages
WHERE status IN ('sending', 'sent', 'unknown') AND status = 'sent' AND sent_ms > :since_ms
  AND sender = :sender AND mode = :mode
ORDER BY sent_ms;
