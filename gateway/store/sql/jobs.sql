-- name: jobs_insert!
INSERT INTO jobs (id, tenant_id, mode, channel, sender, spec, status, start_ms, expires_ms, priority, reference,
                  metadata, callback_url, created_ms, finished_ms, on_unknown, category, retries, reason, hours,
                  launch)
VALUES (:id, :tenant_id, :mode, :channel, :sender, :spec, :status, :start_ms, :expires_ms, :priority, :reference,
        :metadata, :callback_url, :created_ms, :finished_ms, :on_unknown, :category, :retries, :reason, :hours,
        :launch);

-- name: jobs_of_tenant
SELECT * FROM jobs WHERE id = :id AND tenant_id = :tenant_id AND mode = :mode;

-- name: jobs_page
SELECT * FROM jobs
WHERE tenant_id = :tenant_id AND mode = :mode
  AND (:before = '' OR id < :before)
  AND (:status = '' OR status = :status)
  AND (:channel = '' OR channel = :channel)
  AND (:reference = '' OR reference = :reference)
ORDER BY id DESC LIMIT :limit;

-- name: jobs_launched!
UPDATE jobs SET launch = :launch WHERE id = :id;

-- name: jobs_move
-- A job that was paused for what it did to people, and runs again, was resumed by a person who knew why.
UPDATE jobs
SET status = :status, finished_ms = :finished_ms,
    reason = CASE WHEN status = 'paused' AND reason = 'abandonment' AND :status = 'running' THEN 'resumed_in_spite' ELSE :reason END
WHERE id = :id AND status IN :sources RETURNING *;

-- name: jobs_hours
-- Those of these jobs that may not call people at any time.
SELECT id, hours FROM jobs WHERE id IN :ids AND hours <> '{}';

-- name: jobs_status
SELECT status FROM jobs WHERE id = :id;

-- name: jobs_finished
-- Running jobs with people, none of whom is in an open state or on the way in. The first condition names the index.
SELECT * FROM jobs
WHERE status IN ('running', 'paused') AND status = 'running'
  AND NOT EXISTS (SELECT 1 FROM loads WHERE loads.job_id = jobs.id)
  AND (EXISTS (SELECT 1 FROM messages WHERE messages.job_id = jobs.id)
       OR EXISTS (SELECT 1 FROM calls WHERE calls.job_id = jobs.id))
  AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.job_id = jobs.id AND messages.status IN :messages)
  AND NOT EXISTS (SELECT 1 FROM calls WHERE calls.job_id = jobs.id AND calls.status IN :calls);

-- name: job_changes_put!
INSERT INTO job_changes (job_id) VALUES (:job_id) ON CONFLICT (job_id) DO NOTHING;

-- name: job_changes_one
SELECT jobs.* FROM job_changes JOIN jobs ON jobs.id = job_changes.job_id WHERE job_changes.job_id = :job_id;

-- name: job_changes_any
SELECT 1 FROM job_changes LIMIT 1;

-- name: job_changes_all
SELECT job_id FROM job_changes;

-- name: job_changes_delete!
DELETE FROM job_changes WHERE job_id = :job_id;
