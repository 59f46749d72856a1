"""SHOW BACKUPS in collections of 10,000 layers: as many full backups, and 25 chains of 400 layers whose manifests it reads. The same
in a bucket, where requests are counted. The layers are written without the server, which takes them as its own."""

import math
import os
import shutil

from bench import tools
from bench.backups import full
from bench.collection import SECOND, Collection
from bench.measure import ThisProcess, timed
from bench.outcome import LAKEPORT, LIMIT, Check, Contender, Outcome

CHAIN_LAYERS = 400
# When the first backup of a collection ends, in microseconds.
BEGIN = 1_700_000_000 * SECOND
HOUR = 3600 * SECOND
# Keys in one answer of an S3 server.
PAGE = 1000


def measure(bench):
    outcome = Outcome()
    with bench.lakeport.connect() as connection:
        connection.execute(f"CREATE TABLE listed AS SELECT * FROM {bench.lineitem(bench.rows)} LIMIT 10")
    full(bench, "TABLE listed", "model")
    fulls, chains = (Collection(bench.data / name, bench.data / "model") for name in ("fulls", "chains"))
    count = 2_000 if bench.small else 10_000
    for number in range(count):
        fulls.add_chain(BEGIN + number * HOUR, 1)
    for number in range(0, count, CHAIN_LAYERS):
        chains.add_chain(BEGIN + number * HOUR, CHAIN_LAYERS)
    text = "SHOW BACKUPS IN 'nodelocal://1/{}'"
    local(bench, outcome, f"{count:,} full backups", text.format("fulls"), count, "fulls/metadata/latest")
    local(bench, outcome, f"{count:,} layers in chains", text.format("chains") + " WITH REVISION START TIME", count, "chains")
    requests(bench, outcome, count)
    for name in ("model", "fulls", "chains"):
        shutil.rmtree(bench.data / name)
    return outcome


def local(bench, outcome, what, text, count, folder):
    contenders = [
        Contender("Lakeport", LAKEPORT, lambda: shown(bench, text, count), text),
        Contender("walk", LIMIT, lambda: walked(bench.data / folder), "os.walk of the same files"),
    ]
    table = outcome.compare(f"SHOW BACKUPS of {what}", contenders, bench.rounds)
    outcome.checks.append(Check(f"{table.title}: time", table.lakeport.seconds, 1, 1, unit=" s"))


def shown(bench, text, count):
    """Every layer must be listed."""
    with bench.lakeport.connect() as connection:
        run = timed(bench.lakeport.process, lambda: connection.execute(text).fetchall())
    if len(run.answer) != count:
        raise RuntimeError(f"{text}: {len(run.answer)} rows")
    run.answer = None
    return run


def walked(folder):
    run = timed(ThisProcess(), lambda: sum(len(files) for _, _, files in os.walk(folder)))
    run.answer = None
    return run


def requests(bench, outcome, count):
    """LIST requests, beside what pages of 1,000 keys need."""
    bucket, chains = bench.bucket, count // CHAIN_LAYERS
    endpoint = bucket.proxy.endpoint
    bucket.fill(bench.data / "fulls" / "metadata", "fulls/metadata")
    bucket.fill(bench.data / "chains", "chains")
    text = f"SHOW BACKUPS IN '{bucket.uri('fulls', endpoint)}'"
    listed(bench, outcome, f"{count:,} full backups", text, count, math.ceil(count / PAGE))
    text = f"SHOW BACKUPS IN '{bucket.uri('chains', endpoint)}' WITH REVISION START TIME"
    listed(bench, outcome, f"{count:,} layers in {chains} chains", text, count, 1 + chains * math.ceil(CHAIN_LAYERS / PAGE))


def listed(bench, outcome, what, text, count, needed):
    proxy = bench.bucket.proxy
    proxy.use()
    run = shown(bench, text, count)
    lists = sum("list-type=2" in path for _, path in proxy.requests)
    others = len(proxy.requests) - lists
    outcome.checks.append(Check(f"SHOW BACKUPS of {what} in a bucket: LIST requests / those needed", lists / needed, 1.1, 1.1,
                                beside=f"{lists} for {needed}, {others} others, {run.seconds:.3f} s"))
