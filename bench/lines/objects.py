"""Files into a bucket and out of it again: one of 1 GiB, and 10,000 of 4 KiB. Lakeport does it through a stage: the large file
by `lakeport stage`, the small ones by the COPY beneath that, from 16 psql at a time, for which they lie in COPY's binary
form. s5cmd does it as it comes. Each gets what the other has put, and must get what there was. CPU time is that of all
programs but the bucket's. Then LIST of a stage of 100,000 files, with the memory that the server takes for it."""

import hashlib
import itertools
import math
import shutil
import subprocess

import numpy

from bench import limits
from bench.lakeport import environment
from bench.measure import Commands, CommandsAndServer, timed
from bench.outcome import LAKEPORT, LIMIT, PEER, Check, Contender, Disagreement, Outcome
from bench.tools import empty

KIB, MIB = 1 << 10, 1 << 20
# How many psql put or get small files at a time.
SESSIONS = 16
# What COPY's binary form has before its rows.
COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
# Keys in one answer of an S3 server.
PAGE = 1000


def measure(bench):
    outcome = Outcome()
    make_stage(bench, "objects", bench.bucket.endpoint)
    make_stage(bench, "counted", bench.bucket.proxy.endpoint)
    for files in (OneFile(bench, (100 if bench.small else 1024) * MIB), ManyFiles(bench, 1_000 if bench.small else 10_000)):
        compare(bench, outcome, files)
        requests(bench, outcome, files)
        shutil.rmtree(files.home)
    listing(bench, outcome, 10_000 if bench.small else 100_000)
    return outcome


def make_stage(bench, name, endpoint):
    with bench.lakeport.connect() as connection:
        connection.execute(f"CREATE EXTERNAL CONNECTION {name} AS '{bench.bucket.uri('objects', endpoint)}'")
        connection.execute(f"CREATE STAGE {name} URL = 'external://{name}/'")


class Files:
    """Noise in the files of a folder, and how Lakeport puts them and gets them into another."""

    def __init__(self, bench, name, count, size):
        self.bench, self.count, self.size = bench, count, size
        self.home = bench.scratch / name
        self.source, self.target = self.home / "source", self.home / "target"
        empty(self.source)
        empty(self.target)
        noise = numpy.random.default_rng(18)
        for number in range(count):
            with open(self.source / f"{number}", "wb") as file:
                for done in range(0, size, MIB):
                    file.write(noise.bytes(min(MIB, size - done)))
        self.digest = digest(self.source)
        self.places = (f"{name}-{number}" for number in itertools.count())

    @property
    def bytes(self):
        return self.count * self.size


class OneFile(Files):
    putting, getting = "lakeport stage put FILE @STAGE/", "lakeport stage get @STAGE/FILE FILE; sync -f FOLDER"

    def __init__(self, bench, size):
        super().__init__(bench, "large", 1, size)
        self.title = f"{size // MIB:,} MiB in one file"

    def put(self, place):
        self.lakeport_stage("put", self.source / "0", f"@{place}/")

    def get(self, place):
        self.lakeport_stage("get", f"@{place}/0", self.target / "0")

    def lakeport_stage(self, *arguments):
        server = self.bench.lakeport
        subprocess.run([server.binary, "stage", *arguments, "--url", server.url()], check=True, capture_output=True)

    def unwrap(self):
        """What was got is the file itself."""


class ManyFiles(Files):
    putting = r"\copy @STAGE/FILE FROM FILE WITH (FORMAT binary), for each"
    getting = r"\copy @STAGE/FILE TO FILE WITH (FORMAT binary), for each; sync -f FOLDER"

    def __init__(self, bench, count):
        super().__init__(bench, "small", count, 4 * KIB)
        self.title = f"{count:,} files of 4 KiB"
        self.wrapped = self.home / "wrapped"
        empty(self.wrapped)
        for file in self.source.iterdir():
            content = file.read_bytes()
            row = (1).to_bytes(2) + len(content).to_bytes(4) + content
            (self.wrapped / file.name).write_bytes(COPY_HEAD + row + b"\xff\xff")

    def put(self, place):
        self.copy(lambda number: rf"\copy @{place}/{number} FROM '{self.wrapped}/{number}' WITH (FORMAT binary)")

    def get(self, place):
        self.copy(lambda number: rf"\copy @{place}/{number} TO '{self.target}/{number}' WITH (FORMAT binary)")

    def copy(self, line):
        command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"]
        scripts = [self.home / f"{session}.sql" for session in range(SESSIONS)]
        for session, script in enumerate(scripts):
            script.write_text("".join(f"{line(number)}\n" for number in range(session, self.count, SESSIONS)))
        started = [subprocess.Popen([*command, script], env=environment(self.bench.lakeport)) for script in scripts]
        if any([psql.wait() for psql in started]):
            raise RuntimeError("psql has failed")

    def unwrap(self):
        """Makes of what was got the files themselves."""
        for file in self.target.iterdir():
            file.write_bytes(b"".join(values(file.read_bytes())))


def values(copied):
    """The values of COPY's rows of one column."""
    place = len(COPY_HEAD)
    while copied[place:place + 2] != b"\xff\xff":
        size = int.from_bytes(copied[place + 2:place + 6])
        yield copied[place + 6:place + 6 + size]
        place += 6 + size


def digest(folder):
    """Tells files by their names and contents from any others."""
    total = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        with open(path, "rb") as file:
            total.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def compare(bench, outcome, files):
    bucket, newest = bench.bucket, {}

    def put(name, process, work):
        place = newest[name] = next(files.places)
        return timed(process, lambda: work(place), emulator=bucket.process)

    def got(name, process, work, unwrap=lambda: None):
        def durable():
            work(newest[name])
            subprocess.run(["sync", "-f", files.target], check=True)

        empty(files.target)
        run = timed(process, durable, emulator=bucket.process)
        unwrap()
        if digest(files.target) != files.digest:
            raise Disagreement(f"{files.title}: other files came than there were")
        run.answer = None
        return run

    ours, theirs = CommandsAndServer(bench.lakeport.process), Commands()
    s5cmd_put = lambda place: bucket.fill(files.source, f"objects/{place}")
    s5cmd_get = lambda place: bucket.s5cmd("cp", bucket.url(f"objects/{place}/*"), f"{files.target}/")
    loopback = Contender("loopback", LIMIT, lambda: limits.loopback(files.bytes), "as many bytes over a loopback socket")
    puts = [
        Contender("Lakeport", LAKEPORT, lambda: put("Lakeport", ours, lambda place: files.put(f"objects/{place}")), files.putting),
        Contender("s5cmd", PEER, lambda: put("s5cmd", theirs, s5cmd_put), "s5cmd cp FOLDER/ s3://BUCKET/"),
        loopback,
    ]
    gets = [
        Contender("Lakeport", LAKEPORT, lambda: got("s5cmd", ours, lambda place: files.get(f"objects/{place}"), files.unwrap), files.getting),
        Contender("s5cmd", PEER, lambda: got("Lakeport", theirs, s5cmd_get), "s5cmd cp s3://BUCKET/* FOLDER/; sync -f FOLDER"),
        loopback,
    ]
    for verb, contenders in (("put", puts), ("get", gets)):
        table = outcome.compare(f"{verb} {files.title}", contenders, bench.rounds, 2 * files.bytes)
        outcome.check_rate(table, "s5cmd", 0.7, 1.0)
        outcome.checks.append(Check(f"{table.title}: peak memory", table.lakeport.peak_bytes / MIB, 512, 512, unit="MiB"))


def requests(bench, outcome, files):
    """How many it takes, beside the fewest that do: one for a file, or one for each part and two around them."""
    proxy, place = bench.bucket.proxy, next(files.places)
    for verb, work in (("put", files.put), ("get", files.get)):
        empty(files.target)
        proxy.use()
        work(f"counted/{place}")
        parts = sum("partNumber=" in path for _, path in proxy.requests)
        least = parts + 2 if files.count == 1 and parts else files.count
        made = len(proxy.requests)
        outcome.checks.append(
            Check(f"{verb} {files.title}: requests / fewest", made / least, math.inf, 1.05, beside=f"{made:,} for {least:,}"))


def listing(bench, outcome, count):
    folder = bench.scratch / "listed"
    empty(folder)
    for number in range(count):
        (folder / f"{number:06}").write_bytes(b"x")
    bench.bucket.fill(folder, "objects/listed")
    shutil.rmtree(folder)
    before = bench.lakeport.process.resident_bytes()
    text, url = "LIST @objects/listed/", bench.bucket.url("objects/listed/*")
    table = outcome.compare(f"LIST of {count:,} files", [
        Contender("Lakeport", LAKEPORT, lambda: listed(bench, text), text),
        Contender("s5cmd", PEER, lambda: listed_by_s5cmd(bench, url), "s5cmd ls s3://BUCKET/*"),
    ], bench.rounds)
    outcome.check_rate(table, "s5cmd", 0, 1.0)
    grown = max(0, table.lakeport.peak_bytes - before)
    outcome.checks.append(Check(f"{table.title}: memory added", grown / MIB, 64, 16, unit="MiB"))
    proxy = bench.bucket.proxy
    proxy.use()
    listed(bench, "LIST @counted/listed/")
    made, least = len(proxy.requests), math.ceil(count / PAGE)
    outcome.checks.append(Check(f"{table.title}: requests / fewest", made / least, 1.1, 1.05, beside=f"{made} for {least}"))


def listed(bench, text):
    """Rows are taken as they come; the answer is their number."""
    with bench.lakeport.connect() as connection:
        work = lambda: sum(1 for _ in connection.cursor().stream(text))
        return timed(bench.lakeport.process, work, emulator=bench.bucket.process)


def listed_by_s5cmd(bench, url):
    work = lambda: bench.bucket.s5cmd("ls", url).count("\n")
    return timed(Commands(), work, emulator=bench.bucket.process)
