"""Files into a bucket and out of it again: one of 1 GiB, and 10,000 of 4 KiB. Lakeport does it through a stage, by `lakeport
stage`; s5cmd does it as it comes. Each gets what the other has put, and must get what there was. CPU time is that of all
programs but the bucket's. Then LIST of a stage of 100,000 files, with the memory that the server takes for it."""

import hashlib
import itertools
import math
import shutil
import subprocess

import numpy

from bench import limits
from bench.measure import Commands, CommandsAndServer, timed
from bench.outcome import LAKEPORT, LIMIT, PEER, Check, Contender, Disagreement, Outcome
from bench.tools import empty

KIB, MIB = 1 << 10, 1 << 20
# Keys in one answer of an S3 server.
PAGE = 1000


def measure(bench):
    outcome = Outcome()
    make_stage(bench, "objects", bench.bucket.endpoint)
    make_stage(bench, "counted", bench.bucket.proxy.endpoint)
    size, count = (100, 1_000) if bench.small else (1024, 10_000)
    for files in (Files(bench, "large", f"{size:,} MiB in one file", 1, size * MIB),
                  Files(bench, "small", f"{count:,} files of 4 KiB", count, 4 * KIB)):
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

    putting, getting = "lakeport stage put FOLDER @STAGE/", "lakeport stage get @STAGE/[FILE] FOLDER; sync -f FOLDER"

    def __init__(self, bench, name, title, count, size):
        self.bench, self.title, self.count, self.size = bench, title, count, size
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

    def put(self, place):
        self.lakeport_stage("put", self.source, f"@{place}/")

    def get(self, place):
        # Nobody who knows its name lists a folder for one file.
        name = "0" if self.count == 1 else ""
        self.lakeport_stage("get", f"@{place}/{name}", self.target)

    def lakeport_stage(self, *arguments):
        server = self.bench.lakeport
        subprocess.run([server.binary, "stage", *arguments, "--url", server.url()], check=True, capture_output=True)


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

    def got(name, process, work):
        def durable():
            work(newest[name])
            subprocess.run(["sync", "-f", files.target], check=True)

        empty(files.target)
        run = timed(process, durable, emulator=bucket.process)
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
        Contender("Lakeport", LAKEPORT, lambda: got("s5cmd", ours, lambda place: files.get(f"objects/{place}")), files.getting),
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
