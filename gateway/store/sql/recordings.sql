-- What people said into calls.

-- name: recordings_insert!
INSERT INTO recordings (id, tenant_id, mode, call_id, node, created_ms, audio, source, due_ms)
VALUES (:id, :tenant_id, :mode, :call_id, :node, :created_ms, :audio, :source, :created_ms)
ON CONFLICT (id) DO NOTHING;

-- name: recordings_one
SELECT * FROM recordings WHERE id = :id AND tenant_id = :tenant_id AND mode = :mode;

-- name: recordings_to_fetch
SELECT id, tries, LENGTH(audio) > 0 AS is_here FROM recordings WHERE source = :source AND due_ms <= :now_ms ORDER BY due_ms LIMIT :limit;

-- name: recordings_tried!
UPDATE recordings SET tries = tries + 1, due_ms = :due_ms WHERE id = :id;

-- name: recordings_fetched!
UPDATE recordings SET audio = :audio, tries = 0, due_ms = :now_ms WHERE id = :id;

-- name: recordings_released!
UPDATE recordings SET source = '' WHERE id = :id;

-- name: recordings_over
SELECT id FROM recordings WHERE created_ms < :before_ms ORDER BY created_ms LIMIT :limit;

-- name: recordings_forget!
DELETE FROM recordings WHERE id IN :ids;
