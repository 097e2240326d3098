-- The moves of messages and calls. {things} stands for either table; both have the same columns here.

-- name: {things}_move
-- Compare and set: to `status` from any of `sources`, by `holder` and over `carrier` unless these are NULL. Returns the ids that moved.
UPDATE {things}
SET status = :status, reason = :reason, hold_until_ms = :until_ms, error_code = :error_code, updated_ms = :now_ms,
    holder = COALESCE(:holder, holder), carrier = COALESCE(:carrier, carrier)
WHERE id IN :ids AND status IN :sources
RETURNING id;

-- name: {things}_moved!
-- The events of a move, one a row; due at once where the engine asked to be told.
INSERT INTO events (type, tenant_id, mode, subject, job_id, at_ms, reason, until_ms, error_code, data,
                    callback_url, callback_due_ms)
SELECT :type, tenant_id, mode, id, job_id, :now_ms, reason, hold_until_ms, error_code, :data,
       callback_url, CASE WHEN callback_url <> '' AND :told = 1 THEN :now_ms END
FROM {things} WHERE id IN :ids;

-- name: {things}_of_holder
-- Which of these were last committed by this holder.
SELECT id FROM {things} WHERE id IN :ids AND holder = :holder;

-- name: {things}_may_settle
-- Which of these nobody but these holders has in hand.
SELECT id FROM {things} WHERE id IN :ids AND (status IN ('queued', 'held') OR holder IN :holders);

-- name: {things}_one
SELECT * FROM {things} WHERE id = :id;

-- name: {things}_of_tenant
SELECT * FROM {things} WHERE id = :id AND tenant_id = :tenant_id AND mode = :mode;

-- name: {things}_page
-- Newest first, before the cursor ('~' comes after every id); an empty filter takes everything.
SELECT * FROM {things}
WHERE id < :before AND tenant_id = :tenant_id AND mode = :mode
  AND (:status = '' OR status = :status)
  AND (:reference = '' OR reference = :reference)
  AND (:kind = '' OR {kind} = :kind)
ORDER BY id DESC LIMIT :limit;

-- name: {things}_page_of_job
SELECT * FROM {things}
WHERE job_id = :job_id AND id < :before AND tenant_id = :tenant_id AND mode = :mode
  AND (:status = '' OR status = :status)
  AND (:recipient = '' OR recipient = :recipient)
  AND (:reference = '' OR reference = :reference)
  AND (:kind = '' OR {kind} = :kind)
ORDER BY id DESC LIMIT :limit;

-- name: {things}_page_of_person
SELECT * FROM {things}
WHERE recipient = :recipient AND id < :before AND tenant_id = :tenant_id AND mode = :mode
  AND (:status = '' OR status = :status)
  AND (:reference = '' OR reference = :reference)
  AND (:kind = '' OR {kind} = :kind)
ORDER BY id DESC LIMIT :limit;

-- name: {things}_queued
-- What this sender's loop takes next, in order; not what is still to follow a job that was stopped. The small table,
-- mostly empty, is looked at first.
SELECT * FROM {things} WHERE status = 'queued' AND sender = :sender AND mode = :mode
  AND NOT EXISTS (SELECT 1 FROM job_changes CROSS JOIN jobs
                  WHERE job_changes.job_id = {things}.job_id AND jobs.id = job_changes.job_id AND jobs.status <> 'running')
ORDER BY priority DESC, id LIMIT :limit;

-- name: {things}_senders
-- Senders with anything queued. One look a sender and mode: DISTINCT would read every queued row.
SELECT senders.number AS sender, modes.mode AS mode
FROM senders CROSS JOIN (SELECT 'live' AS mode UNION ALL SELECT 'test' AS mode) AS modes
WHERE EXISTS (SELECT 1 FROM {things} WHERE status = 'queued' AND sender = senders.number AND mode = modes.mode);

-- name: {things}_ids_queued
SELECT id FROM {things} WHERE status = 'queued' AND sender = :sender AND mode = :mode LIMIT :limit;

-- name: {things}_ids_due
-- Holds that have ended; `paused` names the job where that is paused.
SELECT {things}.id, {things}.sender, {things}.mode, jobs.id AS paused
FROM {things} LEFT JOIN jobs ON jobs.id = {things}.job_id AND jobs.status = 'paused'
WHERE {things}.status = 'held' AND hold_until_ms IS NOT NULL AND hold_until_ms <= :now_ms
ORDER BY hold_until_ms LIMIT :limit;

-- name: {things}_ids_held_for
-- Holds of a sender's that one of these reasons is for, held by `until_ms`, in the same shape.
SELECT {things}.id, {things}.sender, {things}.mode, jobs.id AS paused
FROM {things} LEFT JOIN jobs ON jobs.id = {things}.job_id AND jobs.status = 'paused'
WHERE {things}.status = 'held' AND {things}.sender = :sender AND {things}.reason IN :reasons
  AND {things}.updated_ms <= :until_ms LIMIT :limit;

-- name: {things}_held_for
-- How many these are just now, and when the last of them was held.
SELECT COUNT(*) AS n, MAX(updated_ms) AS until_ms FROM {things}
WHERE status = 'held' AND sender = :sender AND reason IN :reasons;

-- name: {things}_wait_for_job!
-- Their own holds have ended; the pause of their job has not.
UPDATE {things} SET reason = 'paused', hold_until_ms = NULL, updated_ms = :now_ms WHERE id IN :ids AND status = 'held';

-- name: {things}_ids_expired
SELECT id FROM {things}
WHERE status IN ('queued', 'held') AND expires_ms IS NOT NULL AND expires_ms <= :now_ms LIMIT :limit;

-- name: {things}_ids_of_job
SELECT id FROM {things} WHERE job_id = :job_id AND status IN :statuses LIMIT :limit;

-- name: {things}_ids_paused
SELECT id FROM {things} WHERE job_id = :job_id AND status = 'held' AND reason = 'paused' LIMIT :limit;

-- name: {things}_ids_stopped
-- Those of a job that was paused or cancelled, with what the job is.
SELECT {things}.id, jobs.status FROM {things} JOIN jobs ON jobs.id = {things}.job_id
WHERE {things}.id IN :ids AND jobs.status IN ('paused', 'cancelled');

-- name: {things}_counts
SELECT status, reason, COUNT(*) AS n FROM {things} WHERE job_id = :job_id GROUP BY status, reason;

-- name: {things}_with_status
SELECT * FROM {things} WHERE status = :status ORDER BY id LIMIT :limit;

-- name: {things}_by_carrier_id
SELECT * FROM {things} WHERE carrier_id = :carrier_id;

-- name: {things}_taken!
-- The carrier's own id for it.
UPDATE {things} SET carrier = :carrier, carrier_id = :carrier_id WHERE id = :id;
