"""Small statements by pgbench: SELECT 1, a SELECT by primary key of a table with 1,000,000 rows, and new connections with
SCRAM. One contender after the other, the same script, over loopback TCP.

No server reaches the floor of new connections on two processors: SCRAM makes the client hash its password 4,096 times for
each, which keeps both busy, so that a server that answered at once would do about 1.7 times PostgreSQL's rate. Lakeport's
own processor time is a fifteenth of PostgreSQL's. Fewer rounds would reach the floor, and make it easier to guess passwords
from stolen verifiers; so the rounds stay."""

import re
import subprocess

from bench import limits
from bench.lakeport import environment
from bench.measure import Run, timed
from bench.outcome import LAKEPORT, LIMIT, PEER, Contender, Outcome
from bench.postgres import PROGRAMS

ROWS = 1_000_000
SCRIPTS = {
    "SELECT 1": "SELECT 1;\n",
    "point SELECT": f"\\set id random(1, {ROWS})\nSELECT balance FROM accounts WHERE id = :id;\n",
}
# Script, protocol, clients, further flags, floor and goal of the rate as a multiple of PostgreSQL's.
CASES = [
    ("SELECT 1", "simple", 1, [], 0.6, 1.2),
    ("SELECT 1", "simple", 8, [], 0.6, 1.2),
    ("SELECT 1", "prepared", 8, [], 0.6, 1.2),
    ("SELECT 1", "simple", 64, [], 0.6, 1.2),
    ("point SELECT", "prepared", 1, [], 0.2, 0.5),
    ("point SELECT", "simple", 8, [], 0.2, 0.5),
    ("point SELECT", "prepared", 8, [], 0.2, 0.5),
    ("SELECT 1", "simple", 8, ["--connect"], 2, 5),
]


def measure(bench):
    outcome = Outcome()
    # With passwords, so that a new connection costs what it costs.
    lakeport = bench.new_lakeport("protected", flags=())
    try:
        for server in (lakeport, bench.postgres):
            fill(server)
        for case in CASES:
            compare(bench, outcome, lakeport, *case)
    finally:
        lakeport.stop()
    return outcome


def fill(server):
    with server.connect() as connection:
        connection.execute("CREATE TABLE accounts (id INT8 PRIMARY KEY, branch INT8, balance INT8, filler TEXT)")
        connection.execute(f"INSERT INTO accounts SELECT n, n % 100, n * 7 % 1000003, 'filler' FROM generate_series(1, {ROWS}) AS g (n)")
        if server.address()["dbname"] == "postgres":
            connection.execute("VACUUM ANALYZE accounts")
        (balance,) = connection.execute("SELECT balance FROM accounts WHERE id = 777777").fetchone()
        assert balance == 777777 * 7 % 1000003, balance


def compare(bench, outcome, lakeport, script, protocol, clients, flags, floor, goal):
    seconds = 2 if bench.small else 5
    run = lambda server: transactions(bench, server, script, protocol, clients, flags, seconds)
    command = f"pgbench --no-vacuum --protocol={protocol} --client={clients} {' '.join(flags)} -f script: {SCRIPTS[script]!r}"
    title = f"{script}, {protocol}, {clients} clients{', reconnecting' if flags else ''}"
    contenders = [
        Contender("Lakeport", LAKEPORT, lambda: run(lakeport), command),
        Contender("PostgreSQL", PEER, lambda: run(bench.postgres), "the same"),
    ]
    if clients == 1:
        pong = Contender("loopback", LIMIT, lambda: limits.ping_pong(seconds / 2), "ping-pong of as many bytes")
        contenders.append(pong)
    table = outcome.compare(title, contenders, bench.rounds)
    outcome.check_rate(table, "PostgreSQL", floor, goal)


def transactions(bench, server, script, protocol, clients, flags, seconds):
    """One run of pgbench, as the time of one transaction."""
    file = bench.scratch / "script.sql"
    file.write_text(SCRIPTS[script])
    command = [PROGRAMS / "pgbench", "--no-vacuum", f"--protocol={protocol}", f"--client={clients}",
               f"--jobs={min(clients, 2)}", f"--time={seconds}", f"--file={file}", *flags]

    def work():
        return subprocess.run(command, env=environment(server), capture_output=True, text=True, check=True).stdout

    run = timed(server.process, work)
    count = int(re.search(r"transactions actually processed: (\d+)", run.answer)[1])
    rate = float(re.search(r"tps = ([\d.]+)", run.answer)[1])
    return Run(1 / rate, run.cpu_seconds / count, run.peak_bytes, run.others)
