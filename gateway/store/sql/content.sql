-- name: dialplans_insert!
INSERT INTO dialplans (tenant_id, name, version, source, sha256, created_ms)
VALUES (:tenant_id, :name, :version, :source, :sha256, :created_ms);

-- name: dialplans_newest
SELECT * FROM dialplans WHERE tenant_id = :tenant_id AND name = :name ORDER BY version DESC LIMIT 1;

-- name: dialplans_version
SELECT * FROM dialplans WHERE tenant_id = :tenant_id AND name = :name AND version = :version;

-- name: dialplans_all
SELECT name, MAX(version) AS version, MAX(created_ms) AS created_ms FROM dialplans
WHERE tenant_id = :tenant_id GROUP BY name ORDER BY name;

-- name: templates_put!
INSERT INTO templates (tenant_id, kind, name, body, created_ms) VALUES (:tenant_id, :kind, :name, :body, :created_ms)
ON CONFLICT (tenant_id, kind, name) DO UPDATE SET body = excluded.body;

-- name: templates_one
SELECT * FROM templates WHERE tenant_id = :tenant_id AND kind = :kind AND name = :name;

-- name: templates_all
SELECT * FROM templates WHERE tenant_id = :tenant_id AND kind = :kind ORDER BY name;

-- name: usage_add!
INSERT INTO limit_usage (limit_key, window_us, used, seq)
VALUES (:limit_key, :window_us, :used, :seq)
ON CONFLICT (limit_key, window_us) DO UPDATE SET used = limit_usage.used + excluded.used,
    seq = CASE WHEN excluded.seq > limit_usage.seq THEN excluded.seq ELSE limit_usage.seq END;

-- name: usage_since
-- Rows of windows that began after `since_us`: what a lost Redis is rebuilt from.
SELECT * FROM limit_usage WHERE window_us >= :since_us;

-- name: usage_of
SELECT * FROM limit_usage WHERE limit_key IN :keys AND window_us >= :since_us;

-- name: epoch_now
SELECT epoch FROM limit_epoch;

-- name: epoch_raise!
UPDATE limit_epoch SET epoch = 1 + CASE WHEN epoch > :beyond THEN epoch ELSE :beyond END;

-- name: usage_anything_sent
-- Whether anything may have left: nothing does before there is an event.
SELECT 1 FROM events LIMIT 1;
