"""From starting the program on a store that has been used to the first answer, and the memory of a server at rest."""

import time

from bench import limits
from bench.measure import Commands, Run, machine_seconds, timed
from bench.outcome import LAKEPORT, LIMIT, PEER, Check, Contender, Outcome

MIB = 1 << 20
ROUNDS = 7


def measure(bench):
    outcome = Outcome()
    lakeport = bench.new_lakeport("restarted")
    with lakeport.connect() as connection:
        connection.execute("CREATE TABLE t (a INT8 PRIMARY KEY, b STRING)")
        connection.execute("INSERT INTO t VALUES (1, 'one')")
    lakeport.stop()
    contenders = [
        Contender("Lakeport", LAKEPORT, lambda: started(lakeport), "lakeport start; SELECT 1"),
        Contender("PostgreSQL", PEER, lambda: restarted(bench.postgres), "pg_ctl start --wait; SELECT 1"),
        Contender("process", LIMIT, limits.process, "true"),
    ]
    table = outcome.compare("cold start", contenders, ROUNDS)
    seconds = table.lakeport.cpu_seconds if table.loaded() else table.lakeport.seconds
    beside = f"wall {table.lakeport.seconds * 1000:.0f}, CPU {table.lakeport.cpu_seconds * 1000:.0f}"
    outcome.checks.append(Check("cold start", seconds * 1000, 400, 150, unit="ms", beside=beside))
    outcome.checks.append(Check("memory at rest", table.lakeport.peak_bytes / MIB, 150, 80, unit="MiB"))
    size = bench.binary.stat().st_size / MIB
    outcome.notes.append(f"The binary has {size:.0f} MiB with its line tables.")
    return outcome


def started(lakeport):
    """A start, a first answer, and the memory a second later."""
    busy, start = machine_seconds(), time.perf_counter()
    lakeport.start()
    answer = first_answer(lakeport)
    seconds, cpu_seconds = time.perf_counter() - start, lakeport.process.cpu_seconds()
    others = max(0, machine_seconds() - busy - cpu_seconds) / seconds
    time.sleep(1)
    resident = lakeport.process.resident_bytes()
    lakeport.stop()
    return Run(seconds, cpu_seconds, resident, others, answer)


def restarted(postgres):
    postgres.stop()
    run = timed(Commands(), lambda: (postgres.start(), first_answer(postgres))[1])
    run.cpu_seconds = postgres.process.cpu_seconds()
    run.peak_bytes = postgres.process.resident_bytes()
    return run


def first_answer(server):
    with server.connect() as connection:
        return connection.execute("SELECT 1").fetchone()
