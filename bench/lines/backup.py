"""BACKUP and RESTORE of a database of about 1 GiB, encrypted and durable. Other programs do the same with the same files, and
PostgreSQL's with the same rows: each as it comes, with a passphrase or a key, synced at the end."""

import shutil

from bench import limits, tools
from bench.backups import PASSPHRASE, big, drop, files_of, full, restored, size, statement
from bench.outcome import LAKEPORT, LIMIT, PEER, Check, Contender, Outcome

MIB = 1 << 20
# Times Lakeport's rate is to be as high: floor and goal.
BACKUP_RATES = {"copy": (0.6, 0.85), "restic": (4, 5), "borg": (0, 4), "rclone": (0, 3), "age": (0, 1.3)}
RESTORE_RATES = {"copy": (0.6, 0.85), "restic": (0, 5)}


def measure(bench):
    outcome = Outcome()
    files = files_of(bench, big(bench))
    outcome.notes.append(f"The database has {len(files)} files of {bench.rows:,} rows, {size(files):,} bytes.")
    all_tools = [tool(bench.scratch, files) for tool in (tools.Restic, tools.Borg, tools.RcloneCrypt, tools.Age)]
    there = tools.installed(all_tools, outcome)
    fulls(bench, outcome, files, there)
    restores(bench, outcome, files, there)
    verifications(bench, outcome, [tool for tool in there if tool.program == "restic"], size(files))
    rows(bench, outcome)
    for tool in there:
        shutil.rmtree(tool.home)
    shutil.rmtree(bench.data / "backups")
    return outcome


def fulls(bench, outcome, files, there):
    text = f"BACKUP DATABASE big INTO 'nodelocal://1/backups' WITH {PASSPHRASE}"
    contenders = [Contender("Lakeport", LAKEPORT, lambda: full(bench, "DATABASE big", "backups", PASSPHRASE), text)]
    contenders += [Contender(tool.program, PEER, tool.backed_up, tool.backing_up) for tool in there]
    contenders.append(copy(bench, files))
    table = outcome.compare(f"BACKUP ({size(files) / MIB:,.0f} MiB)", contenders, bench.rounds, memory_for(files))
    check_rates(outcome, table, BACKUP_RATES)
    ours = table.lakeport
    outcome.checks += [
        Check("BACKUP: data per CPU second", size(files) / 1e9 / ours.cpu_seconds, 0, 1.5, at_most=False, unit=" GB"),
        Check("BACKUP: peak memory", ours.peak_bytes / MIB, 512, 512, unit=" MiB"),
        Check("BACKUP: bytes written / (1.002 bytes of data + 64 KiB)",
              tools.bytes_in(bench.data / "backups") / (1.002 * size(files) + 65536), 1, 1),
    ]


def restores(bench, outcome, files, there):
    text = f"RESTORE DATABASE big FROM LATEST IN 'nodelocal://1/backups' WITH new_db_name = 'again', {PASSPHRASE}"
    contenders = [Contender("Lakeport", LAKEPORT, lambda: restored(bench, "big", "backups", PASSPHRASE), text)]
    contenders += [Contender(tool.program, PEER, tool.restored, tool.restoring) for tool in there]
    contenders.append(copy(bench, files))
    table = outcome.compare(f"RESTORE ({size(files) / MIB:,.0f} MiB)", contenders, bench.rounds, memory_for(files))
    check_rates(outcome, table, RESTORE_RATES)
    outcome.checks.append(Check("RESTORE: peak memory", table.lakeport.peak_bytes / MIB, 512, 512, unit=" MiB"))


def verifications(bench, outcome, restics, total):
    """Every tag and checksum, with nothing restored."""
    text = (f"RESTORE DATABASE big FROM LATEST IN 'nodelocal://1/backups' WITH new_db_name = 'again', schema_only, "
            f"verify_backup_table_data, {PASSPHRASE}")

    def verified():
        run = statement(bench, text)
        drop(bench, "again")
        return run

    contenders = [Contender("Lakeport", LAKEPORT, verified, text)]
    contenders += [Contender("restic", PEER, restic.verified, "restic check --read-data") for restic in restics]
    table = outcome.compare(f"verification ({total / MIB:,.0f} MiB)", contenders, bench.rounds)
    check_rates(outcome, table, {"restic": (0, 5)})


def rows(bench, outcome):
    """One table, beside a dump of the same rows."""
    with bench.postgres.connect() as connection:
        # A copy that is not unlogged, and so comes back durable.
        connection.execute(f"CREATE TABLE dumped AS SELECT * FROM {bench.postgres_lineitem(bench.rows)}")
    dump = tools.PgDump(bench.scratch, bench.postgres, "dumped")
    if not tools.installed([dump], outcome):
        return
    backup = f"BACKUP TABLE big.big_0 INTO 'nodelocal://1/table' WITH {PASSPHRASE}"
    restore = f"RESTORE TABLE big.public.big_0 FROM LATEST IN 'nodelocal://1/table' WITH into_db = 'again', {PASSPHRASE}"
    contenders = [
        Contender("Lakeport", LAKEPORT, lambda: full(bench, "TABLE big.big_0", "table", PASSPHRASE), backup),
        Contender("pg_dump", PEER, dump.backed_up, dump.backing_up),
    ]
    table = outcome.compare(f"BACKUP of a table ({bench.rows:,} rows)", contenders, bench.rounds)
    outcome.check_rate(table, "pg_dump", 1, 4)
    contenders = [
        Contender("Lakeport", LAKEPORT, lambda: restored_table(bench, restore), restore),
        Contender("pg_dump", PEER, dump.restored, dump.restoring),
    ]
    table = outcome.compare(f"RESTORE of a table ({bench.rows:,} rows)", contenders, bench.rounds)
    outcome.check_rate(table, "pg_dump", 1, 4)
    shutil.rmtree(dump.home)
    shutil.rmtree(bench.data / "table")


def restored_table(bench, text):
    with bench.lakeport.connect() as connection:
        connection.execute("CREATE DATABASE again")
    run = statement(bench, text)
    run.answer = run.rows
    drop(bench, "again")
    return run


def copy(bench, files):
    def copied():
        run = limits.copied(files, bench.scratch / "copied")
        (bench.scratch / "copied").unlink()
        return run

    return Contender("copy", LIMIT, copied, "read and write as many bytes; fsync")


def check_rates(outcome, table, rates):
    ran = [entry.name for entry in table.entries]
    for name, (floor, goal) in rates.items():
        if name in ran:
            outcome.check_rate(table, name, floor, goal)


def memory_for(files):
    """What a contender needs of the page cache for what it writes, and some for itself."""
    return size(files) + 256 * MIB
