# flags: --insecure
"""Advisory locks as migration tools use them: waits, deadlocks, and what ends with a connection."""

import threading
import time

import psycopg


def waiting(work):
    """Starts work that has to wait, and gives it the time to get there."""
    outcome = []
    thread = threading.Thread(target=lambda: outcome.append(work()))
    thread.start()
    time.sleep(0.3)
    assert not outcome, outcome
    return thread, outcome


def lock(connection, key):
    try:
        return connection.execute("SELECT pg_advisory_lock(%s)", (key,)).fetchone()
    except psycopg.Error as error:
        return error.sqlstate


first, second = psycopg.connect(autocommit=True), psycopg.connect(autocommit=True)

# A wait ends with the unlock, and with the holder's connection.
lock(first, 1)
thread, outcome = waiting(lambda: lock(second, 1))
assert first.execute("SELECT pg_advisory_unlock(1)").fetchone() == (True,)
thread.join()
assert outcome == [("",)], outcome
thread, outcome = waiting(lambda: lock(first, 1))
second.close()
thread.join()
assert outcome == [("",)], outcome

# A wait can be cancelled; the lock stays with its holder.
second = psycopg.connect(autocommit=True)
thread, outcome = waiting(lambda: lock(second, 1))
second.cancel()
thread.join()
assert outcome == ["57014"], outcome
assert second.execute("SELECT pg_try_advisory_lock(1)").fetchone() == (False,)

# Two that wait for each other: one is refused, the other goes on.
lock(second, 2)
thread, outcome = waiting(lambda: lock(first, 2))
assert lock(second, 1) == "40P01"
second.execute("SELECT pg_advisory_unlock_all()")
thread.join()
assert outcome == [("",)], outcome

# Those who wait keep nobody from working: the holder's statements find a place.
crowd = [psycopg.connect(autocommit=True) for _ in range(60)]
threads = [threading.Thread(target=lock, args=(connection, 1)) for connection in crowd]
for thread in threads:
    thread.start()
time.sleep(0.5)
first.execute("CREATE TABLE migrations (version INT PRIMARY KEY)")
with first.transaction():
    first.execute("SELECT pg_advisory_xact_lock(9)")
    first.execute("INSERT INTO migrations VALUES (1)")
    assert second.execute("SELECT pg_try_advisory_xact_lock(9)").fetchone() == (False,)
assert second.execute("SELECT pg_try_advisory_xact_lock(9)").fetchone() == (True,)
for connection in crowd:
    connection.cancel()
for thread in threads:
    thread.join()
print("ok")
