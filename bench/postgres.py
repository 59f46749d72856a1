"""PostgreSQL as Debian packages it, on a scratch cluster: the peer of what goes over the wire."""

import os
import pathlib
import secrets
import shutil
import socket
import subprocess
import tempfile

import psycopg

from bench.measure import Process

PROGRAMS = pathlib.Path("/usr/lib/postgresql/15/bin")
# Durable as it comes; memory as its manual advises for such a machine.
SETTINGS = {"shared_buffers": "1GB", "max_wal_size": "4GB", "max_connections": "1100", "listen_addresses": "127.0.0.1"}


class Postgres:
    """One cluster, started at once. It may not run as root, who lends it the user that its package makes."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lakeport-bench-postgres-", dir="/var/tmp"))
        self.secret = secrets.token_hex(16)
        (self.folder / "password").write_text(self.secret)
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres")
            shutil.chown(self.folder / "password", "postgres")
        self.program("initdb", "--pgdata", self.data, "--username", "root", "--auth", "scram-sha-256",
                     "--pwfile", self.folder / "password", "--encoding", "UTF8", "--no-locale")
        self.port = free_port()
        self.start()

    @property
    def data(self):
        return self.folder / "data"

    def program(self, name, *arguments):
        lent = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        subprocess.run([*lent, PROGRAMS / name, *arguments], check=True, cwd="/", stdout=subprocess.DEVNULL)

    def start(self):
        settings = dict(SETTINGS, port=self.port, unix_socket_directories=self.folder)
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self.program("pg_ctl", "start", "--wait", "--pgdata", self.data, "--log", self.folder / "log", "--options", options)
        self.process = Process(int((self.data / "postmaster.pid").read_text().split()[0]))

    def stop(self):
        self.program("pg_ctl", "stop", "--wait", "--pgdata", self.data, "--mode", "fast")

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder)

    def address(self):
        return {"host": "127.0.0.1", "port": str(self.port), "dbname": "postgres", "user": "root", "password": self.secret}

    def connect(self):
        return psycopg.connect(**self.address(), autocommit=True)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def version():
    printed = subprocess.run([PROGRAMS / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return printed.split()[2]
