-- name: tenants_insert!
INSERT INTO tenants (id, name, created_ms) VALUES (:id, :name, :created_ms) ON CONFLICT (id) DO NOTHING;

-- name: tenants_one
SELECT * FROM tenants WHERE id = :id;

-- name: keys_insert!
INSERT INTO api_keys (id, tenant_id, sha256, scopes, mode, label, created_ms, revoked_ms)
VALUES (:id, :tenant_id, :sha256, :scopes, :mode, :label, :created_ms, NULL);

-- name: keys_by_sha256
SELECT * FROM api_keys WHERE sha256 = :sha256 AND revoked_ms IS NULL;

-- name: keys_all
SELECT * FROM api_keys ORDER BY id;

-- name: keys_revoke!
UPDATE api_keys SET revoked_ms = :now_ms WHERE id = :id AND revoked_ms IS NULL;

-- name: senders_put!
INSERT INTO senders (number, tenant_id, kind, status, carrier, voice, limits, keyword_replies, stop_text, start_text,
                     help_text, inbound_dialplan, campaign, callback_url, created_ms)
VALUES (:number, :tenant_id, :kind, :status, :carrier, :voice, :limits, :keyword_replies, :stop_text, :start_text,
        :help_text, :inbound_dialplan, :campaign, :callback_url, :created_ms)
ON CONFLICT (number) DO UPDATE SET kind = excluded.kind, status = excluded.status, carrier = excluded.carrier,
    voice = excluded.voice, limits = excluded.limits, keyword_replies = excluded.keyword_replies,
    stop_text = excluded.stop_text, start_text = excluded.start_text, help_text = excluded.help_text,
    inbound_dialplan = excluded.inbound_dialplan, campaign = excluded.campaign, callback_url = excluded.callback_url
WHERE senders.tenant_id = excluded.tenant_id;

-- name: senders_one
SELECT * FROM senders WHERE number = :number;

-- name: senders_of_tenant
SELECT * FROM senders WHERE tenant_id = :tenant_id ORDER BY number;

-- name: idempotency_one
SELECT * FROM idempotency WHERE tenant_id = :tenant_id AND key = :key;

-- name: idempotency_insert!
INSERT INTO idempotency (tenant_id, key, sha256, status, answer, at_ms)
VALUES (:tenant_id, :key, :sha256, :status, :answer, :at_ms);

-- name: idempotency_forget!
DELETE FROM idempotency WHERE at_ms < :before_ms;

-- name: audit_insert!
INSERT INTO audit_log (actor, action, detail, at_ms) VALUES (:actor, :action, :detail, :at_ms);
