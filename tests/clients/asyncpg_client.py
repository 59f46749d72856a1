# flags: --insecure
"""asyncpg: binary values of every type, prepared statements, cursors of its own, COPY, many connections."""

import asyncio
import datetime
import decimal
import json
import uuid

import asyncpg


async def fails(error, work):
    try:
        await work
    except error as caught:
        return caught
    raise AssertionError(f"no {error.__name__}")


async def values(connection):
    """Each value goes out and comes back as it was."""
    utc = datetime.timezone.utc
    samples = {
        "BOOL": True, "INT2": -7, "INT4": 70_000, "INT8": 2**62, "FLOAT4": 0.5, "FLOAT8": 1e-300, "STRING": "añb\U0001f600",
        "BYTES": b"\x00\xff", "DECIMAL(20,5)": decimal.Decimal("-123456789.12345"), "DATE": datetime.date(1969, 12, 31),
        "TIMESTAMP": datetime.datetime(2024, 2, 29, 23, 59, 59, 999999), "TIMESTAMPTZ": datetime.datetime(1999, 1, 1, tzinfo=utc),
        "UUID": uuid.UUID(int=2**127), "JSONB": json.dumps({"a": [1, None]}), "STRING[]": ["x", "", "y,z"],
    }
    columns = ", ".join(f"c{i} {ty}" for i, ty in enumerate(samples))
    await connection.execute(f"CREATE TABLE samples (id INT PRIMARY KEY, {columns})")
    places = ", ".join(f"${i + 2}" for i in range(len(samples)))
    await connection.execute(f"INSERT INTO samples VALUES ($1, {places})", 1, *samples.values())
    await connection.execute(f"INSERT INTO samples VALUES ($1, {places})", 2, *[None] * len(samples))
    row = await connection.fetchrow("SELECT * FROM samples WHERE id = $1", 1)
    for i, (ty, value) in enumerate(samples.items()):
        found = json.loads(row[f"c{i}"]) if ty == "JSONB" else row[f"c{i}"]
        assert found == (json.loads(value) if ty == "JSONB" else value), (ty, found, value)
    spans = await connection.fetchrow("SELECT INTERVAL '-1 day 02:03:04.5' AS a, now() - now() AS b, $1::TIMESTAMP - $2::TIMESTAMP AS c",
                                      datetime.datetime(2024, 3, 2), datetime.datetime(2024, 2, 28, 23))
    hours = datetime.timedelta(hours=1)
    assert tuple(spans) == (datetime.timedelta(days=-1, hours=2, minutes=3, seconds=4.5), 0 * hours, 49 * hours), spans
    row = await connection.fetchrow("SELECT * FROM samples WHERE id = 2")
    assert all(row[f"c{i}"] is None for i in range(len(samples))), row
    await fails(asyncpg.DataError, connection.fetch("SELECT $1::INT4", "text"))


async def statements(connection):
    await connection.execute("CREATE TABLE t (a INT PRIMARY KEY, b STRING)")
    await connection.executemany("INSERT INTO t VALUES ($1, $2)", [(i, f"row {i}") for i in range(50)])
    prepared = await connection.prepare("SELECT b FROM t WHERE a = $1")
    assert [parameter.name for parameter in prepared.get_parameters()] == ["int8"], prepared.get_parameters()
    assert [(column.name, column.type.name) for column in prepared.get_attributes()] == [("b", "text")]
    assert await prepared.fetchval(7) == "row 7" and await prepared.fetchval(99) is None
    assert await connection.fetchval("SELECT count(*) FROM t WHERE b = ANY($1::STRING[])", ["row 1", "row 2", "row 99"]) == 2
    assert await connection.execute("UPDATE t SET b = NULL WHERE a < 10") == "UPDATE 10"
    async with connection.transaction(readonly=True):
        rows = [row["a"] async for row in connection.cursor("SELECT a FROM t ORDER BY a", prefetch=7)]
    assert rows == list(range(50))
    try:
        async with connection.transaction():
            await connection.execute("DELETE FROM t")
            raise KeyError
    except KeyError:
        pass
    assert await connection.fetchval("SELECT count(*) FROM t") == 50
    error = await fails(asyncpg.UniqueViolationError, connection.execute("INSERT INTO t VALUES (1, 'again')"))
    assert error.sqlstate == "23505"
    await fails(asyncpg.UndefinedTableError, connection.execute("SELECT * FROM nope"))
    await fails(asyncpg.PostgresSyntaxError, connection.execute("SELECT 1 FORM t"))
    slow = "SELECT count(*) FROM generate_series(1, 30000000) a, generate_series(1, 1000) b"
    await fails(asyncio.TimeoutError, connection.fetch(slow, timeout=0.5))
    assert await connection.fetchval("SELECT 1") == 1


async def copies(connection):
    await connection.execute("CREATE TABLE c (a INT, b STRING)")
    tag = await connection.copy_records_to_table("c", records=[(i, f"é{i}") for i in range(1000)])
    assert tag == "COPY 1000", tag
    parts = []

    async def keep(data):
        parts.append(data)

    assert await connection.copy_from_query("SELECT a, b FROM c WHERE a < 2 ORDER BY a", output=keep, format="csv") == "COPY 2"
    assert b"".join(parts).decode() == "0,é0\n1,é1\n", parts


async def session(connection):
    assert connection.get_settings().TimeZone == "UTC" and connection.get_server_version()[0] == 15
    assert await connection.fetchval("SELECT set_config('application_name', 'night', false)") == "night"
    assert await connection.fetchval("SHOW application_name") == "night"
    assert await connection.fetchval("SELECT current_setting('application_name')") == "night"
    assert await connection.fetchval("SELECT pg_backend_pid()") == connection.get_server_pid()
    await connection.execute("RESET ALL")
    assert await connection.fetchval("SHOW application_name") == ""


async def pool():
    async with asyncpg.create_pool(min_size=4, max_size=4) as connections:
        async def work(i):
            async with connections.acquire() as connection:
                return await connection.fetchval("SELECT $1::INT8 * 2", i)
        assert await asyncio.gather(*[work(i) for i in range(40)]) == [2 * i for i in range(40)]
        # A connection that goes back is cleaned: no settings and no cursors of who had it before stay.
        async with connections.acquire() as connection:
            await connection.execute("SET application_name = 'night'; DECLARE c CURSOR WITH HOLD FOR SELECT 1")
        for _ in range(4):
            async with connections.acquire() as connection:
                assert await connection.fetchval("SHOW application_name") == ""
                await fails(asyncpg.InvalidCursorNameError, connection.execute("FETCH c"))


async def main():
    connection = await asyncpg.connect()
    for story in (values, statements, copies, session):
        await story(connection)
    await connection.close()
    await pool()


asyncio.run(main())
