"""What lines share: sizes, folders, the servers, and the tables in them."""

import shutil
from functools import cache, cached_property

from bench import lineitem
from bench.emulators import Bucket, KeyService
from bench.lakeport import Lakeport
from bench.postgres import Postgres


class Workbench:
    def __init__(self, folder, binary, small):
        self.folder, self.binary, self.small = folder, binary, small
        # Three sizes, each ten times the one before.
        self.sizes = [lineitem.ROWS_FULL // step for step in ((1000, 100, 10) if small else (100, 10, 1))]
        self.rounds = 3
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(parents=True)

    @property
    def rows(self):
        return self.sizes[-1]

    @property
    def data(self):
        """Files that are kept for the next run; the server sees them as nodelocal://1/."""
        return self.folder / "data"

    @property
    def scratch(self):
        """Files of this run: stores and what engines write."""
        return self.folder / "scratch"

    def csv(self, rows):
        return lineitem.csv_file(self.data, rows)

    @cached_property
    def lakeport(self):
        return self.new_lakeport("store")

    def new_lakeport(self, name, store=None, **options):
        self.data.mkdir(parents=True, exist_ok=True)
        return Lakeport(self.binary, store or self.scratch / name, self.data, **options).start()

    @cached_property
    def postgres(self):
        return Postgres()

    @cached_property
    def key_service(self):
        return KeyService()

    @cached_property
    def bucket(self):
        return Bucket()

    @cache
    def lineitem(self, rows):
        """The name of a table of so many rows in Lakeport."""
        self.csv(rows)
        self.lakeport.import_lineitem(f"lineitem_{rows}", rows)
        return f"lineitem_{rows}"

    @cache
    def postgres_lineitem(self, rows):
        """The same table in PostgreSQL, unlogged: it is only read."""
        with self.postgres.connect() as connection, open(self.csv(rows), "rb") as file:
            connection.execute(f"CREATE UNLOGGED TABLE lineitem_{rows} ({lineitem.POSTGRES_COLUMNS})")
            with connection.cursor().copy(f"COPY lineitem_{rows} FROM STDIN WITH (FORMAT csv, HEADER)") as copy:
                while block := file.read(1 << 20):
                    copy.write(block)
            connection.execute(f"VACUUM ANALYZE lineitem_{rows}")
        return f"lineitem_{rows}"

    def close(self):
        started = vars(self)
        if "lakeport" in started:
            self.lakeport.stop()
        if "postgres" in started:
            self.postgres.remove()
        for emulator in ("key_service", "bucket"):
            if emulator in started:
                started[emulator].stop()
        shutil.rmtree(self.scratch)
