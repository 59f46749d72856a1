"""Incremental layers: what they cost by what has changed since, and what a chain of many costs to restore beside one full backup of
the same moment. Encrypted for a key service, so that no time goes to the derivation of a key from a passphrase."""

import math
import shutil

from bench import tools
from bench.backups import TABLES, big, drop, files_of, full, insert, layer, restored, size
from bench.outcome import LAKEPORT, PEER, Check, Contender, Outcome

MIB = 1 << 20
# Rows that are added, as a part of the database's.
CHANGES = (0, 0.001, 0.01, 0.1)
# Layers on top of a full backup, and what restoring them may take as a multiple of one full backup: floor and goal.
CHAINS = ((48, 1.3, 1.15), (400, 2, 1.5))


def measure(bench):
    outcome = Outcome()
    key = bench.key_service.option
    tables = big(bench)
    first = full(bench, "DATABASE big", "layers", key)
    restics = tools.installed([tools.Restic(bench.scratch, files_of(bench, tables))], outcome)
    for restic in restics:
        restic.backed_up()
    for part in CHANGES:
        changes(bench, outcome, part, key, first, restics)
    for restic in restics:
        shutil.rmtree(restic.home)
    shutil.rmtree(bench.data / "layers")
    chains(bench, outcome, key)
    drop(bench, "big")
    big.cache_clear()
    return outcome


def changes(bench, outcome, part, key, first, restics):
    """A layer after rows have come to one of the tables."""
    ratios, rows = [], int(bench.rows * TABLES * part)

    def ours():
        insert(bench, "big.big_0", rows)
        before = tools.bytes_in(bench.data / "layers")
        run = layer(bench, "DATABASE big", "layers", key)
        written = tools.bytes_in(bench.data / "layers") - before
        ratios.append(written / (1.05 * run.bytes + 256 * 1024))
        changed.append(run.bytes)
        return run

    def of(restic):
        restic.files = files_of(bench, big(bench))
        return restic.added()

    changed = []
    contenders = [Contender("Lakeport", LAKEPORT, ours, "BACKUP DATABASE big INTO LATEST IN 'nodelocal://1/layers' WITH kms = 'aws-kms:///...'")]
    contenders += [Contender("restic", PEER, lambda restic=restic: of(restic), "restic backup FILES; sync -f REPOSITORY") for restic in restics]
    title = f"layer after {part:.1%} more rows"
    table = outcome.compare(title, contenders, bench.rounds, 256 * MIB)
    bytes_changed = max(changed)
    expected = 0.03 + 1.3 * bytes_changed * first.seconds / first.bytes
    outcome.checks += [
        Check(f"{title}: bytes / (1.05 changed + 256 KiB)", max(ratios), 1, 1, beside=f"{bytes_changed:,} bytes changed"),
        Check(f"{title}: time / (30 ms + 1.3 times what a full backup takes for the bytes changed)", table.lakeport.seconds / expected,
              math.inf, 1, beside=f"{table.lakeport.seconds:.3f} s for {expected:.3f} s"),
    ]
    if part == 0:
        outcome.checks.append(Check(f"{title}: time", table.lakeport.seconds * 1e3, math.inf, 50, unit=" ms"))
        if restics:
            outcome.check_time(table, "restic", 1, 0.1)


def chains(bench, outcome, key):
    """A growing chain, restored beside one full backup of the same moment."""
    full(bench, "DATABASE big", "chain", key)
    seconds = []
    for count, floor, goal in CHAINS:
        while len(seconds) < count:
            insert(bench, "big.big_1", bench.rows // 1000)
            seconds.append(layer(bench, "DATABASE big", "chain", key).seconds)
        full(bench, "DATABASE big", "one", key)
        contenders = [
            Contender("Lakeport", LAKEPORT, lambda: restored(bench, "big", "chain", key), "RESTORE from the chain"),
            Contender("one full backup", PEER, lambda: restored(bench, "big", "one", key), "RESTORE from a full backup of the same moment"),
        ]
        memory_bytes = size(files_of(bench, big(bench))) + 256 * MIB
        table = outcome.compare(f"RESTORE of {count} layers", contenders, bench.rounds, memory_bytes)
        outcome.check_time(table, "one full backup", floor, goal)
    outcome.notes.append(f"Of {len(seconds)} layers, each after {bench.rows // 1000:,} more rows, the first 10 took {sum(seconds[:10]) / 10:.3f} s each, "
                         f"the last 10 {sum(seconds[-10:]) / 10:.3f} s.")
    shutil.rmtree(bench.data / "one")
    shutil.rmtree(bench.data / "chain")
