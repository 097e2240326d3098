-- What people said into calls.

-- name: recordings_insert!
INSERT INTO recordings (id, tenant_id, mode, call_id, node, created_ms, audio)
VALUES (:id, :tenant_id, :mode, :call_id, :node, :created_ms, :audio)
ON CONFLICT (id) DO NOTHING;

-- name: recordings_one
SELECT * FROM recordings WHERE id = :id AND tenant_id = :tenant_id AND mode = :mode;

-- name: recordings_over
-- Identifiers sort by time.
SELECT id FROM recordings WHERE id < :before ORDER BY id LIMIT :limit;

-- name: recordings_forget!
DELETE FROM recordings WHERE id IN :ids;
