//! The statements that tests start from.

/// One statement of every form, each with the text it prints as.
pub(super) const STATEMENTS: &[(&str, &str)] = &[
    (
        "create external connection Foo as 's3://b/p?AWS_SECRET_ACCESS_KEY=a''b'",
        "CREATE EXTERNAL CONNECTION 'foo' AS 's3://b/p?AWS_SECRET_ACCESS_KEY=a''b'",
    ),
    (
        "CREATE EXTERNAL CONNECTION IF NOT EXISTS \"Drop-Me\" AS $1 WITH (VALIDATE = false)",
        "CREATE EXTERNAL CONNECTION IF NOT EXISTS 'Drop-Me' AS $1 WITH (VALIDATE = false)",
    ),
    ("ALTER EXTERNAL CONNECTION IF EXISTS foo AS 'x'", "ALTER EXTERNAL CONNECTION IF EXISTS 'foo' AS 'x'"),
    ("DROP EXTERNAL CONNECTION foo CASCADE", "DROP EXTERNAL CONNECTION 'foo' CASCADE"),
    ("SHOW EXTERNAL CONNECTIONS", "SHOW EXTERNAL CONNECTIONS"),
    ("SHOW EXTERNAL CONNECTION foo", "SHOW EXTERNAL CONNECTION 'foo'"),
    ("SHOW CREATE ALL EXTERNAL CONNECTIONS", "SHOW CREATE ALL EXTERNAL CONNECTIONS"),
    ("SHOW CREATE EXTERNAL CONNECTION 'a b'", "SHOW CREATE EXTERNAL CONNECTION 'a b'"),
    ("GRANT CREATE CONNECTION ON *.* TO ROLE r, ROLE 's'", "GRANT SYSTEM EXTERNALCONNECTION TO r, s"),
    ("REVOKE CREATE CONNECTION ON *.* FROM ROLE r", "REVOKE SYSTEM EXTERNALCONNECTION FROM r"),
    ("GRANT ACCESS CONNECTION ON CONNECTION c TO user u", "GRANT USAGE ON EXTERNAL CONNECTION c TO u"),
    ("GRANT ALL PRIVILEGES ON CONNECTION c TO ROLE r", "GRANT ALL ON EXTERNAL CONNECTION c TO r"),
    ("GRANT SELECT ON connection TO role", "GRANT SELECT ON TABLE connection TO role"),
    ("GRANT OWNERSHIP ON CONNECTION \"C\" TO ROLE r", "GRANT OWNERSHIP ON CONNECTION \"C\" TO ROLE r"),
    ("SHOW GRANTS ON CONNECTION c", "SHOW GRANTS ON CONNECTION c"),
    ("SET GLOBAL a.b = 1", "SET CLUSTER SETTING a.b = '1'"),
    (
        "CREATE CONNECTION IF NOT EXISTS \"A\" storage_type='S3' Region='it''s' ENABLE_VIRTUAL_HOST_STYLE=True key = $1",
        "CREATE CONNECTION IF NOT EXISTS \"A\" STORAGE_TYPE = 'S3' region = 'it''s' enable_virtual_host_style = 'true' key = $1",
    ),
    (
        "create or replace connection c STORAGE_TYPE = 'fs' WITH (VALIDATE = false)",
        "CREATE OR REPLACE CONNECTION c STORAGE_TYPE = 'fs' WITH (VALIDATE = false)",
    ),
    ("DROP CONNECTION IF EXISTS c CASCADE", "DROP CONNECTION IF EXISTS c CASCADE"),
    ("DESCRIBE CONNECTION \"a b\"", "DESC CONNECTION \"a b\""),
    ("SHOW CONNECTIONS", "SHOW CONNECTIONS"),
    (
        "CHECK EXTERNAL CONNECTION 'external://a' WITH OPTIONS (TRANSFER = '1MiB', concurrently = 4, time='5s')",
        "CHECK EXTERNAL CONNECTION 'external://a' WITH transfer = '1MiB', concurrently = '4', time = '5s'",
    ),
    (
        "GRANT SYSTEM EXTERNALCONNECTION, backup TO bob, \"Al\" WITH GRANT OPTION",
        "GRANT SYSTEM EXTERNALCONNECTION, BACKUP TO bob, \"Al\" WITH GRANT OPTION",
    ),
    ("GRANT ALL PRIVILEGES ON EXTERNAL CONNECTION a, \"B\" TO u", "GRANT ALL ON EXTERNAL CONNECTION a, \"B\" TO u"),
    ("GRANT select, insert ON t, d.s.u TO u", "GRANT SELECT, INSERT ON TABLE t, d.s.u TO u"),
    ("GRANT SELECT ON TABLE d.* TO u", "GRANT SELECT ON ALL TABLES IN SCHEMA d TO u"),
    ("GRANT CREATE ON DATABASE d TO u", "GRANT CREATE ON DATABASE d TO u"),
    ("GRANT USAGE ON SCHEMA d.s TO u", "GRANT USAGE ON SCHEMA d.s TO u"),
    (
        "REVOKE GRANT OPTION FOR USAGE ON EXTERNAL CONNECTION c FROM u",
        "REVOKE GRANT OPTION FOR USAGE ON EXTERNAL CONNECTION c FROM u",
    ),
    ("REVOKE SYSTEM ALL FROM u", "REVOKE SYSTEM ALL FROM u"),
    ("GRANT admin, x TO u WITH ADMIN OPTION", "GRANT admin, x TO u WITH ADMIN OPTION"),
    ("REVOKE ADMIN OPTION FOR admin FROM u", "REVOKE ADMIN OPTION FOR admin FROM u"),
    ("SHOW GRANTS", "SHOW GRANTS"),
    ("SHOW GRANTS ON EXTERNAL CONNECTION a, b FOR u, v", "SHOW GRANTS ON EXTERNAL CONNECTION a, b FOR u, v"),
    ("SHOW SYSTEM GRANTS FOR u", "SHOW SYSTEM GRANTS FOR u"),
    (
        "CREATE USER IF NOT EXISTS bob WITH PASSWORD 'x' NOCREATEDB VALID UNTIL NULL",
        "CREATE USER IF NOT EXISTS bob WITH PASSWORD 'x' NOCREATEDB VALID UNTIL NULL",
    ),
    ("CREATE ROLE r LOGIN", "CREATE ROLE r WITH LOGIN"),
    ("CREATE ROLE r", "CREATE ROLE r"),
    ("ALTER USER IF EXISTS bob PASSWORD NULL", "ALTER ROLE IF EXISTS bob WITH PASSWORD NULL"),
    ("ALTER ROLE ALL IN DATABASE d SET search_path = a, b", "ALTER ROLE ALL IN DATABASE d SET search_path = 'a, b'"),
    ("ALTER ROLE bob RESET ALL", "ALTER ROLE bob RESET ALL"),
    ("ALTER ROLE bob RESET timezone", "ALTER ROLE bob RESET timezone"),
    ("DROP USER IF EXISTS a, b", "DROP ROLE IF EXISTS a, b"),
    ("SHOW USERS", "SHOW ROLES"),
    ("SHOW JOBS", "SHOW JOBS"),
    ("SHOW AUTOMATIC JOBS", "SHOW JOBS"),
    ("SHOW JOBS WHEN COMPLETE SELECT id FROM j", "SHOW JOBS WHEN COMPLETE SELECT id FROM j"),
    ("SHOW JOB 12", "SHOW JOB '12'"),
    ("SHOW JOB WHEN COMPLETE $1", "SHOW JOB WHEN COMPLETE $1"),
    ("PAUSE JOB 12 WITH REASON = 'tea'", "PAUSE JOBS '12' WITH REASON = 'tea'"),
    (
        "RESUME JOBS (SELECT job_id FROM [SHOW JOBS] WHERE a IN (1, 2))",
        "RESUME JOBS (SELECT job_id FROM [SHOW JOBS] WHERE a IN (1, 2))",
    ),
    ("CANCEL JOBS SELECT 1 WITH REASON = 'x'", "CANCEL JOBS SELECT 1 WITH REASON = 'x'"),
    ("CANCEL ALL import JOBS", "CANCEL ALL IMPORT JOBS"),
    (
        "IMPORT INTO d.t (a, B) csv DATA 'a', 'b' WITH skip = '1', nullif = '', detached",
        "IMPORT INTO d.t (a, b) CSV DATA ('a', 'b') WITH skip = '1', nullif = '', detached",
    ),
    ("IMPORT INTO t PARQUET DATA ($1)", "IMPORT INTO t PARQUET DATA ($1)"),
    (
        "EXPORT INTO csv 'external://x' WITH delimiter = '|' FROM TABLE d.\"T\"",
        "EXPORT INTO CSV 'external://x' WITH delimiter = '|' FROM SELECT * FROM d.\"T\"",
    ),
    ("BACKUP INTO 'external://b'", "BACKUP INTO 'external://b'"),
    (
        "backup database movr, \"D\" into latest in 'a' as of system time '-10s' with revision_history, detached = true",
        "BACKUP DATABASE movr, \"D\" INTO LATEST IN 'a' AS OF SYSTEM TIME '-10s' WITH revision_history, detached",
    ),
    (
        "BACKUP t, d.*, a.b.*, d.s.u INTO '2022/09/19-134559.68' IN ($1, 'x?COCKROACH_LOCALITY=region%3Da') \
         WITH OPTIONS (kms = ('k', $2), revision_history = false, include_all_virtual_clusters = false)",
        "BACKUP TABLE t, d.*, a.b.*, d.s.u INTO '2022/09/19-134559.68' IN ($1, 'x?COCKROACH_LOCALITY=region%3Da') \
         WITH kms = ('k', $2)",
    ),
    (
        "BACKUP TABLE t INTO 'LATEST' IN ('a') WITH encryption_passphrase = $1",
        "BACKUP TABLE t INTO LATEST IN 'a' WITH encryption_passphrase = $1",
    ),
    ("SHOW BACKUPS IN $1", "SHOW BACKUPS IN $1"),
    (
        "SHOW BACKUPS IN ('a', 'b') NEWER THAN '-7d' OLDER THAN '2026-01-31'::timestamptz WITH REVISION START TIME",
        "SHOW BACKUPS IN ('a', 'b') NEWER THAN '-7d' OLDER THAN '2026-01-31'::timestamptz WITH REVISION START TIME",
    ),
    ("SHOW BACKUP latest IN 'a'", "SHOW BACKUP FROM LATEST IN 'a'"),
    (
        "SHOW BACKUP SCHEMAS FROM $1 IN $2 WITH AS_JSON, SKIP SIZE, DEBUG_IDS, CHECK_FILES, PRIVILEGES, KMS = ('k')",
        "SHOW BACKUP SCHEMAS FROM $1 IN $2 WITH as_json, check_files, skip size, debug_ids, privileges, kms = 'k'",
    ),
    ("SHOW BACKUP ENCRYPTION FROM LATEST IN 'a'", "SHOW BACKUP ENCRYPTION FROM LATEST IN 'a'"),
    ("RESTORE FROM LATEST IN 'a'", "RESTORE FROM LATEST IN 'a'"),
    ("RESTORE SYSTEM USERS FROM 'x' IN 'a'", "RESTORE SYSTEM USERS FROM 'x' IN 'a'"),
    (
        "RESTORE DATABASE movr FROM '/2022/09/19-134559.68' IN 'a' AS OF SYSTEM TIME 1536242855577149065 \
         WITH new_db_name = $1, kms = 'k', remove_regions, skip_missing_views, unsafe_restore_incompatible_version = false",
        "RESTORE DATABASE movr FROM '/2022/09/19-134559.68' IN 'a' AS OF SYSTEM TIME 1536242855577149065 \
         WITH new_db_name = $1, kms = 'k'",
    ),
    (
        "RESTORE movr.* FROM LATEST IN 'a' WITH OPTIONS (into_db = 'n', detached, schema_only, \
         verify_backup_table_data, grants, encryption_passphrase = 'p')",
        "RESTORE TABLE movr.* FROM LATEST IN 'a' WITH detached, schema_only, verify_backup_table_data, grants, \
         into_db = 'n', encryption_passphrase = 'p'",
    ),
    (
        "ALTER BACKUP LATEST IN 'a' ADD NEW_KMS = 'k' WITH OLD_KMS = ('l')",
        "ALTER BACKUP LATEST IN 'a' ADD NEW_KMS = 'k' WITH OLD_KMS = 'l'",
    ),
    (
        "ALTER BACKUP $1 IN ($2) ADD NEW_KMS = ('k', 'm') WITH OLD_KMS = 'l' ADD NEW_KMS=$3 WITH OLD_KMS=$4 DROP KMS = 'l'",
        "ALTER BACKUP $1 IN $2 ADD NEW_KMS = ('k', 'm') WITH OLD_KMS = 'l' ADD NEW_KMS = $3 WITH OLD_KMS = $4 \
         DROP KMS = 'l'",
    ),
    (
        "ALTER BACKUP 'nodelocal://1/b/2022/03/23-213101.37' DROP KMS = ('k', 'm') WITH OLD_KMS = 'l'",
        "ALTER BACKUP 'nodelocal://1/b/2022/03/23-213101.37' DROP KMS = ('k', 'm') WITH OLD_KMS = 'l'",
    ),
    (
        "CREATE SCHEDULE nightly FOR BACKUP DATABASE movr INTO 'external://b' WITH revision_history RECURRING '@hourly' \
         FULL BACKUP '@daily' WITH SCHEDULE OPTIONS first_run = 'now', on_execution_failure = pause, ignore_existing_backups",
        "CREATE SCHEDULE 'nightly' FOR BACKUP DATABASE movr INTO 'external://b' WITH revision_history \
         RECURRING '@hourly' FULL BACKUP '@daily' WITH SCHEDULE OPTIONS first_run = 'now', \
         on_execution_failure = 'pause', ignore_existing_backups",
    ),
    (
        "CREATE SCHEDULE IF NOT EXISTS $1 FOR BACKUP INTO ($2, 'b') RECURRING $3 FULL BACKUP ALWAYS",
        "CREATE SCHEDULE IF NOT EXISTS $1 FOR BACKUP INTO ($2, 'b') RECURRING $3 FULL BACKUP ALWAYS",
    ),
    (
        "CREATE SCHEDULE FOR BACKUP t INTO 'b' RECURRING '5 4 * * *'",
        "CREATE SCHEDULE FOR BACKUP TABLE t INTO 'b' RECURRING '5 4 * * *'",
    ),
    (
        "ALTER BACKUP SCHEDULE 12 SET SCHEDULE OPTION on_previous_running = 'skip', SET LABEL x, SET RECURRING '@daily'",
        "ALTER BACKUP SCHEDULE '12' SET SCHEDULE OPTION on_previous_running = 'skip', SET LABEL 'x', SET RECURRING '@daily'",
    ),
    ("ALTER BACKUP SCHEDULE $1 EXECUTE IMMEDIATELY", "ALTER BACKUP SCHEDULE $1 EXECUTE IMMEDIATELY"),
    (
        "ALTER BACKUP SCHEDULE 12 SET INTO ('a', $1), SET WITH revision_history, SET WITH kms = 'k', EXECUTE FULL IMMEDIATELY",
        "ALTER BACKUP SCHEDULE '12' SET INTO ('a', $1), SET WITH revision_history = true, SET WITH kms = 'k', \
         EXECUTE FULL IMMEDIATELY",
    ),
    (
        "ALTER BACKUP SCHEDULE 12 SET FULL BACKUP ALWAYS, SET WITH retain = '1d', SET FULL BACKUP '@daily'",
        "ALTER BACKUP SCHEDULE '12' SET FULL BACKUP ALWAYS, SET WITH retain = '1d', SET FULL BACKUP '@daily'",
    ),
    (
        "PAUSE SCHEDULES SELECT id FROM [SHOW SCHEDULES] WHERE label = 'x'",
        "PAUSE SCHEDULES SELECT id FROM [SHOW SCHEDULES] WHERE label = 'x'",
    ),
    ("PAUSE SCHEDULE 12", "PAUSE SCHEDULES '12'"),
    ("RESUME SCHEDULES 12, $1", "RESUME SCHEDULES '12', $1"),
    ("DROP SCHEDULE 12", "DROP SCHEDULES '12'"),
    ("SHOW SCHEDULES FOR BACKUP", "SHOW SCHEDULES"),
    ("SHOW RUNNING SCHEDULES", "SHOW RUNNING SCHEDULES"),
    ("SHOW PAUSED SCHEDULES FOR BACKUP", "SHOW PAUSED SCHEDULES"),
    ("SHOW SCHEDULE 12", "SHOW SCHEDULE '12'"),
    ("SHOW CREATE SCHEDULE 12", "SHOW CREATE SCHEDULE '12'"),
    ("SHOW CREATE ALL SCHEDULES", "SHOW CREATE ALL SCHEDULES"),
    (
        "CREATE DATABASE IF NOT EXISTS d WITH LOCATION = 'external://lake/d'",
        "CREATE DATABASE IF NOT EXISTS d WITH LOCATION = 'external://lake/d'",
    ),
    ("DROP DATABASE IF EXISTS d RESTRICT", "DROP DATABASE IF EXISTS d RESTRICT"),
    ("ALTER DATABASE d RENAME TO e", "ALTER DATABASE d RENAME TO e"),
    ("CREATE SCHEMA IF NOT EXISTS d.s", "CREATE SCHEMA IF NOT EXISTS d.s"),
    ("DROP SCHEMA IF EXISTS s CASCADE", "DROP SCHEMA IF EXISTS s CASCADE"),
    ("SHOW DATABASES", "SHOW DATABASES"),
    ("SHOW SCHEMAS FROM d", "SHOW SCHEMAS FROM d"),
    (
        "CREATE TABLE IF NOT EXISTS t (id INT PRIMARY KEY, n DECIMAL(10, 2) DEFAULT 1 + 2 NOT NULL, ts timestamp with time zone, tags TEXT[], d double precision NULL, FAMILY f (id, n), family (ts), v character varying(5))",
        "CREATE TABLE IF NOT EXISTS t (id INT8 NOT NULL, n DECIMAL(10,2) NOT NULL DEFAULT 1 + 2, ts TIMESTAMPTZ, tags STRING[], d FLOAT8, v VARCHAR(5), PRIMARY KEY (id))",
    ),
    (
        "CREATE TABLE t (a INT, b INT, CONSTRAINT pk PRIMARY KEY (a, b ASC))",
        "CREATE TABLE t (a INT8 NOT NULL, b INT8 NOT NULL, PRIMARY KEY (a, b))",
    ),
    ("CREATE TABLE t ()", "CREATE TABLE t ()"),
    ("CREATE TABLE t (a, b) AS SELECT 1, 2", "CREATE TABLE t (a, b) AS SELECT 1, 2"),
    ("CREATE TABLE t AS TABLE u", "CREATE TABLE t AS SELECT * FROM u"),
    ("DROP TABLE IF EXISTS a, b.c CASCADE", "DROP TABLE IF EXISTS a, b.c"),
    (
        "ALTER TABLE IF EXISTS t ADD COLUMN IF NOT EXISTS a INT DEFAULT 1, DROP b, RENAME c TO d, RENAME TO u",
        "ALTER TABLE IF EXISTS t ADD COLUMN IF NOT EXISTS a INT8 DEFAULT 1, DROP COLUMN b, RENAME COLUMN c TO d, RENAME TO u",
    ),
    (
        "ALTER TABLE t ALTER COLUMN a SET DEFAULT now(), ALTER a DROP DEFAULT, ALTER a SET NOT NULL, ALTER a DROP NOT NULL, OWNER TO bob",
        "ALTER TABLE t ALTER COLUMN a SET DEFAULT now(), ALTER COLUMN a DROP DEFAULT, ALTER COLUMN a SET NOT NULL, ALTER COLUMN a DROP NOT NULL, OWNER TO bob",
    ),
    ("TRUNCATE a, b RESTRICT", "TRUNCATE TABLE a, b"),
    ("COMMENT ON DATABASE d IS 'x'", "COMMENT ON DATABASE d IS 'x'"),
    ("COMMENT ON TABLE d.t IS NULL", "COMMENT ON TABLE d.t IS NULL"),
    ("COMMENT ON COLUMN d.s.t.c IS 'x'", "COMMENT ON COLUMN d.s.t.c IS 'x'"),
    ("SHOW TABLES FROM d.s", "SHOW TABLES FROM d.s"),
    ("SHOW COLUMNS FROM t", "SHOW COLUMNS FROM t"),
    ("SHOW CREATE t", "SHOW CREATE TABLE t"),
    ("INSERT INTO t VALUES (1, DEFAULT), (-2, 'a''''b')", "INSERT INTO t VALUES (1, DEFAULT), (-2, 'a''''b')"),
    (
        "INSERT INTO T (A, \"B\") SELECT * FROM u ON CONFLICT (a) DO UPDATE SET b = excluded.b, c = DEFAULT WHERE t.b > 1 RETURNING a, b AS c",
        "INSERT INTO t (a, \"B\") SELECT * FROM u ON CONFLICT (a) DO UPDATE SET b = excluded.b, c = DEFAULT WHERE t.b > 1 RETURNING a, b AS c",
    ),
    ("INSERT INTO t DEFAULT VALUES RETURNING *", "INSERT INTO t DEFAULT VALUES RETURNING *"),
    ("INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING"),
    ("UPSERT INTO t (a) VALUES ($1)", "UPSERT INTO t (a) VALUES ($1)"),
    ("WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", "INSERT INTO t WITH x AS (SELECT 1) SELECT * FROM x"),
    (
        "UPDATE d.t AS x SET a = 1, (b, c) = (2, DEFAULT) FROM u WHERE x.a = u.a RETURNING x.a",
        "UPDATE d.t AS x SET a = 1, b = 2, c = DEFAULT FROM u WHERE x.a = u.a RETURNING x.a",
    ),
    (
        "DELETE FROM t x USING u, v WHERE x.a = u.a RETURNING *",
        "DELETE FROM t AS x USING u, v WHERE x.a = u.a RETURNING *",
    ),
    (
        "SELECT E'a\\'b\\n', $$x'y$$, \"A\"\"b\" FROM t AS OF SYSTEM TIME '-10s' WHERE a = 1 ORDER BY b LIMIT 1",
        "SELECT E'a\\'b\\n', $$x'y$$, \"A\"\"b\" FROM t WHERE a = 1 ORDER BY b LIMIT 1 AS OF SYSTEM TIME '-10s'",
    ),
    (
        "SELECT * FROM t AS OF SYSTEM TIME with_max_staleness('10s')",
        "SELECT * FROM t AS OF SYSTEM TIME with_max_staleness('10s')",
    ),
    (
        "SELECT * FROM [SHOW EXTERNAL CONNECTIONS] AS x JOIN [SHOW JOBS] ON true",
        "SELECT * FROM [SHOW EXTERNAL CONNECTIONS] AS x JOIN [SHOW JOBS] ON true",
    ),
    ("SELECT a[1], ARRAY[1, 2] FROM t", "SELECT a[1], ARRAY[1, 2] FROM t"),
    ("VALUES (1), (2)", "VALUES (1), (2)"),
    ("TABLE \"T\"", "SELECT * FROM \"T\""),
    ("(SELECT 1) UNION ALL (SELECT 2)", "(SELECT 1) UNION ALL (SELECT 2)"),
    ("EXPLAIN (ANALYZE, VERBOSE off) SELECT 1", "EXPLAIN ANALYZE SELECT 1"),
    ("EXPLAIN VERBOSE TABLE t", "EXPLAIN SELECT * FROM t"),
    ("EXPLAIN (COSTS OFF, FORMAT TEXT) SELECT 1", "EXPLAIN SELECT 1"),
    (
        "EXPLAIN UPDATE t AS x SET a = b + 1 FROM u WHERE x.k = u.k",
        "EXPLAIN SELECT b + 1 FROM t AS x, u WHERE x.k = u.k",
    ),
    (
        "MERGE INTO d.t a USING s ON a.k = s.k WHEN MATCHED AND s.n = 0 THEN DELETE
         WHEN MATCHED THEN UPDATE SET n = DEFAULT, (x, y) = (1, $2) WHEN NOT MATCHED THEN DO NOTHING",
        "MERGE INTO d.t AS a USING s ON a.k = s.k WHEN MATCHED AND s.n = 0 THEN DELETE \
         WHEN MATCHED THEN UPDATE SET n = DEFAULT, x = 1, y = $2 WHEN NOT MATCHED THEN DO NOTHING",
    ),
    (
        "MERGE INTO t USING (VALUES (1, 'it''s')) AS s (k, v) ON t.k = s.k AND CASE WHEN true THEN true END
         WHEN NOT MATCHED BY TARGET AND k > 1 THEN INSERT (k, \"V\") VALUES (s.k, v || 'x')
         WHEN NOT MATCHED THEN INSERT DEFAULT VALUES
         WHEN NOT MATCHED BY SOURCE THEN DELETE RETURNING merge_action(), t.*",
        "MERGE INTO t USING (VALUES (1, 'it''s')) AS s (k, v) ON t.k = s.k AND CASE WHEN true THEN true END \
         WHEN NOT MATCHED AND k > 1 THEN INSERT (k, \"V\") VALUES (s.k, v || 'x') \
         WHEN NOT MATCHED THEN INSERT DEFAULT VALUES \
         WHEN NOT MATCHED BY SOURCE THEN DELETE RETURNING merge_action(), t.*",
    ),
    (
        "WITH x AS (SELECT 1 AS k) MERGE INTO t USING x JOIN u ON x.k = u.k ON t.k = x.k WHEN MATCHED THEN DELETE",
        "MERGE INTO t USING ((SELECT 1 AS k) x JOIN u ON x.k = u.k) ON t.k = x.k WHEN MATCHED THEN DELETE",
    ),
    (
        "EXPLAIN MERGE INTO t USING s ON t.k = s.k WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (1)",
        "EXPLAIN SELECT 1 FROM t RIGHT JOIN s ON t.k = s.k",
    ),
    ("EXPLAIN DELETE FROM t WHERE a > 1", "EXPLAIN SELECT 1 FROM t WHERE a > 1"),
    ("EXPLAIN INSERT INTO t SELECT a FROM u", "EXPLAIN SELECT a FROM u"),
    (
        "WITH x (k) AS (SELECT 1), y AS (SELECT k FROM x) DELETE FROM t WHERE k IN (SELECT k FROM y)",
        "DELETE FROM t WHERE k IN (SELECT k FROM (SELECT k FROM (SELECT 1) x (k)) y)",
    ),
    (
        "COPY t (a,b) FROM STDIN WITH (FORMAT csv, HEADER true, DELIMITER ',', NULL '')",
        "COPY t (a, b) FROM STDIN WITH (FORMAT csv, DELIMITER ',', NULL '', HEADER true, QUOTE '\"', ESCAPE '\"')",
    ),
    (
        "COPY t FROM STDIN CSV HEADER",
        "COPY t FROM STDIN WITH (FORMAT csv, DELIMITER ',', NULL '', HEADER true, QUOTE '\"', ESCAPE '\"')",
    ),
    ("COPY t FROM STDIN", "COPY t FROM STDIN WITH (FORMAT text, DELIMITER '\t', NULL '\\N', HEADER false)"),
    ("copy userfile 'a/b' from stdin binary", "COPY USERFILE 'a/b' FROM STDIN WITH (FORMAT binary)"),
    ("COPY USERFILE 'a' TO STDOUT WITH (FORMAT binary)", "COPY USERFILE 'a' TO STDOUT WITH (FORMAT binary)"),
    ("show userfiles", "SHOW USERFILES"),
    ("DROP USERFILE IF EXISTS 'a'", "DROP USERFILE IF EXISTS 'a'"),
    ("COPY (SELECT 1) TO STDOUT BINARY", "COPY (SELECT 1) TO STDOUT WITH (FORMAT binary)"),
    (
        "COPY t (a) TO STDOUT WITH DELIMITER AS '|' NULL 'x'",
        "COPY (SELECT a FROM t) TO STDOUT WITH (FORMAT text, DELIMITER '|', NULL 'x', HEADER false)",
    ),
    ("BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY", "BEGIN READ ONLY"),
    ("START TRANSACTION", "BEGIN"),
    ("END", "COMMIT"),
    ("ABORT", "ROLLBACK"),
    ("SAVEPOINT a", "SAVEPOINT a"),
    ("RELEASE a", "RELEASE SAVEPOINT a"),
    ("ROLLBACK TO a", "ROLLBACK TO SAVEPOINT a"),
    ("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE"),
    ("SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"),
    ("SET a.B TO on", "SET a.b = 'on'"),
    ("SET LOCAL search_path = x, 'Y'", "SET LOCAL search_path = 'x, Y'"),
    ("SET extra_float_digits = -3", "SET extra_float_digits = '-3'"),
    ("SET TIME ZONE 'UTC'", "SET timezone = 'UTC'"),
    ("SET TIME ZONE -3", "SET timezone = '-3'"),
    ("SET TIME ZONE INTERVAL '+02:00' HOUR TO MINUTE", "SET timezone = '+02:00'"),
    ("SET NAMES 'utf8'", "SET client_encoding = 'utf8'"),
    ("SET x = DEFAULT", "SET x = DEFAULT"),
    ("USE movr", "SET database = 'movr'"),
    ("SHOW Server_Version", "SHOW server_version"),
    ("SHOW ALL", "SHOW ALL"),
    ("SHOW TIME ZONE", "SHOW timezone"),
    ("SHOW TRANSACTION ISOLATION LEVEL", "SHOW transaction_isolation"),
    ("RESET ALL", "RESET ALL"),
    ("RESET search_path", "RESET search_path"),
    ("SET CLUSTER SETTING connection.check_timeout = '1s'", "SET CLUSTER SETTING connection.check_timeout = '1s'"),
    ("RESET CLUSTER SETTING a.b", "SET CLUSTER SETTING a.b = DEFAULT"),
    ("SHOW CLUSTER SETTING a.b", "SHOW CLUSTER SETTING a.b"),
    ("SHOW ALL CLUSTER SETTINGS", "SHOW CLUSTER SETTINGS"),
    ("DISCARD ALL", "DISCARD ALL"),
    ("PREPARE p (int, text) AS SELECT $1, $2", "PREPARE p (INT8, STRING) AS SELECT $1, $2"),
    ("EXECUTE p (1 + 2, 'a')", "EXECUTE p (1 + 2, 'a')"),
    ("EXECUTE p", "EXECUTE p"),
    ("DEALLOCATE PREPARE ALL", "DEALLOCATE ALL"),
    ("DEALLOCATE p", "DEALLOCATE p"),
    ("DECLARE c NO SCROLL CURSOR WITH HOLD FOR SELECT 1", "DECLARE c CURSOR WITH HOLD FOR SELECT 1"),
    ("DECLARE \"C\" CURSOR FOR VALUES (1)", "DECLARE \"C\" CURSOR FOR VALUES (1)"),
    ("FETCH c", "FETCH 1 FROM c"),
    ("FETCH FORWARD 10 IN c", "FETCH 10 FROM c"),
    ("FETCH NEXT FROM c", "FETCH 1 FROM c"),
    ("MOVE ALL FROM c", "MOVE ALL FROM c"),
    ("CLOSE c", "CLOSE c"),
    ("CLOSE ALL", "CLOSE ALL"),
    ("LISTEN x", "LISTEN"),
    ("VACUUM FULL t", "VACUUM"),
];
