-- Processes that send or call, and which senders they write for. See docs/decisions/0009-leases.md.

-- name: holders_join
INSERT INTO holders (things, beat, condemned, joined_ms) VALUES (:things, 1, 0, :now_ms) RETURNING id;

-- name: holders_beat!
UPDATE holders SET beat = beat + 1 WHERE id = :id AND condemned = 0;

-- name: holders_all
SELECT id, beat, things FROM holders;

-- name: holders_gone!
-- Only with the beat that stood still: one that has beaten since is not gone.
DELETE FROM holders WHERE id = :id AND beat = :beat;

-- name: holders_leave!
DELETE FROM holders WHERE id = :id;

-- name: holders_others_leave!
DELETE FROM holders WHERE id <> :id;

-- name: holders_condemn!
-- It gives no answer: its beats are refused from now on, so that its leases run out.
UPDATE holders SET condemned = 1 WHERE id IN :ids;

-- name: leases_of
SELECT owner, reason, opens_ms, EXISTS (SELECT 1 FROM holders WHERE id = leases.owner) AS is_held
FROM leases WHERE things = :things AND sender = :sender AND mode = :mode;

-- name: leases_held
SELECT sender, mode, owner FROM leases JOIN holders ON holders.id = leases.owner WHERE leases.things = :things;

-- name: leases_take
-- Take what nobody holds; what is ours already, after an answer that was lost, is taken once more. Returns the token.
INSERT INTO leases (things, sender, mode, owner, token, reason, opens_ms)
VALUES (:things, :sender, :mode, :owner, 1, '', NULL)
ON CONFLICT (things, sender, mode) DO UPDATE
SET owner = excluded.owner, token = leases.token + 1, reason = '', opens_ms = NULL
WHERE leases.owner = excluded.owner OR NOT EXISTS (SELECT 1 FROM holders WHERE id = leases.owner)
RETURNING token;

-- name: leases_fence
-- A row when the lease is still the owner's, and the owner still a holder.
SELECT 1 FROM leases
WHERE things = :things AND sender = :sender AND mode = :mode AND owner = :owner AND token = :token
  AND EXISTS (SELECT 1 FROM holders WHERE id = :owner AND condemned = 0);

-- name: leases_release!
UPDATE leases SET owner = 0, reason = '', opens_ms = NULL
WHERE things = :things AND sender = :sender AND mode = :mode AND owner = :owner AND token = :token;

-- name: leases_note!
UPDATE leases SET reason = :reason, opens_ms = :opens_ms
WHERE things = :things AND sender = :sender AND mode = :mode AND owner = :owner;

-- name: carrier_queues_of
SELECT left_sent_ms, told_ms FROM carrier_queues WHERE sender = :sender AND mode = :mode;

-- name: carrier_queues_left!
INSERT INTO carrier_queues (sender, mode, left_sent_ms, told_ms) VALUES (:sender, :mode, :left_sent_ms, :told_ms)
ON CONFLICT (sender, mode) DO UPDATE
SET told_ms = excluded.told_ms,
    left_sent_ms = CASE WHEN excluded.left_sent_ms > carrier_queues.left_sent_ms THEN excluded.left_sent_ms
                        ELSE carrier_queues.left_sent_ms END;

-- name: leases_owners
-- Who may hold something of a tenant's that has not left yet (sender: of that one, if not empty).
SELECT DISTINCT leases.owner FROM leases
JOIN holders ON holders.id = leases.owner
JOIN senders ON senders.number = leases.sender
WHERE senders.tenant_id = :tenant_id AND (:sender = '' OR leases.sender = :sender);
