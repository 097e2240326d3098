-- Calls that people answered, and those of them whose message began too late or never.

-- name: answered_calls_count!
INSERT INTO answered_calls (job_id, day, answered, abandoned) VALUES (:job_id, :day, 1, :abandoned)
ON CONFLICT (job_id, day) DO UPDATE
SET answered = answered_calls.answered + 1, abandoned = answered_calls.abandoned + excluded.abandoned;

-- name: answered_calls_of_job
SELECT CAST(COALESCE(SUM(answered), 0) AS BIGINT) AS answered, CAST(COALESCE(SUM(abandoned), 0) AS BIGINT) AS abandoned
FROM answered_calls WHERE job_id = :job_id;

-- name: answered_calls_of_tenant
SELECT CAST(COALESCE(SUM(answered), 0) AS BIGINT) AS answered, CAST(COALESCE(SUM(abandoned), 0) AS BIGINT) AS abandoned
FROM answered_calls JOIN jobs ON jobs.id = answered_calls.job_id
WHERE day >= :since AND jobs.tenant_id = :tenant_id AND jobs.mode = :mode AND jobs.category = 'telemarketing';

-- name: answered_calls_of_all
SELECT CAST(COALESCE(SUM(answered), 0) AS BIGINT) AS answered, CAST(COALESCE(SUM(abandoned), 0) AS BIGINT) AS abandoned
FROM answered_calls JOIN jobs ON jobs.id = answered_calls.job_id
WHERE day >= :since AND jobs.mode = 'live' AND jobs.category = 'telemarketing';

-- name: answered_calls_forget!
DELETE FROM answered_calls WHERE job_id IN :ids;

-- name: jobs_abandoning
-- Running telemarketing jobs that nobody has resumed in spite of it, with what their people heard.
SELECT jobs.*, CAST(SUM(answered_calls.answered) AS BIGINT) AS answered,
       CAST(SUM(answered_calls.abandoned) AS BIGINT) AS abandoned
FROM jobs JOIN answered_calls ON answered_calls.job_id = jobs.id AND answered_calls.day >= :since
WHERE jobs.status IN ('running', 'paused') AND jobs.status = 'running'
  AND jobs.category = 'telemarketing' AND jobs.reason = ''
GROUP BY jobs.id HAVING SUM(answered_calls.abandoned) > 0;
