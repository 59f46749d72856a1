"""Time, CPU time and memory of a piece of work, and what everybody else's work on the machine was meanwhile."""

import os
import pathlib
import resource
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# From here on the other work decides the time on the wall, and CPU time is what can be compared.
LOADED_CORES = 0.3


@dataclass
class Run:
    """One repetition; of many operations where `timed` was told so, then per operation."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    # Cores that neither the work nor its client kept busy.
    others: float
    answer: object = None


class Process:
    """A server: its CPU time is that of the process and its children, living and ended."""

    def __init__(self, pid):
        self.pid = pid

    def cpu_seconds(self):
        children = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return self.ended_seconds() + sum(self.running_seconds(int(pid)) for pid in [self.pid, *children])

    def ended_seconds(self):
        """Of children that have ended, in whole ticks."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[13:15])) / TICKS_PER_SECOND

    @staticmethod
    def running_seconds(pid):
        """Of all threads of a process, by its CPU clock (clock_getcpuclockid)."""
        try:
            return time.clock_gettime((~pid << 3) | 2)
        except OSError:
            return 0

    def reset_peak(self):
        pathlib.Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def peak_bytes(self):
        return self.status_bytes("VmHWM")

    def resident_bytes(self):
        return self.status_bytes("VmRSS")

    def status_bytes(self, name):
        lines = pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


class ThisProcess(Process):
    """The work is done in this process."""

    def __init__(self):
        super().__init__(os.getpid())

    def cpu_seconds(self):
        return time.process_time()


class Commands(Process):
    """The work is done by commands that this process runs and waits for."""

    def __init__(self):
        super().__init__(os.getpid())

    def cpu_seconds(self):
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    def peak_bytes(self):
        return 0


class CommandsAndServer(Commands):
    """The work is done by commands, and by a server that they ask; the memory is the server's."""

    def __init__(self, server):
        super().__init__()
        self.server = server

    def cpu_seconds(self):
        return super().cpu_seconds() + self.server.cpu_seconds()

    def reset_peak(self):
        self.server.reset_peak()

    def peak_bytes(self):
        return self.server.peak_bytes()


def timed(process, work, times=1, emulator=None):
    """Runs `work`, `times` times, and says what one of them cost `process`. What it costs a process that plays a service
    is nobody's: neither the contender's nor the others'."""
    process.reset_peak()
    beside = [client_seconds] if process.pid != os.getpid() else []
    beside += [emulator.cpu_seconds] if emulator else []
    counted = sum(clock() for clock in beside)
    busy, cpu = machine_seconds(), process.cpu_seconds()
    start = time.perf_counter()
    for _ in range(times):
        answer = work()
    seconds = time.perf_counter() - start
    cpu = process.cpu_seconds() - cpu
    counted = sum(clock() for clock in beside) - counted
    others = max(0, machine_seconds() - busy - cpu - counted) / seconds
    return Run(seconds / times, cpu / times, process.peak_bytes(), others, answer)


def touch_memory(count):
    """Uses this many bytes of memory once. The host of a virtual machine takes memory back that lies free, and whoever uses it next
    waits for it, for seconds per GiB: shortly before work that needs new pages, this takes the wait upon itself."""
    numpy.empty(count, numpy.uint8)[::PAGE_BYTES] = 1


def client_seconds():
    """CPU time of this process and of the commands that it has run."""
    return time.process_time() + Commands().cpu_seconds()


def machine_seconds():
    """CPU time that all cores have spent on anything."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, open("/proc/stat").readline().split()[1:])
    return (user + nice + system + irq + softirq) / TICKS_PER_SECOND


def in_child(function, *arguments, packages=()):
    """Calls a function of a module in a fresh Python process, so that its memory is its own. It imports what is in the
    folders `packages` before what else there is."""
    with ProcessPoolExecutor(1, get_context("spawn"), import_first, packages) as pool:
        return pool.submit(function, *arguments).result()


def import_first(*folders):
    sys.path[:0] = map(str, folders)


def median(runs, name):
    return statistics.median(getattr(run, name) for run in runs)
