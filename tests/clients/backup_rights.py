# flags: --insecure
"""Rights that are taken away from the owner of a paused job: it asks for them again."""

import pathlib
import tempfile

import psycopg

from faults.lakeport import Lakeport, until

# So that a job is still under way when it is paused.
SLOW = "backup.start:delay,backup.pack:delay,restore.start:delay,restore.copied:delay"
BACKUPS = {
    "a table": ("BACKUP TABLE d.t INTO 'external://place/tables'", "SELECT ON TABLE d.t"),
    "a database": ("BACKUP DATABASE d INTO 'external://place/databases'", "BACKUP ON DATABASE d"),
    "the connection": ("BACKUP TABLE d.t INTO 'external://place/others'", "USAGE ON EXTERNAL CONNECTION place"),
}
RESTORES = {
    "a database to restore into": ("RESTORE TABLE d.t FROM LATEST IN 'external://place/d' WITH into_db = 'e'", "CREATE ON DATABASE e"),
    "the connection to restore from": ("RESTORE TABLE d.t FROM LATEST IN 'external://place/d' WITH into_db = 'e'",
                                       "USAGE ON EXTERNAL CONNECTION place"),
}


def revoked(root, ann, statement, right):
    """The statement's job without the right that it began with."""
    root.execute(f"GRANT {right} TO ann")
    detached = ", detached" if " WITH " in statement else " WITH detached"
    [job] = ann.execute(statement + detached).fetchone()
    root.execute(f"PAUSE JOB {job}")
    state = lambda: root.execute(f"SELECT status, error FROM [SHOW JOB {job}]").fetchone()
    until("the job is paused", lambda: state()[0] == "paused")
    root.execute(f"REVOKE {right} FROM ann")
    root.execute(f"RESUME JOB {job}")
    until("the job is failed", lambda: state()[0] == "failed")
    assert "ann does not have" in state()[1], state()


with tempfile.TemporaryDirectory() as name:
    server = Lakeport(pathlib.Path(name) / "store")
    server.must_start(SLOW)
    try:
        with server.connect() as root:
            for text in ("CREATE DATABASE d", "CREATE DATABASE e", "CREATE TABLE d.t (a INT)", "INSERT INTO d.t VALUES (1)",
                         "CREATE EXTERNAL CONNECTION place AS 'nodelocal://1/place'", "CREATE USER ann",
                         "BACKUP DATABASE d INTO 'external://place/d'", "GRANT CONNECT ON DATABASE d TO ann",
                         "GRANT SELECT ON TABLE d.t TO ann", "GRANT USAGE ON EXTERNAL CONNECTION place TO ann",
                         "GRANT CREATE ON DATABASE e TO ann"):
                root.execute(text)
            with psycopg.connect(host="127.0.0.1", port=server.port, user="ann", dbname="defaultdb", autocommit=True) as ann:
                for statement, right in [*BACKUPS.values(), *RESTORES.values()]:
                    revoked(root, ann, statement, right)
                    root.execute(f"GRANT {right} TO ann")
            assert root.execute("SHOW BACKUPS IN 'external://place/tables'").fetchall() == []
            assert root.execute("SHOW TABLES FROM e").fetchall() == []
            print(f"{len(BACKUPS) + len(RESTORES)} jobs refused")
    finally:
        server.kill()
