"""A server of a test's own, on a store that outlives its kills."""

import os
import pathlib
import re
import selectors
import subprocess
import time

import psycopg

READY = re.compile(r"lakeport: ready pg=127\.0\.0\.1:(\d+) http=127\.0\.0\.1:(\d+)")


class Lakeport:
    """One store and the process that serves it, if there is one."""

    def __init__(self, store, binary=None, flags=(), folder=None):
        self.store = pathlib.Path(store)
        self.binary, self.flags = binary or os.environ["TEST_BINARY"], list(flags)
        self.log = pathlib.Path(folder or store).with_name(self.store.name + ".log")
        self.process, self.port = None, None

    def spawn(self, fault=None):
        """Starts the process and waits for nothing."""
        command = [self.binary, "start", "--insecure", "--store", str(self.store), *self.flags]
        command += ["--listen-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--shutdown-grace", "2s"]
        environment = {"PATH": os.environ.get("PATH", "")} | ({"LAKEPORT_FAULT": fault} if fault else {})
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, env=environment, text=True, stdin=subprocess.DEVNULL)

    def start(self, fault=None, seconds=60):
        """Starts the server; false when it ended before it was ready, as a fault may have it."""
        self.spawn(fault)
        ready = READY.match(self.first_line(seconds))
        if ready is None:
            self.kill()
            return False
        self.port = int(ready[1])
        return True

    def first_line(self, seconds):
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(seconds):
                raise AssertionError(f"the server is not ready after {seconds} s; its log is {self.log}")
        return self.process.stdout.readline()

    def must_start(self, fault=None):
        assert self.start(fault), f"the server does not start: {self.last_words()}"

    def connect(self, **options):
        options = {"autocommit": True, "connect_timeout": 20} | options
        return psycopg.connect(host="127.0.0.1", port=self.port, user="root", dbname="defaultdb", **options)

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def ends_within(self, seconds):
        """Waits for a fault to end the process; false when none does."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self):
        """SIGKILL; answers whether the process was still there."""
        was_running = self.is_running()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        return was_running

    def stop(self):
        self.process.terminate()
        code = self.process.wait(30)
        self.process.stdout.close()
        assert code == 0, f"the server stopped with {code}: {self.last_words()}"

    def last_words(self):
        return self.log.read_text(errors="replace")[-2000:]

    @property
    def extern(self):
        """The folder behind nodelocal://1/."""
        return self.store / "extern"


def fault_points(binary):
    """The points that the server knows, from its refusal of one that it does not."""
    command = [binary, "start", "--insecure", "--fault", "?:kill"]
    refusal = subprocess.run(command, capture_output=True, text=True).stderr
    return refusal.strip().split("; known are ")[1].split(", ")


def until(what, check, seconds=60):
    """Waits for something to become true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = check()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"never: {what}")


def refusal(connection, statement, *parameters):
    """The error of a statement that must fail."""
    try:
        connection.execute(statement, *parameters)
    except psycopg.Error as error:
        return error
    raise AssertionError(f"not refused: {statement}")
