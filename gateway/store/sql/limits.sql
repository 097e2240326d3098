-- Usage rows, the counters' epoch, and scopes beyond the sender.

-- name: usage_add!
INSERT INTO limit_usage (limit_key, window_us, used, seq, until_us)
VALUES (:limit_key, :window_us, :used, :seq, :until_us)
ON CONFLICT (limit_key, window_us) DO UPDATE SET used = limit_usage.used + excluded.used,
    seq = CASE WHEN excluded.seq > limit_usage.seq THEN excluded.seq ELSE limit_usage.seq END;

-- name: usage_since
-- Rows of windows that began after `since_us` and were not over at `now_us`: what a lost Redis is rebuilt from.
SELECT * FROM limit_usage WHERE window_us >= :since_us AND (until_us = 0 OR until_us >= :now_us);

-- name: usage_of
SELECT * FROM limit_usage WHERE limit_key IN :keys AND window_us >= :since_us;

-- name: usage_reached!
-- Note that a window has come to so many per cent, once.
UPDATE limit_usage SET told = :percent
WHERE limit_key = :limit_key AND window_us = :window_us AND told < :percent AND used >= :units;

-- name: usage_rolled!
-- As above for a rolling limit: all its parts that count. Told once, until the part that told has rolled out.
UPDATE limit_usage SET told = :percent
WHERE limit_key = :limit_key AND window_us = :window_us
  AND NOT EXISTS (SELECT 1 FROM limit_usage AS part
                  WHERE part.limit_key = :limit_key AND part.until_us > :now_us AND part.told >= :percent)
  AND (SELECT SUM(part.used) FROM limit_usage AS part
       WHERE part.limit_key = :limit_key AND part.until_us > :now_us) >= :units;

-- name: usage_untold!
-- Forget what was told of the limits whose keys lie between these two.
UPDATE limit_usage SET told = 0 WHERE limit_key >= :first AND limit_key < :last AND told > 0;

-- name: usage_rolling
SELECT CAST(COALESCE(SUM(used), 0) AS BIGINT) FROM limit_usage WHERE limit_key = :limit_key AND until_us > :now_us;

-- name: usage_one
SELECT used FROM limit_usage WHERE limit_key = :limit_key AND window_us = :window_us;

-- name: usage_forget!
-- Parts of rolling limits that count no more: a person has one a part. Windows of caps are kept, as a history.
DELETE FROM limit_usage WHERE (limit_key, window_us) IN (
    SELECT limit_key, window_us FROM limit_usage
    WHERE until_us > 0 AND until_us < :now_us AND limit_key LIKE '%#%' LIMIT :limit);

-- name: usage_anything_sent
-- Whether anything may have left: nothing does before there is an event.
SELECT 1 FROM events LIMIT 1;

-- name: epoch_now
SELECT epoch, version, longest, day FROM limit_epoch;

-- name: epoch_raise!
UPDATE limit_epoch SET epoch = 1 + CASE WHEN epoch > :beyond THEN epoch ELSE :beyond END;

-- name: epoch_longest!
UPDATE limit_epoch SET longest = :segments WHERE longest < :segments;

-- name: version_raise!
UPDATE limit_epoch SET version = version + 1;

-- name: scopes_put!
INSERT INTO limit_scopes (tenant_id, kind, name, status, parent, limits, callback_url, updated_ms)
VALUES (:tenant_id, :kind, :name, :status, :parent, :limits, :callback_url, :updated_ms)
ON CONFLICT (tenant_id, kind, name) DO UPDATE SET status = excluded.status, parent = excluded.parent,
    limits = excluded.limits, callback_url = excluded.callback_url, updated_ms = excluded.updated_ms;

-- name: scopes_delete!
DELETE FROM limit_scopes WHERE tenant_id = :tenant_id AND kind = :kind AND name = :name;

-- name: scopes_one
SELECT * FROM limit_scopes WHERE tenant_id = :tenant_id AND kind = :kind AND name = :name;

-- name: scopes_of_tenant
SELECT * FROM limit_scopes WHERE tenant_id IN (:tenant_id, '') ORDER BY kind, name;

-- name: scopes_children
-- Campaigns of a brand.
SELECT * FROM limit_scopes WHERE tenant_id = :tenant_id AND kind = 'campaign' AND parent = :parent;

-- name: senders_on_carrier
SELECT number FROM senders WHERE carrier = :carrier OR voice = :carrier;
