"""Makes the first inputs of a fuzz target from the repository's own statements and samples, and a dictionary of its words.

Usage: seeds.py TARGET FOLDER writes FOLDER/seed-* and FOLDER.dict
"""

import hashlib
import re
import struct
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Words of the seeds that are worth trying elsewhere.
WORD = re.compile(rb"[A-Za-z_][A-Za-z0-9_]{1,30}|[^\sA-Za-z0-9_]{1,3}")
DICTIONARY_WORDS = 1500


def statements():
    """The SQL of every test story and every page of the manual."""
    record = re.compile(r"^(?:statement|query) .*\n((?:.+\n)+?)(?=----|\n|\Z)", re.MULTILINE)
    for story in sorted(ROOT.glob("tests/slt/**/*.slt")):
        for match in record.finditer(story.read_text()):
            yield match[1].strip()
    block = re.compile(r"^```sql.*\n(.*?)^```", re.MULTILINE | re.DOTALL)
    for page in sorted(ROOT.glob("docs/**/*.md")):
        for match in block.finditer(page.read_text()):
            yield match[1].strip()
            yield from (part.strip() for part in match[1].split(";\n"))


def uris():
    """Every URI in tests and manual, and an option list of each dialect."""
    uri = re.compile(r"[a-z0-9-]+://[^\s'\"`)]*")
    files = [*ROOT.glob("tests/slt/**/*.slt"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("crates/connect/src/**/*.rs")]
    for file in sorted(files):
        yield from uri.findall(file.read_text())
    yield "STORAGE_TYPE = 's3' access_key_id = 'k' secret_access_key = 'it''s' enable_virtual_host_style = 'true'"
    yield "TO AWS (ACCESS KEY ID = 'k', SECRET ACCESS KEY = 's', REGION = 'eu-west-1', ENDPOINT = 'http://h:9000')"


def message(tag, *fields):
    body = b"".join(fields)
    return tag + struct.pack(">i", len(body) + 4) + body


def text(value):
    return value.encode() + b"\0"


def value(data):
    return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data


def bind(types, format_code, values):
    """Parse with these parameter types, then Bind, Describe, Execute and Sync."""
    count = struct.pack(">h", len(values))
    yield message(b"P", text(""), text("SELECT $1"), struct.pack(f">h{len(types)}I", len(types), *types))
    formats = struct.pack(">hh", 1, format_code)
    yield message(b"B", text(""), text(""), formats, count, *map(value, values), struct.pack(">hh", 1, 1))
    yield message(b"D", b"P", text("")) + message(b"E", text(""), struct.pack(">i", 5)) + message(b"S")


def clients():
    """What clients send from their first byte on."""
    parameters = "user\0ann\0database\0defaultdb\0options\0-c a=1 --b=2\0application_name\0x\0\0"
    body = struct.pack(">I", 3 << 16) + parameters.encode()
    start = struct.pack(">i", len(body) + 4) + body
    yield struct.pack(">iI", 8, 80877103) + start
    yield struct.pack(">iIII", 16, 80877102, 1, 2)
    for statement in list(statements())[:40]:
        yield start + message(b"Q", text(statement))
    integers, numeric = [struct.pack(">q", 7), None], struct.pack(">4h2h", 2, 0, 0, 2, 12, 3400)
    array = struct.pack(">iiIii", 1, 0, 20, 1, 1) + value(struct.pack(">q", 9))
    for types, format_code, values in [
        ([20, 20], 1, integers),
        ([1700], 1, [numeric]),
        ([1016], 1, [array]),
        ([1082, 1114, 1184], 1, [struct.pack(">i", 9000), struct.pack(">q", 10**14), struct.pack(">q", -(10**14))]),
        ([2950, 3802, 17], 1, [bytes(16), b"\x01{}", b"\xff"]),
        ([16, 700, 701], 1, [b"\x01", struct.pack(">f", 1.5), struct.pack(">d", 0.1)]),
        ([], 0, [b"2024-01-02 03:04:05.6+02", b"1e3", b"{1,NULL}", b'{"a": 1}', b"\\x00ff", b"t"]),
    ]:
        yield start + b"".join(bind(types, format_code, values))
    yield start + message(b"d", b"1\tx\n") + message(b"c") + message(b"f", text("no")) + message(b"X")


def copies():
    """Options, types and data of copies, as the target takes them."""
    rows = [
        (b"\x03", b"7\n-1\n\\N\n"),
        (b"\x02\x09", b"1\ta\\tb\\\\\\x41\\101\r\n\\N\t\\N\n2\t\n3\tlast"),
        (b"\x0c\x0d\x0e", b"2024-01-02\t0044-03-15 12:30:00 BC\tJan 2, 2024 1:02:03.4 PM Europe/Berlin\n"),
        (b"\x04\x05\x06\x07", b"1.5\t-Infinity\t12345678901234567890.5\t99.99\n"),
        (b"\x00\x0b\x0f\x10", b't\t\\\\x00ff\t0e8e7f2c-4a6d-4b1e-9c3f-2a7d5b8e1f60\t{"a": [1, null]}\n'),
        (b"\x12\x13\x14\x15", b'{1,NULL}\t{1.5}\t{a,"b c"}\t{"2024-01-02 03:04:05+02"}\n'),
    ]
    for types, data in rows:
        for head, mark in [(b"\0\t\x01\"\"", b"\t"), (b"\x05,\0\"\"", b","), (b"\x01;\x02\"\\", b";")]:
            yield head + bytes([len(types)]) + types + data.replace(b"\t", mark)
    yield b"\x01,\0\"\"\x02\x02\x09" + b'1,"a ""b"",\nc"\n,\n2,""\n3,x"y,"z\n\\.\n'
    signature = b"PGCOPY\n\xff\r\n\0" + bytes(8)
    row = struct.pack(">h", 2) + value(struct.pack(">i", 7)) + value(b"ab")
    yield b"\x02\0\0\0\0\x02\x02\x09" + signature + row + struct.pack(">h", -1)
    yield b"\x02\0\0\0\0\x01\x12" + signature + struct.pack(">h", 1) + value(struct.pack(">iiI", 0, 0, 20))


def stored():
    """The frozen samples of everything that is stored."""
    samples = sorted(ROOT.glob("crates/catalog/src/samples/*")) + sorted(ROOT.glob("crates/core/tests/payloads/*"))
    yield from (sample.read_bytes() for sample in samples)
    payloads = ROOT / "crates/core/tests/payloads"
    yield (payloads / "import_1.json").read_bytes() + (payloads / "import_secrets_1.json").read_bytes()
    yield from ["decimal(10,2)[]", "timestamp(3) with time zone", "SCRAM-SHA-256$4096:c2FsdA==$AAAA:AAAA"]


TARGETS = {"statement": statements, "uri": uris, "client": clients, "copy": copies, "stored": stored}


def main(target, folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    words = Counter()
    for seed in TARGETS[target]():
        seed = seed.encode() if isinstance(seed, str) else seed
        words.update(set(WORD.findall(seed)))
        (folder / f"seed-{hashlib.sha256(seed).hexdigest()[:16]}").write_bytes(seed)
    lines = ('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word, _ in words.most_common(DICTIONARY_WORDS))
    folder.with_suffix(".dict").write_text("".join(lines))


if __name__ == "__main__":
    main(*sys.argv[1:])
