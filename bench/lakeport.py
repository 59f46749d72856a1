"""The server that is measured."""

import json
import os
import signal
import subprocess

import psycopg

from bench import lineitem
from bench.measure import Process


class Lakeport:
    """One server on a store of its own. `nodelocal://1/` is the folder `outside`."""

    def __init__(self, binary, store, outside, flags=("--insecure",)):
        self.binary, self.store, self.outside, self.flags = binary, store, outside, flags
        self.child = None

    def start(self):
        self.store.mkdir(parents=True, exist_ok=True)
        command = [self.binary, "start", "--store", self.store, "--external-io-dir", self.outside,
                   "--listen-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", *self.flags]
        with open(self.store.with_suffix(".log"), "a") as log:
            self.child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        ready = next(line for line in self.child.stdout if line.startswith("lakeport: ready"))
        self.port = int(ready.split("pg=")[1].split()[0].rpartition(":")[2])
        self.process = Process(self.child.pid)
        return self

    def stop(self):
        if self.child and self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            self.child.wait()

    def restart(self):
        """Begins anew, without the memory that earlier statements have left to the process."""
        self.stop()
        self.start()

    def password(self):
        file = self.store / "root.password"
        return file.read_text().strip() if file.exists() else ""

    def address(self):
        """What libpq's programs and drivers need to connect."""
        return {"host": "127.0.0.1", "port": str(self.port), "dbname": "defaultdb", "user": "root",
                "password": self.password()}

    def url(self):
        """The same for Lakeport's own client."""
        return "postgresql://{user}:{password}@{host}:{port}/{dbname}".format_map(self.address())

    def connect(self):
        return psycopg.connect(**self.address(), autocommit=True)

    def data_files(self, table):
        """The Parquet files of a table's latest version, from its own log."""
        newest = lambda log: max(path.stat().st_mtime for path in log.iterdir())
        logs = [log for log in self.store.glob("warehouse/*/*/_delta_log") if name_of(log) == table]
        log = max(logs, key=newest)
        live = {}
        for commit in sorted(log.glob("*.json")):
            for action in map(json.loads, commit.read_text().splitlines()):
                live.pop(action.get("remove", {}).get("path"), None)
                if "add" in action:
                    live[action["add"]["path"]] = log.parent / action["add"]["path"]
        return [str(path) for path in live.values()]

    def import_lineitem(self, table, rows):
        """Fills a new table from `lineitem-ROWS.csv`."""
        with self.connect() as connection:
            connection.execute(f"CREATE TABLE {table} ({lineitem.SQL_COLUMNS})")
            return connection.execute(import_statement(table, rows)).fetchone()


def import_statement(table, rows):
    return f"IMPORT INTO {table} CSV DATA ('nodelocal://1/lineitem-{rows}.csv') WITH skip = '1'"


def name_of(log):
    """The table's name as the first commit of a Delta log gives it."""
    actions = map(json.loads, (log / f"{0:020}.json").read_text().splitlines())
    return next(action["metaData"]["name"] for action in actions if "metaData" in action)


def version(binary):
    return subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.strip()


def environment(server):
    """The address of a server for psql and pgbench."""
    names = {"host": "PGHOST", "port": "PGPORT", "dbname": "PGDATABASE", "user": "PGUSER", "password": "PGPASSWORD"}
    return dict(os.environ, **{names[key]: value for key, value in server.address().items()})
