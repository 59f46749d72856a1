-- The part of a job's payload that holds secrets. Sealed.
ALTER TABLE jobs ADD COLUMN secrets BLOB;

CREATE INDEX jobs_finished ON jobs (finished);
