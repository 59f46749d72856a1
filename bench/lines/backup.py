"""BACKUP and RESTORE of a database of about 1 GiB, encrypted and durable, then layers on top. restic does the same with the same files."""

import os
import shutil
import subprocess

from bench import limits
from bench.measure import Commands, timed
from bench.outcome import LAKEPORT, LIMIT, PEER, Check, Contender, Outcome

KEY = "encryption_passphrase = 'correct horse battery staple'"
# Copies of lineitem in the database.
TABLES = 6
# Rows that a layer adds, as a part of one table.
CHANGES = (0, 0.001, 0.01, 0.1)
LAYERS = 48


def measure(bench):
    outcome = Outcome()
    tables = fill(bench)
    files = [file for table in tables for file in bench.lakeport.data_files(table)]
    total = sum(os.path.getsize(file) for file in files)
    outcome.notes.append(f"The database has {TABLES} tables of {bench.rows:,} rows in {len(files)} files, {total:,} bytes.")
    outcome.notes.append(
        "Where BACKUP's floor is missed: by a profile, 43 % of its CPU time is the kernel's copy into the page cache, 23 % SHA-256 of each "
        "file, 3 % AES-256-GCM, 3 % argon2id. The checksum of files in packs that are authenticated anyway, and writes past the page "
        "cache, are what would have to change. A layer of nothing costs what opening the passphrase costs: it is derived by argon2id "
        "twice, for the statement and for its job.")
    fulls(bench, outcome, files)
    restores(bench, outcome, files)
    layers(bench, outcome)
    chain(bench, outcome)
    return outcome


def fill(bench):
    """The database `big`; answers the names of its tables."""
    lineitem = bench.lineitem(bench.rows)
    tables = [f"big_{number}" for number in range(TABLES)]
    with bench.lakeport.connect() as connection:
        connection.execute("CREATE DATABASE big")
        for table in tables:
            connection.execute(f"CREATE TABLE big.{table} AS SELECT * FROM {lineitem}")
    return tables


def fulls(bench, outcome, files):
    contenders = [
        Contender("Lakeport", LAKEPORT, lambda: backed_up(bench), f"BACKUP DATABASE big INTO 'nodelocal://1/backups' WITH {KEY}"),
        Contender("restic", PEER, lambda: Restic(bench).backup(files), "restic init; restic backup FILES; sync -f REPOSITORY"),
        Contender("copy", LIMIT, lambda: limits.copied(files, bench.scratch / "copied"), "read and write as many bytes; fsync"),
    ]
    table = outcome.compare(f"BACKUP ({size(files)})", contenders, bench.rounds)
    outcome.check_rate(table, "copy", 0.6, 0.85)
    outcome.check_rate(table, "restic", 4, 5)
    outcome.checks.append(Check("BACKUP: peak memory", table.lakeport.peak_bytes / 2**20, 512, 512, unit=" MiB"))


def backed_up(bench):
    shutil.rmtree(bench.data / "backups", ignore_errors=True)
    return statement(bench, f"BACKUP DATABASE big INTO 'nodelocal://1/backups' WITH {KEY}")


def restores(bench, outcome, files):
    backed_up(bench)
    restic = Restic(bench)
    restic.backup(files)
    contenders = [
        Contender("Lakeport", LAKEPORT, lambda: restored(bench, "backups"),
                  f"RESTORE DATABASE big FROM LATEST IN 'nodelocal://1/backups' WITH new_db_name = 'again', {KEY}"),
        Contender("restic", PEER, restic.restore, "restic restore latest --target FOLDER; sync -f FOLDER"),
        Contender("copy", LIMIT, lambda: limits.copied(files, bench.scratch / "copied"), "read and write as many bytes; fsync"),
    ]
    table = outcome.compare(f"RESTORE ({size(files)})", contenders, bench.rounds)
    outcome.check_rate(table, "copy", 0.6, 0.85)
    outcome.checks.append(Check("RESTORE: peak memory", table.lakeport.peak_bytes / 2**20, 512, 512, unit=" MiB"))


def restored(bench, folder):
    run = statement(bench, f"RESTORE DATABASE big FROM LATEST IN 'nodelocal://1/{folder}' WITH new_db_name = 'again', {KEY}")
    with bench.lakeport.connect() as connection:
        connection.execute("DROP DATABASE again CASCADE")
    return run


def layers(bench, outcome):
    """What a layer costs, by what has changed."""
    idle = None
    for part in CHANGES:
        rows = int(bench.rows * part)
        with bench.lakeport.connect() as connection:
            if rows:
                connection.execute(f"INSERT INTO big.big_0 SELECT * FROM {bench.lineitem(bench.rows)} LIMIT {rows}")
        before = bytes_in(bench.data / "backups")
        run = statement(bench, f"BACKUP DATABASE big INTO LATEST IN 'nodelocal://1/backups' WITH {KEY}")
        written, changed = bytes_in(bench.data / "backups") - before, run.bytes
        idle = idle or run
        limit = 1.05 * changed + 256 * 1024
        outcome.checks.append(Check(f"layer after {part:.1%} more rows in a table: bytes / (1.05 changed + 256 KiB)", written / limit, 1, 1,
                                    beside=f"({written:,} for {changed:,}, {run.seconds:.3f} s)"))
    outcome.notes.append(f"A layer of nothing takes {idle.seconds:.3f} s.")


def chain(bench, outcome):
    """A chain of many layers is restored beside one full backup of the same rows."""
    with bench.lakeport.connect() as connection:
        for number in range(LAYERS):
            connection.execute(f"INSERT INTO big.big_1 SELECT * FROM {bench.lineitem(bench.rows)} LIMIT {bench.rows // 1000}")
            connection.execute(f"BACKUP DATABASE big INTO LATEST IN 'nodelocal://1/backups' WITH {KEY}")
        connection.execute(f"BACKUP DATABASE big INTO 'nodelocal://1/one' WITH {KEY}")
    contenders = [
        Contender("Lakeport", LAKEPORT, lambda: restored(bench, "backups"), "RESTORE from the chain"),
        Contender("one full backup", PEER, lambda: restored(bench, "one"), "RESTORE from a full backup of the same moment"),
    ]
    table = outcome.compare(f"RESTORE of {LAYERS} layers", contenders, bench.rounds)
    outcome.check_time(table, "one full backup", 1.3, 1.15)
    shutil.rmtree(bench.data / "one")
    shutil.rmtree(bench.data / "backups")


def statement(bench, text):
    """The run of a BACKUP or RESTORE. Its `bytes` is what the statement says it has copied."""
    with bench.lakeport.connect() as connection:
        run = timed(bench.lakeport.process, lambda: connection.execute(text).fetchone())
    _job, status, _fraction, _rows, _entries, run.bytes = run.answer
    run.answer = status
    return run


class Restic:
    """A repository of its own."""

    def __init__(self, bench):
        self.home, self.target = bench.scratch / "restic", bench.scratch / "restored"
        self.environment = dict(os.environ, RESTIC_PASSWORD="correct horse battery staple", RESTIC_REPOSITORY=str(self.home),
                                RESTIC_CACHE_DIR=str(bench.scratch / "restic-cache"))

    def backup(self, files):
        shutil.rmtree(self.home, ignore_errors=True)
        self.run("init")

        def work():
            self.run("backup", *files)
            self.sync(self.home)

        return timed(Commands(), work)

    def restore(self):
        shutil.rmtree(self.target, ignore_errors=True)

        def work():
            self.run("restore", "latest", "--target", str(self.target))
            self.sync(self.target)

        return timed(Commands(), work)

    def sync(self, folder):
        subprocess.run(["sync", "-f", folder], check=True)

    def run(self, *arguments):
        subprocess.run(["restic", "-q", *arguments], env=self.environment, check=True, stdout=subprocess.DEVNULL)


def bytes_in(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def size(files):
    return f"{sum(os.path.getsize(file) for file in files) / 2**20:,.0f} MiB"
