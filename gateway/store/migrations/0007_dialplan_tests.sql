-- The tests that stood beside a dialplan when its version was published, as YAML; the version passes them.
ALTER TABLE dialplans ADD COLUMN tests TEXT NOT NULL DEFAULT '';
