-- name: opt_outs_put!
-- Saying stop again keeps the first row: when it began is what counts.
INSERT INTO opt_outs (tenant_id, mode, recipient, scope, source, evidence, at_ms)
VALUES (:tenant_id, :mode, :recipient, :scope, :source, :evidence, :at_ms)
ON CONFLICT (tenant_id, mode, recipient, scope) DO NOTHING;

-- name: opt_outs_delete!
DELETE FROM opt_outs
WHERE tenant_id = :tenant_id AND mode = :mode AND recipient = :recipient AND scope IN :scopes;

-- name: opt_outs_of
SELECT * FROM opt_outs WHERE tenant_id = :tenant_id AND mode = :mode AND recipient = :recipient ORDER BY at_ms;

-- name: opt_outs_among
-- Which of these people have said stop to this tenant, or to this sender.
SELECT recipient FROM opt_outs
WHERE tenant_id = :tenant_id AND mode = :mode AND recipient IN :recipients AND scope IN ('tenant', :sender);

-- name: opt_outs_page
SELECT * FROM opt_outs WHERE tenant_id = :tenant_id AND mode = :mode AND recipient > :after
ORDER BY recipient, scope LIMIT :limit;

-- name: inbound_insert!
INSERT INTO inbound (id, tenant_id, mode, carrier, carrier_id, sender, person, body, keyword, answers, at_ms)
VALUES (:id, :tenant_id, :mode, :carrier, :carrier_id, :sender, :person, :body, :keyword, :answers, :at_ms)
ON CONFLICT (carrier, carrier_id) DO NOTHING;

-- name: inbound_seen
SELECT 1 FROM inbound WHERE carrier = :carrier AND carrier_id = :carrier_id;

-- name: inbound_page
SELECT * FROM inbound WHERE tenant_id = :tenant_id AND mode = :mode AND (:before = '' OR id < :before)
  AND (:person = '' OR person = :person)
ORDER BY id DESC LIMIT :limit;

-- name: webhooks_seen
SELECT answer FROM webhooks WHERE carrier = :carrier AND token = :token;

-- name: webhooks_insert!
INSERT INTO webhooks (carrier, token, answer, at_ms) VALUES (:carrier, :token, :answer, :at_ms)
ON CONFLICT (carrier, token) DO NOTHING;

-- name: webhooks_known
-- Those of these webhooks that were here before.
SELECT token FROM webhooks WHERE carrier = :carrier AND token IN :tokens;

-- name: webhooks_forget!
DELETE FROM webhooks WHERE at_ms < :before_ms;
