"""What the machine can do at best: the disk, a compressor, a loopback socket."""

import os
import shutil
import socket
import subprocess
import threading
import time

from bench.engines import sync
from bench.measure import Commands, ThisProcess, timed

BLOCK_BYTES = 1 << 20


def compressed(source, target):
    """zstd on all cores from file to durable file."""

    def work():
        subprocess.run(["zstd", "-q", "-3", "-T0", "-f", source, "-o", target], check=True)
        sync(target)

    return timed(Commands(), work)


def copied(sources, target):
    """Files read and written again, durable."""

    def work():
        with open(target, "wb") as out:
            for source in sources:
                with open(source, "rb") as read:
                    shutil.copyfileobj(read, out, BLOCK_BYTES)
        sync(target)

    return timed(ThisProcess(), work)


def read(sources):
    """Files read once."""

    def work():
        for source in sources:
            with open(source, "rb", buffering=0) as file:
                while file.read(BLOCK_BYTES):
                    pass

    return timed(ThisProcess(), work)


def synced_writes(path, count):
    """Appends of one page, each made durable."""
    page = bytes(4096)
    with open(path, "wb", buffering=0) as file:

        def write():
            file.write(page)
            os.fdatasync(file.fileno())

        return timed(ThisProcess(), write, count)


def process():
    """The start and end of a program that does nothing."""
    return timed(Commands(), lambda: subprocess.run(["true"], check=True).stdout)


def loopback(total_bytes):
    """Bytes from one thread to another over a loopback connection."""

    def send(listener):
        connection, _ = listener.accept()
        with connection:
            block = bytes(BLOCK_BYTES)
            for _ in range(total_bytes // BLOCK_BYTES):
                connection.sendall(block)

    def work():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            sender = threading.Thread(target=send, args=(listener,))
            sender.start()
            with socket.create_connection(listener.getsockname()) as connection:
                block = bytearray(BLOCK_BYTES)
                while connection.recv_into(block):
                    pass
            sender.join()

    return timed(ThisProcess(), work)


def ping_pong(seconds, sent_bytes=30, answered_bytes=70):
    """Questions and answers of the size of `SELECT 1` over a loopback connection, one at a time."""

    def answer(listener):
        connection, _ = listener.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while connection.recv(sent_bytes):
                connection.sendall(bytes(answered_bytes))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer, args=(listener,), daemon=True).start()
        with socket.create_connection(listener.getsockname()) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def ask():
                connection.sendall(bytes(sent_bytes))
                connection.recv(answered_bytes)

            start = time.perf_counter()
            ask()
            once = time.perf_counter() - start
            return timed(ThisProcess(), ask, max(100, int(seconds / max(once, 1e-5))))
