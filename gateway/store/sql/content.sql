-- name: dialplans_insert!
INSERT INTO dialplans (tenant_id, name, version, source, sha256, created_ms, tests)
VALUES (:tenant_id, :name, :version, :source, :sha256, :created_ms, :tests);

-- name: dialplans_tests!
UPDATE dialplans SET tests = :tests WHERE tenant_id = :tenant_id AND name = :name AND version = :version;

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
