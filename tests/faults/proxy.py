"""An HTTP proxy before a storage server that loses, delays and refuses what it is told to."""

import asyncio
import collections
import dataclasses
import json
import random
import threading
import urllib.parse

# What S3 calls its answers when no rule says it.
CODES = {400: "InvalidRequest", 401: "Unauthorized", 403: "AccessDenied", 404: "NoSuchKey", 429: "TooManyRequests",
         500: "InternalError", 503: "SlowDown"}


@dataclasses.dataclass
class Rule:
    """What happens to requests of a method whose path and head hold a text, but for the first `after` of them.

    refuse   answers with status `value`, and the server never sees the request
    lose     the server does what is asked; its answer is lost and the connection ends
    cut      the connection ends after `value` bytes of the answer's body
    slow     the answer's body comes at `value` bytes a second
    stall    nothing comes after `value` bytes of the answer's body, and the connection stays
    delay    the request waits for `value` seconds
    silent   the request is taken and nothing ever comes back, as from a machine that has vanished
    deaf     the head of the request is taken, nothing of its body is, and nothing ever comes back
    """

    action: str
    value: float = 0
    method: str = ""
    path: str = ""
    head: str = ""
    rate: float = 1.0
    times: int | None = None
    after: int = 0
    code: str = ""
    done: int = 0

    def takes(self, request, dice):
        fits = self.method in ("", request.method) and self.path in request.path and self.head in request.head.decode()
        if not fits or self.times == self.done or dice.random() >= self.rate:
            return False
        if self.after:
            self.after -= 1
            return False
        self.done += 1
        return True


@dataclasses.dataclass
class Message:
    """One request or answer as it came."""

    head: bytes
    body: bytes

    @property
    def method(self):
        return self.head.split(b" ", 1)[0].decode()

    @property
    def path(self):
        return urllib.parse.unquote(self.head.split(b" ", 2)[1].decode())

    def header(self, name):
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.strip().lower() == name:
                return value.strip().lower()
        return b""


class FaultProxy:
    """Listens on a port of its own in a thread of its own; `rules` may be changed at any time."""

    def __init__(self, endpoint, seed=1):
        target = urllib.parse.urlsplit(endpoint)
        self.target = target.hostname, target.port
        self.rules, self.requests, self.dice = [], [], random.Random(seed)
        # Of answers' bodies, since the last `use`.
        self.answered_bytes = 0
        self.loop, self.ready = asyncio.new_event_loop(), threading.Event()
        threading.Thread(target=self.run, daemon=True).start()
        self.ready.wait(10)
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def run(self):
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(asyncio.start_server(self.serve, "127.0.0.1", 0, limit=1 << 20))
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        self.loop.run_forever()

    def use(self, *rules):
        """Takes other rules and forgets what was asked so far."""
        self.rules, self.requests, self.answered_bytes = list(rules), [], 0

    def counts(self):
        """How many requests each method made."""
        return collections.Counter(method for method, _ in self.requests)

    async def serve(self, reader, writer):
        try:
            while (request := await receive_head(reader)) is not None:
                self.requests.append((request.method, request.path))
                rule = next((rule for rule in self.rules if rule.takes(request, self.dice)), None)
                if rule and rule.action == "deaf":
                    await asyncio.sleep(3600)
                request.body = await receive_body(request, reader)
                if not await self.answer(request, rule, writer):
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def answer(self, request, rule, writer):
        """Answers one request; false when the connection ends with it."""
        action, value = (rule.action, rule.value) if rule else ("", 0)
        if action == "silent":
            await asyncio.sleep(3600)
        if action == "delay":
            await asyncio.sleep(value)
        if action == "refuse":
            writer.write(refusal(int(value), request.method, rule.code))
            await writer.drain()
            return True
        answer = await self.forward(request)
        self.answered_bytes += len(answer.body)
        if action == "lose":
            return False
        writer.write(answer.head)
        if action == "slow":
            for start in range(len(answer.body)):
                writer.write(answer.body[start:start + 1])
                await writer.drain()
                await asyncio.sleep(1 / value)
            return True
        cut = action in ("cut", "stall") and len(answer.body) > value
        writer.write(answer.body[:int(value)] if cut else answer.body)
        await writer.drain()
        if cut and action == "stall":
            await asyncio.sleep(3600)
        return not cut

    async def forward(self, request):
        reader, writer = await asyncio.open_connection(*self.target, limit=1 << 20)
        try:
            writer.write(request.head + request.body)
            await writer.drain()
            answer = await receive_head(reader)
            if answer is None:
                raise ConnectionResetError("the server has ended the connection")
            if request.method != "HEAD":
                answer.body = await receive_body(answer, reader)
            return answer
        finally:
            writer.close()


async def receive_head(reader):
    """The next message of a connection without its body; None when it has ended."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    return Message(head, b"")


async def receive_body(message, reader):
    if message.header(b"transfer-encoding") == b"chunked":
        return await chunks(reader)
    return await reader.readexactly(int(message.header(b"content-length") or 0))


async def chunks(reader):
    """A chunked body, as it came."""
    body = b""
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        body += line + await reader.readexactly(size + 2)
        if size == 0:
            return body


def refusal(status, method, code):
    """An answer as S3 puts it, or as a key service does with what it calls exceptions."""
    code = code or CODES[status]
    if code.endswith("Exception"):
        kind, body = "application/x-amz-json-1.1", json.dumps({"__type": code, "message": "refused by the test"}).encode()
    else:
        kind, body = "application/xml", f"<Error><Code>{code}</Code><Message>refused by the test</Message></Error>".encode()
    shown = b"" if method == "HEAD" else body
    head = f"HTTP/1.1 {status} {code}\r\nContent-Type: {kind}\r\nContent-Length: {len(shown)}\r\n\r\n"
    return head.encode() + shown
