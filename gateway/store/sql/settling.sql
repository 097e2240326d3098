-- Unknown texts and how they are settled; reports that came early; the audit log.

-- name: unsettled_due
-- Unknown texts whose carrier is to be asked now, oldest first; those it was asked about often enough are left out.
SELECT messages.*, COALESCE(unsettled.looks, 0) AS looks,
       COALESCE(unsettled.tries, 0) AS tries, COALESCE(jobs.on_unknown, 'rest') AS on_unknown
FROM messages
LEFT JOIN unsettled ON unsettled.message_id = messages.id
LEFT JOIN jobs ON jobs.id = messages.job_id
WHERE messages.status IN ('sending', 'sent', 'unknown') AND messages.status = 'unknown'
  AND messages.updated_ms <= :before_ms
  AND COALESCE(unsettled.next_ms, 0) <= :now_ms AND COALESCE(unsettled.looks, 0) < :enough
ORDER BY messages.id LIMIT :limit;

-- name: unsettled_claim!
-- This process asks about it; no other one before `next_ms`.
INSERT INTO unsettled (message_id, looks, tries, next_ms) VALUES (:message_id, 0, 0, :next_ms)
ON CONFLICT (message_id) DO UPDATE SET next_ms = excluded.next_ms;

-- name: unsettled_looked!
UPDATE unsettled SET looks = :looks, tries = :tries, next_ms = :next_ms WHERE message_id = :message_id;

-- name: unsettled_one
SELECT * FROM unsettled WHERE message_id = :message_id;

-- name: unsettled_forget!
DELETE FROM unsettled WHERE message_id IN :ids;

-- name: unsettled_forget_settled!
DELETE FROM unsettled WHERE NOT EXISTS (
    SELECT 1 FROM messages WHERE messages.id = unsettled.message_id AND messages.status = 'unknown');

-- name: messages_still_unknown
SELECT * FROM messages WHERE id IN :ids AND status = 'unknown';

-- name: messages_ids_unknown_of_job
SELECT id FROM messages WHERE job_id = :job_id AND status = 'unknown' AND id > :after ORDER BY id LIMIT :limit;

-- name: messages_under_way_to
-- Whether this sender offers this person a text just now: the carrier may have it, under an id that nobody knows yet.
SELECT 1 FROM messages WHERE recipient = :recipient AND sender = :sender AND status = 'sending' LIMIT 1;

-- name: messages_known_carrier_ids
-- Which of the carrier's ids belong to messages of ours.
SELECT carrier_id FROM messages WHERE carrier_id IN :carrier_ids;

-- name: messages_rest!
-- Say why an unknown text rests; its state stays.
UPDATE messages SET reason = :reason, updated_ms = :now_ms WHERE id IN :ids AND status = 'unknown';

-- name: messages_copied!
-- Queued again although it may have left: the next attempt is a copy, with an id of its own at the carrier.
UPDATE messages SET copies = copies + 1, carrier_id = NULL WHERE id IN :ids;

-- name: messages_copies_of_job
SELECT COALESCE(SUM(copies), 0) FROM messages WHERE job_id = :job_id AND copies > 0;

-- name: early_reports_insert!
INSERT INTO early_reports (carrier, carrier_id, status, mode, reason, error_code, at_ms)
SELECT :carrier, :carrier_id, :status, :mode, :reason, :error_code, :at_ms
WHERE (SELECT COUNT(*) FROM early_reports) < :most
ON CONFLICT (carrier, carrier_id, status) DO NOTHING;

-- name: early_reports_of
SELECT * FROM early_reports WHERE carrier = :carrier AND carrier_id IN :carrier_ids ORDER BY at_ms;

-- name: early_reports_taken!
DELETE FROM early_reports WHERE carrier = :carrier AND carrier_id IN :carrier_ids;

-- name: early_reports_forget!
DELETE FROM early_reports WHERE at_ms < :before_ms;

-- name: audit_add!
INSERT INTO audit_log (tenant_id, mode, actor, action, subject, detail, note, at_ms)
VALUES (:tenant_id, :mode, :actor, :action, :subject, :detail, :note, :at_ms);

-- name: audit_page
-- Newest first, below the number `before`.
SELECT * FROM audit_log
WHERE tenant_id = :tenant_id AND mode = :mode AND seq < :before AND (:subject = '' OR subject = :subject)
ORDER BY seq DESC LIMIT :limit;

-- name: messages_among
SELECT * FROM messages WHERE id IN :ids;

-- name: jobs_one
SELECT * FROM jobs WHERE id = :id;
