-- What left in some stretch of time, from senders of one mode. One statement each: one moment of a running gateway.

-- name: messages_left
-- A flagged copy counts once more, when the last one left. What came back (throttled, not sent) has no end of its own
-- at a carrier, and is not counted; what is being offered counts from its commit on. Our answers to keywords are no
-- attempts at anybody (`each`).
SELECT person, network, (at_ms * 1000 - :near_us) / :part_us AS begins, (at_ms * 1000 + :near_us) / :part_us AS ends,
       CAST(SUM(times) AS BIGINT) AS things, CAST(SUM(times * segments) AS BIGINT) AS segments,
       CAST(SUM(times - refused) AS BIGINT) AS taken, CAST(SUM((times - refused) * segments) AS BIGINT) AS taken_segments
FROM (
    SELECT CASE WHEN :each = 1 THEN recipient ELSE '' END AS person, network, segments, sent_ms AS at_ms,
           copies + CASE WHEN carrier_id IS NOT NULL OR status IN ('sent', 'delivered', 'undelivered', 'no_report', 'unknown')
                             OR (status IN ('failed', 'suppressed') AND error_code <> '')
                             OR reason = 'dropped_by_person' THEN 1 ELSE 0 END AS times,
           CASE WHEN carrier_id IS NULL AND status IN ('failed', 'suppressed') AND error_code <> ''
                THEN 1 ELSE 0 END AS refused
    FROM messages
    WHERE sender IN :senders AND mode = :mode AND sent_ms >= :since_ms AND sent_ms < :until_ms AND status <> 'sending'
      AND (:each = 0 OR kind = 'out')
    UNION ALL
    SELECT CASE WHEN :each = 1 THEN recipient ELSE '' END, network, segments, updated_ms, copies + 1, 0
    FROM messages
    WHERE status IN ('sending', 'sent', 'unknown') AND status = 'sending'
      AND sender IN :senders AND mode = :mode AND updated_ms >= :since_ms AND updated_ms < :until_ms
      AND (:each = 0 OR kind = 'out')
) AS gone
WHERE times > 0
GROUP BY person, network, begins, ends;

-- name: calls_left
-- Calls out, each when it was dialled last.
SELECT person, '' AS network, (at_ms * 1000 - :near_us) / :part_us AS begins,
       (at_ms * 1000 + :near_us) / :part_us AS ends,
       COUNT(*) AS things, COUNT(*) AS segments, COUNT(*) AS taken, COUNT(*) AS taken_segments
FROM (
    SELECT CASE WHEN :each = 1 THEN recipient ELSE '' END AS person,
           (SELECT MAX(events.at_ms) FROM events
            WHERE events.subject = calls.id AND events.type = 'call.dialing') AS at_ms
    FROM calls
    WHERE sender IN :senders AND mode = :mode AND ended_ms >= :since_ms AND direction = 'out'
    UNION ALL
    SELECT CASE WHEN :each = 1 THEN recipient ELSE '' END,
           (SELECT MAX(events.at_ms) FROM events
            WHERE events.subject = calls.id AND events.type = 'call.dialing')
    FROM calls
    WHERE status IN ('dialing', 'ringing', 'answered') AND sender IN :senders AND mode = :mode AND direction = 'out'
) AS gone
WHERE at_ms >= :since_ms AND at_ms < :until_ms
GROUP BY person, begins, ends;

-- name: messages_offered_since
-- When the oldest of what is being offered was committed.
SELECT MIN(updated_ms) FROM messages
WHERE status IN ('sending', 'sent', 'unknown') AND status = 'sending' AND sender IN :senders AND mode = :mode;

-- name: calls_offered_since
SELECT MIN(updated_ms) FROM calls
WHERE status IN ('dialing', 'ringing', 'answered') AND status = 'dialing' AND sender IN :senders AND mode = :mode;

-- name: senders_on_road
-- Whose texts (`calls` 0) or calls (1) take it.
SELECT number FROM senders WHERE CASE WHEN :calls = 1 THEN voice ELSE carrier END = :road;

-- name: senders_numbers
SELECT number FROM senders;

-- name: counted_of
-- Of these limits, those whose past was counted since they, or whom they bind, changed.
SELECT limit_key FROM limit_counted WHERE limit_key IN :keys AND stands = 1;

-- name: counted_put!
-- Nothing where the limits have changed since it was counted: it may have been one of these.
INSERT INTO limit_counted (limit_key, since_us, stands)
SELECT :limit_key, :since_us, 1 FROM limit_epoch WHERE version = :version
ON CONFLICT (limit_key) DO UPDATE SET stands = 1;

-- name: counted_lapse!
-- The limits whose keys lie between these two are to be counted again.
UPDATE limit_counted SET stands = 0 WHERE limit_key >= :first AND limit_key < :last AND stands = 1;

-- name: counted_now
SELECT limit_key, since_us FROM limit_counted WHERE stands = 1;

-- name: limits_file_put!
UPDATE limit_epoch SET limits_file = :sha256 WHERE limits_file <> :sha256;

-- name: counted_forget!
DELETE FROM limit_counted;

-- name: usage_raise!
INSERT INTO limit_usage (limit_key, window_us, used, seq, until_us)
VALUES (:limit_key, :window_us, :used, 0, :until_us)
ON CONFLICT (limit_key, window_us) DO UPDATE SET used = excluded.used WHERE limit_usage.used < excluded.used;

-- name: day_raise!
-- Other rows of the limits file are in force from this day on: what was granted before is not written.
UPDATE limit_epoch SET version = version + CASE WHEN day = 0 THEN 0 ELSE 1 END, day = :day WHERE day < :day;
