-- name: jobs_insert!
INSERT INTO jobs (id, tenant_id, mode, channel, sender, spec, status, start_ms, expires_ms, priority, reference,
                  metadata, callback_url, created_ms, finished_ms)
VALUES (:id, :tenant_id, :mode, :channel, :sender, :spec, :status, :start_ms, :expires_ms, :priority, :reference,
        :metadata, :callback_url, :created_ms, :finished_ms);

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

-- name: jobs_move
UPDATE jobs SET status = :status, finished_ms = :finished_ms WHERE id = :id AND status IN :sources RETURNING *;

-- name: jobs_running
SELECT * FROM jobs WHERE status = 'running';
