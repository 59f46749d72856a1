# flags: --insecure
"""Roles of one name made by several sessions at once: one makes it, and the others are told that it is there."""

import threading

import psycopg

CLIENTS, NAMES = 8, 12
start = threading.Barrier(CLIENTS)
outcomes = {}


def make():
    with psycopg.connect(autocommit=True) as connection:
        for number in range(NAMES):
            for kind in ("USER", "ROLE"):
                start.wait()
                try:
                    connection.execute(f"CREATE {kind} {kind}{number}")
                    outcome = None
                except psycopg.Error as error:
                    outcome = error.sqlstate
                outcomes.setdefault((kind, number), []).append(outcome)


threads = [threading.Thread(target=make) for _ in range(CLIENTS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert len(outcomes) == 2 * NAMES, outcomes
for made, codes in outcomes.items():
    assert sorted(codes, key=str) == ["42710"] * (CLIENTS - 1) + [None], (made, codes)
print("ok")
