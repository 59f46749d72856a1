# flags: --insecure
"""Backups that name things as no statement can: each is refused with the object and the value, and nothing is written."""

import copy
import json
import os
import pathlib
import tempfile

import psycopg

from faults.backup import Collection, sealed_manifest
from faults.lakeport import Lakeport

store = pathlib.Path(os.environ["TEST_STORE"])
NO_NAMES = ["", "a\0b", "x" * 256, "\u00e9" * 200, "x" * 100_000]
SYSTEM_SCHEMAS = ["pg_catalog", "information_schema", "crdb_internal", "pg_mine"]
SECRET = "hushhush"
# Longer than a statement, and gzip halves it at most.
LONG = os.urandom(9 << 20).hex()
NO_DEFAULTS = ["", "1) --", "1 --", "1 /* */", "1 NOT NULL", "1 PRIMARY KEY", "1) AS SELECT 1 --", "1, c INT8", "1; SELECT 1",
               "(SELECT 1)"]
S3 = f"s3://bucket/place?AWS_ACCESS_KEY_ID=k&AWS_SECRET_ACCESS_KEY={SECRET}"


class Case:
    """A change of a manifest, and how RESTORE answers."""

    def __init__(self, what, value, change, code="XX001", shown=None):
        self.what, self.change, self.code = f"{what} {str(value)[:30]!r}", change, code
        self.shown = what if shown is None else shown


def named(sort, place, values, field="name", **expected):
    """One entry of a list with other names."""
    for value in values:
        yield Case(sort, value, lambda manifest, value=value: place(manifest).__setitem__(field, value), **expected)


def twice(sort, entries, **expected):
    """An entry that is listed twice, the second time with another id."""
    def change(manifest):
        again = copy.deepcopy(entries(manifest)[0])
        entries(manifest).append(again | {"id": 7_000_000} if "id" in again else again)
    yield Case(sort, "twice", change, **expected)


def fields(manifest):
    version = manifest["tables"][0]["versions"][0]
    return version, json.loads(version["schema"])


def with_column(change):
    """A change of the fields of the table."""
    def changed(manifest):
        version, schema = fields(manifest)
        change(schema["fields"])
        version["schema"] = json.dumps(schema)
    return changed


def of_database():
    catalog = lambda kind: lambda manifest: manifest["catalog"][kind]
    first = lambda kind: lambda manifest: manifest["catalog"][kind][0]
    yield from named("table", first("tables"), NO_NAMES)
    yield from named("schema", first("schemas"), NO_NAMES + SYSTEM_SCHEMAS)
    # Also one without a table.
    for name in NO_NAMES + SYSTEM_SCHEMAS:
        yield Case("schema", name, lambda manifest, name=name: catalog("schemas")(manifest).append(
            first("schemas")(manifest) | {"id": 7_000_000, "name": name}))
    yield from twice("schema", catalog("schemas"))
    for name in NO_NAMES:
        yield Case("column", name, with_column(
            lambda fields, name=name: fields[1]["metadata"].__setitem__("lakeport.name", name)))
    for name in ("a", "A"):
        yield Case("column", name, with_column(
            lambda fields, name=name: fields[1]["metadata"].__setitem__("lakeport.name", name)), code="42701")
    more = {"name": "c", "type": "long", "nullable": True, "metadata": {}}
    yield Case("columns", 1601, with_column(lambda fields: fields.extend(
        more | {"name": f"c{number}"} for number in range(1601))), code="54000")
    for column in (0, 1):
        yield from named("default", lambda manifest, column=column: first("tables")(manifest)["columns"][column], NO_DEFAULTS,
                         field="default")
    yield from named("table", first("tables"), [LONG], field="comment")
    yield from named("column", lambda manifest: first("tables")(manifest)["columns"][1], [LONG], field="comment")
    yield Case("primary key", "twice", lambda manifest: first("tables")(manifest)["primary_key"].append(
        first("tables")(manifest)["primary_key"][0]))


def of_cluster():
    role = lambda manifest: next(row for row in manifest["catalog"]["roles"] if row["name"] == "ada")
    connection = lambda manifest: manifest["catalog"]["connections"][0]
    schedule = lambda manifest: manifest["catalog"]["schedules"][0]
    yield from named("database", lambda manifest: next(
        row for row in manifest["catalog"]["databases"] if row["name"] == "d"), NO_NAMES)
    yield from named("role", role, NO_NAMES + ["none", "node"])
    yield from twice("role", lambda manifest: manifest["catalog"]["roles"])
    for verifier in ("", "x", "SCRAM-SHA-256$0:a$b:c"):
        yield Case("role", verifier, lambda manifest, verifier=verifier: role(manifest).update(verifier=verifier))
    for name, value, code in [("statement_timeout", "soon", "22023"), ("timezone", "Nowhere/At_All", "22023"),
                              ("is_superuser", "on", "55000"), ("session_authorization", "root", "55000")]:
        yield Case("role", name, lambda manifest, name=name, value=value: role(manifest)["defaults"].append([name, value]),
                   code=code)
    yield Case("member", "public", lambda manifest: manifest["catalog"]["memberships"].append(
        {"role": "ada", "member": "public", "admin_option": False}))
    for rows in ([("ada", "ada")], [("ada", "admin"), ("admin", "ada")]):
        yield Case("member", rows, lambda manifest, rows=rows: manifest["catalog"]["memberships"].extend(
            {"role": role, "member": member, "admin_option": False} for role, member in rows))
    for name, value in [("gc.ttl", "often"), ("feature.import.enabled", "perhaps"), ("cloudstorage.timeout", "-1x")]:
        yield Case("setting", value, lambda manifest, name=name, value=value: manifest["catalog"]["settings"].append(
            [name, value]), code="22023", shown=name)
    yield from named("external connection", connection, NO_NAMES)
    yield from twice("external connection", lambda manifest: manifest["catalog"]["connections"])
    for version in (0, -1, 2**63 - 1):
        yield from named("external connection", connection, [version], field="version")
    stage = lambda name: lambda manifest: next(row for row in manifest["catalog"]["stages"] if row["name"] == name)
    yield from named("stage", stage("inside"), NO_NAMES + ["_databend_load"])
    yield from named("stage", stage("inside"), [LONG], field="comment")
    yield from named("stage", stage("inside"), [[["type", ["CSV"]], ["null_display", [LONG]]]], field="file_format")
    yield from twice("stage", lambda manifest: manifest["catalog"]["stages"])
    for uri in ("userfile:///files", "aws-kms:///key?AUTH=implicit&REGION=us-east-1"):
        yield from named("stage", stage("outside"), [{"copied": {"uri": uri, "redacted": uri, "from": None}}], field="place")
    file_format = lambda manifest: manifest["catalog"]["file_formats"][0]
    yield from named("file format", file_format, NO_NAMES + ["csv", "Csv"])
    yield from twice("file format", lambda manifest: manifest["catalog"]["file_formats"])
    yield from named("schedule", schedule, NO_NAMES, field="label")
    yield from named("schedule", schedule, [[["database", LONG]], [["database", "d"]] * 2], field="variables")
    yield Case("comment", LONG, lambda manifest: next(
        row for row in manifest["catalog"]["databases"] if row["name"] == "d").update(comment=LONG))
    for statement in (f"BACKUP DATABASE d INTO '{S3}' WITH OPTIONS (detached)",
                      f"BACKUP DATABASE d INTO 'nodelocal://1/x' WITH OPTIONS (detached, encryption_passphrase = '{SECRET}')",
                      f"BACKUP DATABASE d INTO 'nodelocal://1/x' WITH OPTIONS (detached, kms = 'aws:///k?{S3.split('?')[1]}')",
                      "BACKUP DATABASE d INTO $1 WITH OPTIONS (detached)", "BACKUP DATABASE d INTO 'nodelocal://1/x'"):
        yield from named("schedule", schedule, [statement], field="statement")


def refused(connection, statement, case):
    """Whether it is, in the words and with the code that are due."""
    try:
        connection.execute(statement)
    except psycopg.Error as error:
        text = str(error)
        if error.sqlstate == case.code and case.shown in text and SECRET not in text and len(text) < 1000:
            return []
        return [f"{case.what}: {error.sqlstate} {text[:300]}"]
    return [f"{case.what}: not refused"]


def unchanged(connection):
    """What there is of a cluster."""
    shows = ["SELECT database_name, owner FROM [SHOW DATABASES]", "SELECT username FROM [SHOW USERS]", "SHOW SCHEDULES",
             "SELECT connection_name FROM [SHOW EXTERNAL CONNECTIONS]", "SHOW STAGES", "SHOW FILE FORMATS",
             "SHOW CLUSTER SETTINGS"]
    return [connection.execute(show).fetchall() for show in shows]


def files(folder):
    """All but the catalog."""
    return {path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("catalog.db")}


def tried(connection, collection, statement, cases, folder):
    """The complaints about all cases, and how many these were."""
    [(place, manifest)], _ = collection.chain()
    path, complaints, count = f"{place}/BACKUP_MANIFEST", [], 0
    before = unchanged(connection), files(folder)
    for case in cases:
        changed = copy.deepcopy(manifest)
        case.change(changed)
        (collection.folder / path).write_bytes(sealed_manifest(changed, path))
        complaints += refused(connection, statement, case)
        if (unchanged(connection), files(folder)) != before:
            complaints.append(f"{case.what}: something was written")
            break
        count += 1
    (collection.folder / path).write_bytes(sealed_manifest(manifest, path))
    return complaints, count


def strange(manifest):
    """What a later server may list, and what everybody would own."""
    catalog = manifest["catalog"]
    catalog["settings"].append(["a.setting.of.tomorrow", "on"])
    ada = next(row for row in catalog["roles"] if row["name"] == "ada")
    ada["options"] += ["TIMETRAVEL", "CREATEDB"]
    ada["defaults"].append(["variable_of_tomorrow", "on"])
    catalog["grants"].append({"object": "system", "grantee": "ada", "privilege": "EVERYTHING", "grant_option": True})
    for owned in [catalog["connections"][0], catalog["schedules"][0]] + catalog["databases"] + catalog["tables"]:
        owned["owner"] = "public"
    catalog["schedules"][1]["owner"] = "nobody here"
    inside, outside = sorted(catalog["stages"], key=lambda stage: stage["name"])
    inside["owner"], outside["creator"] = "public", "nobody here"
    catalog["file_formats"][0]["owner"] = "nobody here"
    catalog["file_formats"].append({"name": "later", "options": [["type", ["TOMORROW"]]], "owner": "root"})
    of_later = {"file_format": [["type", ["TOMORROW"]]], "place": "internal"}, {"place": {"follows": {"uri": "external://nowhere/"}}}
    catalog["stages"] += [outside | {"id": 7_000_000 + i, "name": f"later{i}"} | of for i, of in enumerate(of_later)]
    catalog["schedules"][0]["variables"].append(["application_name", "x"])


def left_out(connection, collection):
    """What this server does not know is left out, and nothing is everybody's."""
    [(place, manifest)], _ = collection.chain()
    path = f"{place}/BACKUP_MANIFEST"
    strange(manifest)
    (collection.folder / path).write_bytes(sealed_manifest(manifest, path))
    connection.execute("RESTORE FROM LATEST IN 'nodelocal://1/cluster'")
    run = lambda text: connection.execute(text).fetchall()
    assert run("SELECT count(*) FROM d.t") == [(100,)]
    assert run("SELECT DISTINCT owner FROM [SHOW DATABASES] WHERE database_name = 'd'") == [("root",)]
    assert run("SELECT DISTINCT owner FROM [SHOW TABLES FROM d]") == [("root",)]
    assert run("SELECT DISTINCT schedule_status, owner FROM [SHOW SCHEDULES]") == [("PAUSED", "root")]
    assert run("SELECT options FROM [SHOW USERS] WHERE username = 'ada'") == [(["CREATEDB"],)], run("SHOW USERS")
    assert run("SELECT name, owner FROM [SHOW STAGES] ORDER BY name") == [("inside", "root"), ("outside", "root")]
    assert run("SELECT name, owner FROM [SHOW FILE FORMATS]") == [("dots", "root")]
    assert all("EVERYTHING" not in str(row) for row in run("SHOW SYSTEM GRANTS"))


with tempfile.TemporaryDirectory() as name, psycopg.connect(autocommit=True) as connection:
    run = connection.execute
    run("CREATE DATABASE d")
    run("CREATE TABLE d.t (a INT8 PRIMARY KEY, b STRING)")
    run("INSERT INTO d.t SELECT n, 'row ' || n FROM generate_series(1, 100) AS n")
    run("CREATE USER ada WITH CREATEDB")
    run("CREATE EXTERNAL CONNECTION place AS 'nodelocal://1/place'")
    run("CREATE SCHEDULE nightly FOR BACKUP DATABASE d INTO 'external://place' RECURRING '@hourly' FULL BACKUP '@daily'"
        " WITH SCHEDULE OPTIONS first_run = '2100-01-01'")
    run("CREATE STAGE inside")
    run("CREATE STAGE outside URL = 'https://example.com/files/'")
    run("CREATE FILE FORMAT dots TYPE = CSV FIELD_DELIMITER = '.'")
    run("BACKUP DATABASE d INTO 'nodelocal://1/database'")
    run("BACKUP INTO 'nodelocal://1/cluster'")
    extern = store / "extern"
    complaints, of_one = tried(connection, Collection(extern / "database"),
                               "RESTORE DATABASE d FROM LATEST IN 'nodelocal://1/database' WITH new_db_name = 'hostile'",
                               of_database(), store / "warehouse")
    assert not complaints, f"{len(complaints)} complaints\n" + "\n".join(complaints)
    other = Lakeport(pathlib.Path(name) / "other", flags=["--external-io-dir", str(extern)])
    other.must_start()
    try:
        with other.connect() as fresh:
            complaints, of_all = tried(fresh, Collection(extern / "cluster"), "RESTORE FROM LATEST IN 'nodelocal://1/cluster'",
                                       of_cluster(), other.store)
            assert not complaints, f"{len(complaints)} complaints\n" + "\n".join(complaints)
            left_out(fresh, Collection(extern / "cluster"))
    finally:
        other.kill()
    print(f"{of_one} names in a backup of a database refused, {of_all} in one of a cluster; what is unknown is left out")
