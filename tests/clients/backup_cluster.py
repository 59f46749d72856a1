# flags: --insecure
"""Backups that go to another server: everything of a cluster, users alone, and what a stranger's backup may not do."""

import json
import pathlib
import tempfile

import psycopg

from faults.backup import Collection, sealed_manifest
from faults.lakeport import Lakeport, until

PASSPHRASE = "encryption_passphrase = 'a passphrase'"
STAGES = ("SELECT name, url, has_credentials, storage_params, file_format_options, creator, comment, owner, connection"
          " FROM [SHOW STAGES] ORDER BY name")


def refused(connection, statement, code, part):
    try:
        connection.execute(statement)
    except psycopg.Error as error:
        assert (error.sqlstate, part in str(error)) == (code, True), (error.sqlstate, str(error))
        return
    raise AssertionError(f"not refused: {statement}")


def server(folder, name):
    new = Lakeport(folder / name, flags=["--external-io-dir", str(folder / "shared")])
    new.must_start()
    return new


def admit(collection, member):
    """Makes a clear backup say that somebody is an admin."""
    place, manifest = collection.chain()[0][0]
    manifest["catalog"]["memberships"].append({"role": "admin", "member": member, "admin_option": True})
    path = f"{place}/BACKUP_MANIFEST"
    (collection.folder / path).write_bytes(sealed_manifest(manifest, path))


def fill(run):
    run("CREATE EXTERNAL CONNECTION plain AS 'nodelocal://1/files'")
    run("CREATE EXTERNAL CONNECTION sealed AS 's3://b?AWS_ACCESS_KEY_ID=k&AWS_SECRET_ACCESS_KEY=s' WITH (VALIDATE = false)")
    run("CREATE CONNECTION sealed_list STORAGE_TYPE = 's3' ACCESS_KEY_ID = 'AKIAEXAMPLE' SECRET_ACCESS_KEY = 'it''s secret'")
    run("CREATE FILE FORMAT dots TYPE = CSV FIELD_DELIMITER = '.'")
    run("CREATE STAGE inside FILE_FORMAT = (FORMAT_NAME = 'dots') COMMENT = 'it''s inside'")
    run("CREATE STAGE keeps URL = 's3://lists/in/' CONNECTION = (CONNECTION_NAME = 'sealed_list')")
    run("CREATE STAGE open URL = 'https://example.com/lists/'")
    run("CREATE STAGE follows URL = 'external://plain/staged/'")
    run("CREATE STAGE lost URL = 'external://sealed/staged/'")
    run("CREATE ROLE readers")
    run("CREATE USER ada WITH CREATEDB")
    run("GRANT readers TO ada WITH ADMIN OPTION")
    run("GRANT USAGE ON EXTERNAL CONNECTION plain TO readers")
    run("GRANT READ ON STAGE follows TO ada")
    run("GRANT OWNERSHIP ON STAGE inside TO ada")
    run("SET CLUSTER SETTING gc.ttl = '26h'")
    run("CREATE DATABASE movr")
    run("CREATE SCHEMA movr.inner")
    run("CREATE TABLE movr.inner.rides (id INT PRIMARY KEY, city STRING DEFAULT 'rome')")
    run("INSERT INTO movr.inner.rides (id) SELECT n FROM generate_series(1, 1000) AS n")
    run("CREATE TABLE notes (a INT)")
    run("INSERT INTO notes VALUES (1), (2)")
    run("ALTER TABLE notes OWNER TO ada")
    run("GRANT CREATE ON DATABASE defaultdb TO readers")
    run("CREATE EXTERNAL CONNECTION behind AS 'nodelocal://1/'")
    run("GRANT USAGE ON EXTERNAL CONNECTION behind TO ada")
    run("GRANT USAGE ON SCHEMA movr.inner TO readers")
    run("GRANT SELECT ON TABLE movr.inner.rides TO readers")
    run("GRANT BACKUP ON DATABASE movr TO ada")
    run("CREATE SCHEDULE nightly FOR BACKUP DATABASE movr INTO 'external://plain/nightly' RECURRING '@hourly'"
        " FULL BACKUP '@daily' WITH SCHEDULE OPTIONS first_run = '2100-01-01', on_previous_running = 'skip'")


def hides_secrets(connection, folder):
    """A backup without encryption has no secrets, and is shown without them whether it has any or not."""
    [(_, manifest)] = Collection(folder).chain()[0]
    assert "it's secret" not in json.dumps(manifest), manifest["catalog"]["stages"]
    shown = connection.execute("SHOW BACKUP SCHEMAS FROM LATEST IN 'nodelocal://1/all' WITH " + PASSPHRASE).fetchall()
    shown += connection.execute(f"SHOW BACKUP FROM LATEST IN 'nodelocal://1/all' WITH {PASSPHRASE}, as_json").fetchall()
    assert "it's secret" not in str(shown) and "CREATE STAGE keeps" in str(shown), shown


def restored_once(folder):
    """A restore without a table that is killed when it is published is not made again."""
    bare = server(folder, "bare")
    target = Lakeport(folder / "target", flags=["--external-io-dir", str(folder / "shared")])
    try:
        with bare.connect() as connection:
            connection.execute("CREATE EXTERNAL CONNECTION plain AS 'nodelocal://1/files'")
            connection.execute("CREATE SCHEDULE nightly FOR BACKUP INTO 'external://plain/bare' RECURRING '@hourly'"
                               " FULL BACKUP '@daily' WITH SCHEDULE OPTIONS first_run = '2100-01-01'")
            connection.execute("BACKUP INTO 'nodelocal://1/bare'")
        target.must_start("restore.published:kill")
        try:
            with target.connect() as connection:
                connection.execute("RESTORE FROM LATEST IN 'nodelocal://1/bare'")
            raise AssertionError("the server was not killed")
        except psycopg.OperationalError:
            assert target.ends_within(30)
        target.must_start()
        with target.connect() as connection:
            run = lambda text: connection.execute(text).fetchall()
            ended = "SELECT status FROM [SHOW JOBS] WHERE job_type = 'RESTORE'"
            until("the restore ends", lambda: run(ended) == [("succeeded",)])
            assert run("SELECT count(*) FROM [SHOW SCHEDULES]") == [(2,)], run("SHOW SCHEDULES")
    finally:
        bare.kill()
        target.kill()


with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    (folder / "shared").mkdir()
    restored_once(folder)
    first = server(folder, "first")
    others = []
    try:
        with first.connect() as connection:
            fill(connection.execute)
            stages = connection.execute(STAGES).fetchall()
            assert len(stages) == 5, stages
            formats = connection.execute("SHOW FILE FORMATS").fetchall()
            schedules = connection.execute("SELECT create_statement FROM [SHOW CREATE ALL SCHEDULES]").fetchall()
            connection.execute(f"BACKUP INTO 'nodelocal://1/all' WITH {PASSPHRASE}")
            connection.execute("BACKUP INTO 'nodelocal://1/clear'")
            hides_secrets(connection, folder / "shared/clear")
            connection.execute("BACKUP DATABASE movr INTO 'nodelocal://1/one'")
            refused(connection, f"RESTORE FROM LATEST IN 'nodelocal://1/all' WITH {PASSPHRASE}", "55000",
                    "full cluster restore can only be run on a cluster with no tables or databases but found")

        others.append(server(folder, "second"))
        with others[-1].connect() as connection:
            run = lambda text: connection.execute(text).fetchall()
            refused(connection, "RESTORE FROM LATEST IN 'nodelocal://1/one'", "22023", "full cluster")
            # The one connection that the backup is behind.
            connection.execute("CREATE EXTERNAL CONNECTION behind AS 'nodelocal://1/'")
            run(f"RESTORE FROM LATEST IN 'external://behind/all' WITH {PASSPHRASE}")
            assert run("SELECT count(*), min(city) FROM movr.inner.rides") == [(1000, "rome")]
            assert run("SELECT * FROM notes ORDER BY a") == [(1,), (2,)]
            assert run("SHOW CLUSTER SETTING gc.ttl") == [("26h",)], run("SHOW CLUSTER SETTING gc.ttl")
            names = {row[0] for row in run("SELECT connection_name FROM [SHOW EXTERNAL CONNECTIONS]")}
            assert "plain" in names, names
            assert run(STAGES) == stages, run(STAGES)
            assert run("SHOW FILE FORMATS") == formats, run("SHOW FILE FORMATS")
            [(_, made)] = run("SHOW CREATE EXTERNAL CONNECTION sealed_list")
            assert made.endswith("access_key_id = 'AKIAEXAMPLE' secret_access_key = 'it''s secret'"), made
            members = run("SELECT username, options FROM [SHOW USERS] WHERE username IN ('ada', 'readers') ORDER BY 1")
            assert [member[0] for member in members] == ["ada", "readers"], members
            # Schedules come paused: two servers would back up into one collection.
            made = "SELECT create_statement FROM [SHOW CREATE ALL SCHEDULES]"
            assert run("SELECT schedule_status FROM [SHOW SCHEDULES]") == [("PAUSED",)] * 2
            assert run(made) == schedules, run(made)
            # And another server's chain is not added to, whoever restored it.
            refused(connection, f"BACKUP INTO LATEST IN 'nodelocal://1/all' WITH {PASSPHRASE}", "55000", "belongs to cluster")
            refused(connection, "BACKUP DATABASE movr INTO LATEST IN 'nodelocal://1/one'", "55000", "belongs to cluster")
            run("BACKUP DATABASE movr INTO 'nodelocal://1/second'")
            run("BACKUP DATABASE movr INTO LATEST IN 'nodelocal://1/second'")
            [full] = run("SELECT id FROM [SHOW SCHEDULES] WHERE command ->> 'backup_type' = 'FULL'")
            connection.execute(f"RESUME SCHEDULE {full[0]}")
            connection.execute(f"ALTER BACKUP SCHEDULE {full[0]} EXECUTE IMMEDIATELY")
            until("the incremental backups go on", lambda: run("SELECT schedule_status FROM [SHOW SCHEDULES]") == [("ACTIVE",)] * 2)
        with psycopg.connect(host="127.0.0.1", port=others[-1].port, user="ada", dbname="defaultdb", autocommit=True) as ada:
            assert ada.execute("SELECT count(*) FROM movr.inner.rides").fetchone() == (1000,)
            ada.execute("BACKUP DATABASE movr INTO 'external://plain/ada'")
            # A stage that follows a connection, and one of her own, which is empty.
            ada.execute("COPY INTO @inside FROM (SELECT 1 AS a)")
            assert ada.execute("SELECT $1 FROM @inside").fetchall() == [("1",)]
            assert ada.execute("LIST @follows").fetchall() == []
            refused(ada, "REMOVE @follows", "42501", "Write")
            refused(ada, "LIST @keeps", "42501", "Read")
            refused(ada, "DELETE FROM movr.inner.rides", "42501", "DELETE")
            # What she owned, and what was granted on what was there already.
            ada.execute("DELETE FROM notes")
            ada.execute("CREATE SCHEMA mine")
            ada.execute("BACKUP DATABASE movr INTO 'external://behind/ada'")

        # What a backup without encryption keeps back is told.
        others.append(server(folder, "bare again"))
        with others[-1].connect() as connection:
            told = []
            connection.add_notice_handler(lambda notice: told.append(notice.message_primary))
            connection.execute("RESTORE FROM LATEST IN 'nodelocal://1/clear'")
            names = {row[0] for row in connection.execute("SELECT connection_name FROM [SHOW EXTERNAL CONNECTIONS]")}
            assert not {"sealed", "sealed_list"} & names and "plain" in names, names
            withheld = "not these connections: sealed, sealed_list, and not these stages: keeps, lost"
            assert any(withheld in text for text in told), told
            names = [row[0] for row in connection.execute("SELECT name FROM [SHOW STAGES]")]
            assert names == ["follows", "inside", "open"], names

        # Users alone. Nothing else comes along, and what is not encrypted has no passwords.
        others.append(server(folder, "third"))
        with others[-1].connect() as connection:
            connection.execute("CREATE USER mallory")
            admit(Collection(folder / "shared/clear"), "mallory")
            connection.execute("RESTORE SYSTEM USERS FROM LATEST IN 'nodelocal://1/clear'")
            [member_of] = connection.execute("SELECT member_of FROM [SHOW USERS] WHERE username = 'mallory'").fetchone()
            assert not member_of, member_of
            users = {row[0] for row in connection.execute("SELECT username FROM [SHOW USERS]").fetchall()}
            assert {"ada", "readers"} <= users, users
            assert connection.execute("SHOW TABLES").fetchall() == []
            # The RESTORE privilege alone does not make roles.
            connection.execute("CREATE USER eve")
            connection.execute("GRANT SYSTEM RESTORE, EXTERNALIOIMPLICITACCESS TO eve")
        with psycopg.connect(host="127.0.0.1", port=others[-1].port, user="eve", dbname="defaultdb", autocommit=True) as eve:
            refused(eve, "RESTORE FROM LATEST IN 'nodelocal://1/clear'", "42501", "admin")
            eve.execute("RESTORE DATABASE movr FROM LATEST IN 'nodelocal://1/clear'")
            assert eve.execute("SELECT count(*) FROM movr.inner.rides").fetchone() == (1000,)
            owners = eve.execute("SELECT DISTINCT owner FROM [SHOW TABLES FROM movr]").fetchall()
            assert owners == [("eve",)], owners
        with psycopg.connect(host="127.0.0.1", port=others[-1].port, user="ada", dbname="defaultdb", autocommit=True) as ada:
            refused(ada, "SELECT count(*) FROM movr.inner.rides", "42501", "USAGE privilege on schema inner")
    finally:
        for one in (first, *others):
            one.kill()
