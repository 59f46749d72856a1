"""A database of about 10 GiB beside one of 1 GiB with as many tables: layers after the same change, and memory. Takes 25 GB of disk, so it
is run only when it is named."""

import shutil

from bench import tools
from bench.backups import big, drop, files_of, full, insert, layer, size, statement
from bench.outcome import LAKEPORT, PEER, Check, Contender, Outcome

MIB = 1 << 20
# Times the rows of `big` in each table.
TIMES = 10
# Rows that are added, as a part of those of 1 GiB.
CHANGES = (0, 0.001, 0.01, 0.1)


def measure(bench):
    outcome = Outcome()
    key = bench.key_service.option
    total = size(files_of(bench, big(bench)))
    needed, free = (2 * TIMES + 4) * total, shutil.disk_usage(bench.folder).free
    if free < needed:
        outcome.left_out.append(f"{TIMES * total / 2**30:,.0f} GiB: {free / 2**30:,.0f} GiB of disk are free, {needed / 2**30:,.0f} needed")
        return outcome
    fill(bench)
    full(bench, "DATABASE big", "small", key)
    bench.lakeport.restart()
    backup = full(bench, "DATABASE large", "large", key)
    for part in CHANGES:
        changes(bench, outcome, part, key)
    shutil.rmtree(bench.data / "small")
    # Its disk is needed for what comes back.
    drop(bench, "large")
    bench.lakeport.restart()
    restore = statement(bench, f"RESTORE DATABASE large FROM LATEST IN 'nodelocal://1/large' WITH {key}")
    for what, run in (("BACKUP", backup), ("RESTORE", restore)):
        title = f"{what} of {TIMES * total / MIB:,.0f} MiB: peak memory of a new server"
        outcome.checks.append(Check(title, run.peak_bytes / MIB, 512, 512, unit=" MiB", beside=f"{run.seconds:.1f} s"))
    drop(bench, "large")
    shutil.rmtree(bench.data / "large")
    return outcome


def fill(bench):
    """The database `large`: the tables of `big`, with more rows."""
    with bench.lakeport.connect() as connection:
        connection.execute("CREATE DATABASE large")
        for table in big(bench):
            connection.execute(f"CREATE TABLE large.{table} AS SELECT * FROM big.{table}")
            for _ in range(TIMES - 1):
                connection.execute(f"INSERT INTO large.{table} SELECT * FROM big.{table}")


def changes(bench, outcome, part, key):
    """Layers of both databases after as many new rows."""
    rows = int(bench.rows * len(big(bench)) * part)
    ratios = []

    def added(database, folder):
        insert(bench, f"{database}.big_0", rows)
        before = tools.bytes_in(bench.data / folder)
        run = layer(bench, f"DATABASE {database}", folder, key)
        ratios.append((tools.bytes_in(bench.data / folder) - before) / (1.05 * run.bytes + 256 * 1024))
        return run

    contenders = [
        Contender(f"{TIMES} times the data", LAKEPORT, lambda: added("large", "large"), "BACKUP DATABASE large INTO LATEST IN ..."),
        Contender("the data", PEER, lambda: added("big", "small"), "BACKUP DATABASE big INTO LATEST IN ..."),
    ]
    title = f"layer after {rows:,} more rows"
    table = outcome.compare(title, contenders, bench.rounds, 256 * MIB)
    outcome.check_time(table, "the data", 1.5, 1.1)
    outcome.checks.append(Check(f"{title}: bytes / (1.05 changed + 256 KiB)", max(ratios), 1, 1))
