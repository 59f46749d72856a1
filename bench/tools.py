"""Programs that people back up with today, each as it comes, with a passphrase or a key, and durable at the end."""

import os
import re
import shutil
import subprocess

import psycopg

from bench.lakeport import environment
from bench.measure import Commands, CommandsAndServer, timed

SECRET = "correct horse battery staple"


class Tool:
    """A program with a place for its backup, and one to restore it to."""

    program = ""

    def __init__(self, scratch, files):
        self.files = files
        self.home, self.target = scratch / self.program, scratch / f"{self.program}-restored"
        self.environment = dict(os.environ)

    def backed_up(self):
        """A first backup. What is made once for many backups is made before."""
        empty(self.home)
        self.begin()
        return timed(Commands(), lambda: self.durable(self.backup, self.home))

    def added(self):
        """Another backup of files of which some are new."""
        return timed(Commands(), lambda: self.durable(self.backup, self.home))

    def restored(self):
        empty(self.target)
        run = timed(Commands(), lambda: self.durable(self.restore, self.target))
        run.answer = bytes_in(self.target)
        shutil.rmtree(self.target)
        return run

    def begin(self):
        """Makes keys and repositories."""

    def durable(self, work, folder):
        work()
        subprocess.run(["sync", "-f", folder], check=True)

    def run(self, *arguments, **options):
        return subprocess.run([self.program, *arguments], env=self.environment, check=True, capture_output=True, text=True, **options).stdout

    def pipe(self, script, *arguments):
        """Runs a pipeline of bash; all of its programs must succeed."""
        subprocess.run(["bash", "-euo", "pipefail", "-c", script, "bash", *arguments], env=self.environment, check=True)


class Restic(Tool):
    program = "restic"
    backing_up = "restic init; restic backup FILES; sync -f REPOSITORY"
    restoring = "restic restore latest --target FOLDER; sync -f FOLDER"

    def begin(self):
        cache = self.home.with_name("restic-cache")
        self.environment |= {"RESTIC_PASSWORD": SECRET, "RESTIC_REPOSITORY": str(self.home), "RESTIC_CACHE_DIR": str(cache)}
        self.run("init")

    def backup(self):
        self.run("-q", "backup", *self.files)

    def restore(self):
        self.run("-q", "restore", "latest", "--target", self.target)

    def verified(self):
        """Reads and checks all that the repository holds."""
        run = timed(Commands(), lambda: self.run("-q", "check", "--read-data"))
        run.answer = None
        return run


class Borg(Tool):
    program = "borg"
    backing_up = "borg init --encryption repokey-blake2; borg create ::all FILES; sync -f REPOSITORY"
    restoring = "borg extract ::all; sync -f FOLDER"

    def begin(self):
        base = self.home.with_name("borg-base")
        empty(base)
        self.environment |= {"BORG_REPO": str(self.home), "BORG_PASSPHRASE": SECRET, "BORG_BASE_DIR": str(base)}
        self.run("init", "--encryption", "repokey-blake2")

    def backup(self):
        self.run("create", "::all", *self.files)

    def restore(self):
        self.run("extract", "::all", cwd=self.target)


class RcloneCrypt(Tool):
    program = "rclone"
    backing_up = "rclone copy --files-from LIST STORE crypt:; sync -f FOLDER"
    restoring = "rclone copy crypt: FOLDER; sync -f FOLDER"

    def begin(self):
        self.root = os.path.commonpath([os.path.dirname(file) for file in self.files])
        self.list = self.home.with_name("rclone-files")
        self.list.write_text("".join(f"{os.path.relpath(file, self.root)}\n" for file in self.files))
        secret = self.run("obscure", SECRET).strip()
        self.environment |= {"RCLONE_CONFIG": "/dev/null", "RCLONE_CONFIG_SEALED_TYPE": "crypt",
                             "RCLONE_CONFIG_SEALED_REMOTE": str(self.home), "RCLONE_CONFIG_SEALED_PASSWORD": secret}

    def backup(self):
        self.run("copy", "--files-from", self.list, self.root, "sealed:")

    def restore(self):
        self.run("copy", "sealed:", self.target)


class Age(Tool):
    program = "age"
    backing_up = "cat FILES | age --recipient KEY >FILE; sync -f FILE"
    restoring = "age --decrypt --identity KEY FILE >COPY; sync -f COPY"

    def begin(self):
        self.key = self.home / "key"
        subprocess.run(["age-keygen", "-o", self.key], check=True, capture_output=True)
        self.environment["RECIPIENT"] = self.recipient(self.key)
        self.environment |= {"KEY": str(self.key), "SEALED": str(self.home / "sealed"), "COPY": str(self.target / "copy")}

    def recipient(self, key):
        return subprocess.run(["age-keygen", "-y", key], check=True, capture_output=True, text=True).stdout.strip()

    def backup(self):
        self.pipe('cat "$@" | age --recipient "$RECIPIENT" >"$SEALED"', *self.files)

    def restore(self):
        self.pipe('age --decrypt --identity "$KEY" "$SEALED" >"$COPY"')

    def rekeyed(self):
        """The same content for another key: all of it is read and written again."""
        script = 'age --decrypt --identity "$KEY" "$SEALED" | age --recipient "$RECIPIENT" >"$SEALED.new"'
        return timed(Commands(), lambda: self.durable(lambda: self.pipe(script), self.home))


class PgDump(Tool):
    """One table of PostgreSQL, dumped and encrypted."""

    program = "pg_dump"
    backing_up = "pg_dump -Fc -Z1 -t TABLE | openssl enc -aes-256-ctr -pbkdf2 >FILE; sync -f FILE"
    restoring = "openssl enc -d -aes-256-ctr -pbkdf2 <FILE | pg_restore -d DATABASE"

    def __init__(self, scratch, server, table):
        super().__init__(scratch, [])
        self.server, self.table = server, table
        self.environment = dict(environment(server), SECRET=SECRET, SEALED=str(self.home / "sealed"))

    def backed_up(self):
        empty(self.home)
        return timed(CommandsAndServer(self.server.process), lambda: self.durable(self.backup, self.home))

    def restored(self):
        """The rows come into a new database, whose server makes them durable."""
        with self.server.connect() as connection:
            connection.execute("DROP DATABASE IF EXISTS restored")
            connection.execute("CREATE DATABASE restored")
        run = timed(CommandsAndServer(self.server.process), self.restore)
        with psycopg.connect(**self.server.address() | {"dbname": "restored"}) as connection:
            (run.answer,) = connection.execute(f"SELECT count(*) FROM {self.table}").fetchone()
        return run

    def backup(self):
        self.pipe('pg_dump -Fc -Z1 -t "$1" | openssl enc -aes-256-ctr -pbkdf2 -pass env:SECRET >"$SEALED"', self.table)

    def restore(self):
        self.pipe('openssl enc -d -aes-256-ctr -pbkdf2 -pass env:SECRET <"$SEALED" | pg_restore -d restored')


def versions():
    """Of the programs that are there."""
    questions = {"restic": "version", "borg": "--version", "rclone": "version", "age": "--version", "openssl": "version"}
    answers = {program: printed(program, question) for program, question in questions.items() if shutil.which(program)}
    return {program: re.search(r"\d[\w.+-]*", answer)[0] for program, answer in answers.items()}


def printed(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def installed(tools, outcome):
    """The programs that are there; the outcome says which are not."""
    there = [tool for tool in tools if shutil.which(tool.program)]
    outcome.left_out += [f"{tool.program} is not installed" for tool in tools if tool not in there]
    return there


def empty(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def bytes_in(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
