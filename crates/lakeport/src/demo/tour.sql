-- 1. Places outside the database are declared once, with their keys, and used by name.
--    These two are folders of this server; a bucket is 's3://bucket?AWS_ACCESS_KEY_ID=..&AWS_SECRET_ACCESS_KEY=..'.
--    Each is written to, read and listed before it is accepted.
CREATE EXTERNAL CONNECTION lake AS 'nodelocal://1/lake';
CREATE EXTERNAL CONNECTION partner AS 'nodelocal://1/partner';
SELECT connection_name, connection_uri, connection_type FROM [SHOW EXTERNAL CONNECTIONS];

-- 2. Tables are Delta Lake; queries run on DataFusion.
SHOW TABLES;
SELECT city, count(*) AS rides, sum(revenue) AS revenue FROM rides GROUP BY city ORDER BY revenue DESC LIMIT 3;

-- 3. Out through a connection, and in again.
EXPORT INTO PARQUET 'external://lake/rides' FROM SELECT * FROM rides WHERE city = 'rome';
CREATE TABLE roman_rides (
    id UUID PRIMARY KEY, city STRING, rider_id UUID, vehicle_id UUID,
    start_time TIMESTAMP, end_time TIMESTAMP, revenue DECIMAL(10,2)
);
IMPORT INTO roman_rides PARQUET DATA ('external://lake/rides/*.parquet');
SELECT count(*) AS rides, sum(revenue) AS revenue FROM roman_rides;

-- 4. Rows change; the past stays readable.
SELECT now() AS before \gset
UPDATE roman_rides SET revenue = revenue * 2 WHERE start_time >= '2026-12-24';
SELECT sum(revenue) AS revenue FROM roman_rides;
SELECT sum(revenue) AS revenue FROM roman_rides AS OF SYSTEM TIME :'before';

-- 5. A user gets the use of a place, not its key.
CREATE USER maya;
GRANT SELECT ON TABLE rides TO maya;
GRANT USAGE ON EXTERNAL CONNECTION partner TO maya;
SHOW GRANTS ON EXTERNAL CONNECTION partner;
\connect movr maya
EXPORT INTO CSV 'external://partner/december' FROM SELECT city, revenue FROM rides WHERE start_time >= '2026-12-01';
-- (refused)
EXPORT INTO CSV 'external://lake/december' FROM SELECT city, revenue FROM rides WHERE start_time >= '2026-12-01';
\connect movr root

-- 6. The place moves, or its key is rotated: one statement, and everything that names it follows.
ALTER EXTERNAL CONNECTION lake AS 'nodelocal://1/lake-2027';
SHOW CREATE EXTERNAL CONNECTION lake;
EXPORT INTO CSV 'external://lake/users' FROM TABLE users;

-- 7. A database into an encrypted backup, what has changed since into a layer on top of it, and all of it back at once.
BACKUP DATABASE movr INTO 'external://lake/backups' WITH revision_history, encryption_passphrase = 'correct horse battery staple';
UPDATE vehicles SET status = 'lost' WHERE city = 'rome';
BACKUP DATABASE movr INTO LATEST IN 'external://lake/backups' WITH revision_history, encryption_passphrase = 'correct horse battery staple';
SELECT object_name, backup_type, rows, size_bytes
    FROM [SHOW BACKUP LATEST IN 'external://lake/backups' WITH encryption_passphrase = 'correct horse battery staple'] WHERE object_type = 'table';
RESTORE DATABASE movr FROM LATEST IN 'external://lake/backups' WITH new_db_name = 'movr_again', encryption_passphrase = 'correct horse battery staple';
SELECT (SELECT count(*) FROM rides) AS rides, (SELECT count(*) FROM movr_again.rides) AS rides_again;

-- 8. Long work is a job, with an owner, a state and a history.
SELECT job_type, description, status, fraction_completed FROM [SHOW JOBS];
