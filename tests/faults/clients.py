"""Clients that change a server until it dies, and know what it must hold afterwards.

A client owns what it writes, as cells: a batch of rows, a table with its columns, an imported table, a connection. A
statement changes cells; what it would change is noted before it is sent. So after a kill a client's cells are those of its
last answer, or those with the one unanswered statement, whole. Backups are cells too: what the table held when it was
backed up, layer by layer.
"""

import random
import threading
import time

import psycopg

BATCHES_MAX = 40
SHAPE_ROWS = 12
IMPORT_ROWS = 500
COUNTERS = 3
FILES_MAX = 5
STAGED_MAX, STAGED_ROWS = 8, 200
BIG_FILES, BIG_ROWS = 3, 120_000
LAYERS_MAX = 4
# Seconds that a schedule that is due may take to make its backup.
SCHEDULE_WAIT = 5
# What a server that lives may answer without having done anything.
REFUSALS = ("40001", "55P03", "53000", "53300", "57P01")
# What a statement answers that met an injected failure: it may have been done or not.
FAILURES = ("53100", "58030", "XX000", "08006")


def setting_up(connection, clients, keys):
    """The objects that clients share, and those that each has from the start; `keys` are two of a key service, or none."""
    connection.execute("SET CLUSTER SETTING gc.ttl = '4s'")
    connection.execute(
        "CREATE TABLE batches (writer INT8, batch INT8, item INT8, note STRING, PRIMARY KEY (writer, batch, item))")
    connection.execute("CREATE TABLE counters (id INT8 PRIMARY KEY, n INT8)")
    connection.execute(f"INSERT INTO counters SELECT n, 0 FROM generate_series(1, {COUNTERS}) AS n")
    connection.execute("CREATE EXTERNAL CONNECTION files AS 'nodelocal://1/files'")
    for number in range(clients):
        connection.execute(f"CREATE EXTERNAL CONNECTION moving_{number} AS '{place(0)}' WITH (VALIDATE = false)")
        connection.execute(f"CREATE TABLE shape_{number} (id INT8)")
        connection.execute(f"INSERT INTO shape_{number} SELECT n FROM generate_series(1, {SHAPE_ROWS}) AS n")
        connection.execute(f"CREATE DATABASE copies_{number}")
        connection.execute(f"CREATE STAGE staged_{number} URL = 'external://files/staged-{number}/'")
        connection.execute(f"CREATE TABLE loaded_{number} (file INT8, item INT8)")
    for name, key in zip(("first", "second"), keys):
        connection.execute(f"CREATE EXTERNAL CONNECTION {name} AS '{key}'")
    if keys:
        for number in range(clients):
            connection.execute(f"BACKUP TABLE shape_{number} INTO '{collection('keys', number)}' WITH kms = 'external://first'")


def write_files(folder):
    """What is imported: a small file, and three that make an import of several parts."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "small.csv").write_text("".join(f"{item},{'s' * 20}\n" for item in range(IMPORT_ROWS)))
    for number in range(BIG_FILES):
        rows = range(number * BIG_ROWS, (number + 1) * BIG_ROWS)
        (folder / f"big-{number}.csv").write_text("".join(f"{item},{'b' * 140}\n" for item in rows))


def place(version):
    """A definition whose parameters tell of one version."""
    return (f"s3://bucket-{version}/folder-{version}?AWS_ACCESS_KEY_ID=key-{version}"
            f"&AWS_SECRET_ACCESS_KEY=secret-{version}&AWS_ENDPOINT=http://host-{version}.invalid&AWS_REGION=region-{version}")


def collection(kind, number):
    """Where backups of one client lie."""
    return f"nodelocal://1/{kind}-{number}"


class Client:
    """One session after another, its cells, and the statement under way."""

    def __init__(self, number, seed, has_keys=False):
        self.number, self.random, self.has_keys = number, random.Random(f"{seed}/{number}"), has_keys
        self.cells = {("shape",): (("id", None),), ("connection",): 0}
        if has_keys:
            self.cells["keys",] = 1
        self.pending = None
        # The schedule that may have met an injected failure: it waits for its next time, a year later.
        self.failed_schedule = None
        # Ends of the layers that were last found to hold what they should, and what that is.
        self.seen_layers = None, ()
        self.increments = [0] * (COUNTERS + 1)
        self.unsure_increments = [0] * (COUNTERS + 1)
        self.next_batch, self.next_table, self.next_column, self.next_file, self.next_schedule = 0, 0, 0, 0, 0
        self.answered, self.refused = 0, {}

    def run(self, server, focus, stop):
        """Works until the server is gone or `stop` is set."""
        try:
            with server.connect() as self.session:
                while not stop.is_set():
                    self.step(focus)
        except psycopg.OperationalError:
            pass

    def step(self, focus):
        action = focus if focus and self.random.random() < 0.6 else self.random.choices(list(WEIGHTS), WEIGHTS.values())[0]
        try:
            getattr(self, action)()
        except psycopg.Error as error:
            if error.sqlstate is None or error.sqlstate.startswith("57P"):
                raise psycopg.OperationalError(str(error)) from error
            if error.sqlstate in FAILURES and self.meets_failures:
                raise psycopg.OperationalError("the statement met an injected failure") from error
            if error.sqlstate not in REFUSALS:
                raise AssertionError(f"client {self.number}, {action}: {error.sqlstate} {error}") from error
            self.pending = None
            self.refused[error.sqlstate] = self.refused.get(error.sqlstate, 0) + 1

    def change(self, cells, *statements):
        """Runs statements that together make these cells so; None is a cell that is gone."""
        self.pending = cells
        for statement in statements:
            statement() if callable(statement) else self.session.execute(statement)
        self.settle(cells)
        self.pending = None
        self.answered += 1

    def settle(self, cells):
        for key, value in cells.items():
            if value is None:
                self.cells.pop(key, None)
            else:
                self.cells[key] = value

    # Rows of the table that all clients share.

    def batches(self):
        return sorted(key for key in self.cells if key[0] == "batch")

    def new_batch(self):
        self.next_batch += 1
        return ("batch", self.next_batch)

    def values(self, key, rows, note):
        return ", ".join(f"({self.number}, {key[1]}, {item}, '{note}')" for item in range(rows))

    def insert(self):
        key, rows = self.new_batch(), self.random.randint(1, 5)
        self.change({key: (rows, "new")}, f"INSERT INTO batches VALUES {self.values(key, rows, 'new')}")

    def copy(self):
        key, note = self.new_batch(), "copied"
        # A few are larger than what waits in memory for a commit.
        rows = self.random.randint(50, 300) if self.random.random() < 0.8 else 3000
        note = note if rows < 3000 else note * 60

        def copy():
            with self.session.cursor().copy("COPY batches FROM STDIN") as copy:
                for item in range(rows):
                    copy.write_row((self.number, key[1], item, note))

        self.change({key: (rows, note)}, copy)

    def block(self):
        first, second = self.new_batch(), self.new_batch()
        cells = {first: (2, "block"), second: (3, "block")}
        statements = [f"INSERT INTO batches VALUES {self.values(key, rows, note)}" for key, (rows, note) in cells.items()]
        if self.batches():
            victim = self.random.choice(self.batches())
            cells[victim] = None
            statements.append(f"DELETE FROM batches WHERE writer = {self.number} AND batch = {victim[1]}")
        try:
            self.change(cells, "BEGIN", *statements, "COMMIT")
        except psycopg.errors.SerializationFailure:
            self.session.execute("ROLLBACK")
            raise

    def update(self):
        if self.batches():
            key, note = self.random.choice(self.batches()), f"note {self.random.randrange(1000)}"
            where = f"writer = {self.number} AND batch = {key[1]}"
            self.change({key: (self.cells[key][0], note)}, f"UPDATE batches SET note = '{note}' WHERE {where}")

    def upsert(self):
        if self.batches():
            key, note = self.random.choice(self.batches()), f"upserted {self.random.randrange(1000)}"
            rows = max(self.cells[key][0], 3)
            if rows < 100:
                self.change({key: (rows, note)}, f"UPSERT INTO batches VALUES {self.values(key, rows, note)}")

    def delete(self):
        batches = self.batches()
        if batches:
            victims = batches[:-BATCHES_MAX] or [self.random.choice(batches)]
            where = f"writer = {self.number} AND batch IN ({', '.join(str(key[1]) for key in victims)})"
            self.change(dict.fromkeys(victims), f"DELETE FROM batches WHERE {where}")

    def increment(self):
        counter = self.random.randint(1, COUNTERS)
        self.unsure_increments[counter] += 1
        try:
            self.session.execute(f"UPDATE counters SET n = n + 1 WHERE id = {counter}")
        except psycopg.errors.SerializationFailure:
            self.unsure_increments[counter] -= 1
            raise
        self.unsure_increments[counter] -= 1
        self.increments[counter] += 1
        self.answered += 1

    # A table whose columns change.

    def alter(self):
        columns, table = self.cells["shape",], f"shape_{self.number}"
        kinds = ["add"] if len(columns) < 3 else ["drop"] if len(columns) > 6 else ["add", "drop", "rename"]
        kind = self.random.choice(kinds)
        if kind == "add":
            self.next_column += 1
            # A name may come back, with another type and value.
            name = f"c{self.next_column % 5}"
            if name in dict(columns):
                return
            number = self.random.random() < 0.5
            value = self.random.randrange(1000) if number else f"v{self.next_column}"
            ty = "INT8" if number else "STRING"
            definition = f"{name} {ty} DEFAULT {value if number else repr(value)}"
            changed = (*columns, (name, value))
            self.change({("shape",): changed}, f"ALTER TABLE {table} ADD COLUMN {definition}")
            return
        name, value = self.random.choice(columns[1:])
        if kind == "drop":
            changed = tuple(column for column in columns if column[0] != name)
            self.change({("shape",): changed}, f"ALTER TABLE {table} DROP COLUMN {name}")
        else:
            self.next_column += 1
            new = f"r{self.next_column}"
            changed = tuple((new, value) if column[0] == name else column for column in columns)
            self.change({("shape",): changed}, f"ALTER TABLE {table} RENAME COLUMN {name} TO {new}")

    # Connections, files, jobs.

    def connection(self):
        version = self.cells["connection",] + 1
        alter = f"ALTER EXTERNAL CONNECTION moving_{self.number} AS '{place(version)}' WITH (VALIDATE = false)"
        self.change({("connection",): version}, alter)

    def check(self):
        self.session.execute("CHECK EXTERNAL CONNECTION 'external://files' WITH TRANSFER = '1KiB'")

    def export(self):
        self.session.execute(
            f"EXPORT INTO CSV 'external://files/out-{self.number}' FROM SELECT n, 'x' FROM generate_series(1, 100) AS n")

    def upload(self):
        """A file of the user: another one, or one less when there are enough."""
        files = [key for key in self.cells if key[0] == "file"]
        if len(files) >= FILES_MAX:
            self.change({files[0]: None}, f"DROP USERFILE 'walk-{self.number}-{files[0][1]}'")
            return
        self.next_file += 1
        pieces, size = self.random.randint(1, 20), self.random.randint(1, 1000)
        self.change({("file", self.next_file): pieces * size}, lambda: self.send(self.next_file, [b"u" * size] * pieces))

    def give_up(self):
        """An upload that its client gives up leaves no file."""
        class GivenUp(Exception):
            pass

        def pieces():
            yield b"g" * 1000
            raise GivenUp

        try:
            self.send(0, pieces())
        except GivenUp:
            pass

    def send(self, file, pieces):
        statement = f"COPY USERFILE 'walk-{self.number}-{file}' FROM STDIN WITH (FORMAT binary)"
        with self.session.cursor().copy(statement) as copy:
            copy.set_types(["bytea"])
            for piece in pieces:
                copy.write_row((piece,))

    def imports(self):
        """The next step of one table's life: made, filled by an import, dropped."""
        tables = [(key, rows) for key, rows in self.cells.items() if key[0] == "import"]
        if not tables:
            self.next_table += 1
            key = ("import", self.next_table)
            table = f"import_{self.number}_{key[1]}"
            if self.random.random() < 0.3:
                rows = f"SELECT n - 1 AS item, 'x' AS pad FROM generate_series(1, {IMPORT_ROWS}) AS n"
                self.change({key: IMPORT_ROWS}, f"CREATE TABLE {table} AS {rows}")
            else:
                self.change({key: 0}, f"CREATE TABLE {table} (item INT8, pad STRING)")
            return
        key, rows = tables[0]
        table = f"import_{self.number}_{key[1]}"
        if rows:
            self.change({key: None}, f"DROP TABLE {table}")
        else:
            files, rows = ("big-*.csv", BIG_FILES * BIG_ROWS) if self.takes_big_files else ("small*.csv", IMPORT_ROWS)
            self.change({key: rows}, f"IMPORT INTO {table} CSV DATA ('external://files/{files}')")

    def loads(self):
        """Another staged file, or those that are there loaded: each once, however often that is asked for."""
        staged, loaded = self.cells.get(("staged",), 0), self.cells.get(("loaded",), 0)
        stage, table, of_rows = f"@staged_{self.number}", f"loaded_{self.number}", "FILE_FORMAT = (TYPE = CSV)"
        if staged and self.random.random() < 0.5:
            self.change({("loaded",): staged}, f"COPY INTO {table} FROM {stage} {of_rows}")
        elif staged < STAGED_MAX:
            rows = f"SELECT {staged} AS file, n - 1 AS item FROM generate_series(1, {STAGED_ROWS}) AS n"
            whole = "SINGLE = TRUE USE_RAW_PATH = TRUE OVERWRITE = TRUE"
            self.change({("staged",): staged + 1}, f"COPY INTO {stage}/{staged}.csv FROM ({rows}) {of_rows} {whole}")
        elif loaded:
            self.change({("loaded",): None}, f"TRUNCATE {table}")

    # Backups of the table whose columns change: nobody else changes it.

    @property
    def key(self):
        return "kms = 'external://first'" if self.has_keys else ""

    def backup(self):
        """The next layer of the newest chain, or the first of a new one."""
        layers, columns = self.cells.get(("layers",), ()), self.cells["shape",]
        place, options = collection("backups", self.number), f"WITH {self.key}" if self.key else ""
        is_full = not layers or len(layers) >= LAYERS_MAX
        layers = (columns,) if is_full else (*layers, columns)
        into = f"INTO {'' if is_full else 'LATEST IN '}'{place}'"
        self.change({("layers",): layers}, f"BACKUP TABLE shape_{self.number} {into} {options}")
        if self.random.random() < 0.5:
            self.alter()

    def restore(self):
        """A copy of the table as the newest layer has it, or one less."""
        layers, copy = self.cells.get(("layers",)), f"copies_{self.number}"
        if ("copy",) in self.cells:
            self.change({("copy",): None}, f"DROP TABLE {copy}.shape_{self.number}")
        elif layers:
            options = ", ".join(text for text in (f"into_db = '{copy}'", self.key) if text)
            latest = f"LATEST IN '{collection('backups', self.number)}'"
            self.change({("copy",): layers[-1]}, f"RESTORE TABLE shape_{self.number} FROM {latest} WITH {options}")
        else:
            self.backup()

    def keys(self):
        """Another key opens a chain, or it does no more."""
        if self.has_keys:
            add = self.cells["keys",] == 1
            change = "ADD NEW_KMS = 'external://second' WITH OLD_KMS = 'external://first'" if add else "DROP KMS = 'external://second'"
            latest = f"LATEST IN '{collection('keys', self.number)}'"
            self.change({("keys",): 2 if add else 1}, f"ALTER BACKUP {latest} {change}")

    def schedules(self):
        """A schedule that is due makes one backup; then it is dropped."""
        schedule = self.cells.get(("schedule",))
        if schedule is None:
            self.next_schedule += 1
            place = collection("scheduled", f"{self.number}-{self.next_schedule}")
            self.change({("schedule",): self.next_schedule}, f"""
                CREATE SCHEDULE walk_{self.number} FOR BACKUP TABLE shape_{self.number} INTO '{place}' RECURRING '@yearly'
                FULL BACKUP ALWAYS WITH SCHEDULE OPTIONS first_run = '2000-01-01 00:00:00+00:00'""")
            deadline = time.monotonic() + SCHEDULE_WAIT
            while time.monotonic() < deadline and scheduled(self.session, self.number, self.next_schedule) != (1, 0):
                time.sleep(0.1)
        else:
            found = self.session.execute(f"SELECT id FROM [SHOW SCHEDULES] WHERE label = 'walk_{self.number}'").fetchone()
            self.change({("schedule",): None}, f"DROP SCHEDULE {found[0]}")

    # What the walk says of the server's life.
    takes_big_files, meets_failures = False, False


# How often a client does what.
WEIGHTS = {
    "insert": 30, "copy": 8, "block": 6, "update": 8, "upsert": 5, "delete": 8, "increment": 8, "alter": 6,
    "connection": 5, "imports": 5, "export": 1, "check": 1,
    "upload": 2, "give_up": 1, "loads": 4, "backup": 2, "restore": 2, "keys": 1, "schedules": 1,
}


def scheduled(connection, number, schedule):
    """How many backups a schedule has made, and how many of its jobs run."""
    place = collection("scheduled", f"{number}-{schedule}")
    (made,) = connection.execute(f"SELECT count(*) FROM [SHOW BACKUPS IN '{place}']").fetchone()
    (running,) = connection.execute(
        f"SELECT coalesce(max(jobsrunning), 0) FROM [SHOW SCHEDULES] WHERE label = 'walk_{number}'").fetchone()
    return made, running


def work(server, clients, focus, until_dead):
    """Lets clients work until `until_dead` returns; it ends the server or sees its end."""
    stop, failures = threading.Event(), []

    def run(client):
        try:
            client.run(server, focus, stop)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=[client]) for client in clients]
    for thread in threads:
        thread.start()
    outcome = until_dead()
    stop.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a client hangs although its server is gone"
    if failures:
        raise failures[0]
    return outcome
