# flags: --insecure
"""Backups that race: for one folder one wins, for one chain they queue or are refused, and what is there restores."""

import threading

import psycopg

REFUSED = {"42710", "55006", "40001", "22023"}


def at_once(statements):
    """What became of statements that run at the same time: `ok`, or an SQLSTATE."""
    outcomes, barrier = [], threading.Barrier(len(statements))

    def run(statement):
        with psycopg.connect(autocommit=True) as connection:
            barrier.wait()
            try:
                connection.execute(statement)
                outcomes.append("ok")
            except psycopg.Error as error:
                outcomes.append(error.sqlstate)

    threads = [threading.Thread(target=run, args=(statement,)) for statement in statements]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert set(outcomes) <= REFUSED | {"ok"}, outcomes
    return outcomes.count("ok")


with psycopg.connect(autocommit=True) as connection:
    run = connection.execute
    run("CREATE TABLE t AS SELECT n AS a FROM generate_series(1, 10000) AS n")
    now = run("SELECT (extract(epoch FROM clock_timestamp()) * 1000000000)::INT8").fetchone()[0]

    # One moment is one folder.
    same = f"BACKUP TABLE t INTO 'nodelocal://1/same' AS OF SYSTEM TIME '{now}'"
    assert at_once([same] * 6) == 1
    assert len(run("SHOW BACKUPS IN 'nodelocal://1/same'").fetchall()) == 1
    run("CREATE DATABASE d")
    run("RESTORE TABLE t FROM LATEST IN 'nodelocal://1/same' WITH into_db = 'd'")
    assert run("SELECT count(*), sum(a) FROM d.t").fetchone() == (10000, 50005000)

    # One chain takes one layer at a time.
    run("BACKUP TABLE t INTO 'nodelocal://1/chain'")
    layers = 1
    for number in range(5):
        run(f"INSERT INTO t VALUES ({20000 + number})")
        done = at_once(["BACKUP TABLE t INTO LATEST IN 'nodelocal://1/chain'"] * 4)
        assert done >= 1
        layers += done
    tables = run("SELECT count(*) FROM [SHOW BACKUP LATEST IN 'nodelocal://1/chain'] WHERE object_type = 'table'").fetchone()
    assert tables == (layers,), (tables, layers)
    run("CREATE DATABASE e")
    run("RESTORE TABLE t FROM LATEST IN 'nodelocal://1/chain' WITH into_db = 'e'")
    assert run("SELECT count(*), max(a) FROM e.t").fetchone() == (10005, 20004)
