-- Large uploads on their way in.

-- name: loads_begin
-- A row when this upload may go on; none while another one into the same job is under way.
INSERT INTO loads (id, job_id, things, base, whole, touched_ms) VALUES (:id, :job_id, :things, '{}', 0, :now_ms)
ON CONFLICT (job_id) DO NOTHING RETURNING id;

-- name: loads_of_job
SELECT id FROM loads WHERE job_id = :job_id;

-- name: loads_one
SELECT * FROM loads WHERE id = :id;

-- name: loads_touch!
UPDATE loads SET touched_ms = :now_ms WHERE id = :id;

-- name: loads_close
-- All is on disk: from here on every block becomes rows. No row: it was given up meanwhile.
UPDATE loads SET whole = 1, base = :base, touched_ms = :now_ms WHERE id = :id AND whole = 0 RETURNING id;

-- name: loads_given_up
-- Uploads whose request is gone, before they were whole.
SELECT id FROM loads WHERE whole = 0 AND touched_ms < :before_ms;

-- name: loads_left
-- Whole uploads that nobody makes into rows.
SELECT id FROM loads WHERE whole = 1 AND touched_ms < :before_ms;

-- name: loads_delete!
DELETE FROM loads WHERE id = :id;

-- name: load_blocks_insert!
INSERT INTO load_blocks (load_id, number, people) VALUES (:load_id, :number, :people);

-- name: load_blocks_next
SELECT number, people FROM load_blocks WHERE load_id = :load_id ORDER BY number LIMIT 1;

-- name: load_blocks_numbers
SELECT number FROM load_blocks WHERE load_id = :load_id ORDER BY number LIMIT :limit;

-- name: load_blocks_delete!
DELETE FROM load_blocks WHERE load_id = :load_id AND number IN :numbers;
