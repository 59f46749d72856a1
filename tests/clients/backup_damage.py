# flags: --insecure
"""Damaged backups: whatever happens to a file of a chain is found and named, and nothing is restored of it."""

import collections
import os
import pathlib
import random
import re
import shutil

import psycopg

from faults.backup import HEADER, Collection, sealed_manifest
from faults.lakeport import refusal

FLIPS = 1000
LAYERS = 3
dice = random.Random(1)
store = pathlib.Path(os.environ["TEST_STORE"])
counts = collections.Counter()


class Victim:
    """A collection whose files are damaged and put back."""

    def __init__(self, connection, name, passphrase):
        self.connection, self.place = connection, f"'nodelocal://1/{name}'"
        self.key = [f"encryption_passphrase = '{passphrase}'"] if passphrase else []
        self.collection = Collection(store / "extern" / name, passphrase)
        keys = f" WITH {self.key[0]}" if self.key else ""
        connection.execute(f"BACKUP DATABASE d INTO {self.place}{keys}")
        if passphrase:
            self.collection.cheapen(self.collection.latest()[0])
        for _ in range(1, LAYERS):
            connection.execute("INSERT INTO d.t SELECT (SELECT max(a) FROM d.t) + n, 'row ' || random()"
                               " FROM generate_series(1, 100) AS n")
            connection.execute(f"BACKUP DATABASE d INTO LATEST IN {self.place}{keys}")
        self.rows = sorted(connection.execute("SELECT * FROM d.t").fetchall())
        self.whole = {name: self.bytes_of(name) for name in sorted(self.collection.files())}
        self.manifests = [name for name in self.whole if name.endswith("BACKUP_MANIFEST")]
        # Oldest first: the name of the full backup has no word before it.
        self.manifests.sort(key=lambda name: (name.startswith("incrementals"), name))
        self.packs = [next(name for name in self.whole if name.startswith(f"{manifest.rpartition('/')[0]}/data/"))
                      for manifest in self.manifests]
        self.infos = [name for name in self.whole if "ENCRYPTION-INFO" in name]

    def bytes_of(self, name):
        return (self.collection.folder / name).read_bytes()

    def write(self, name, content):
        path = self.collection.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def heal(self):
        """Puts back what was damaged, and takes away what was added."""
        for name in self.collection.files() - self.whole.keys():
            (self.collection.folder / name).unlink()
        for name, content in self.whole.items():
            if not (self.collection.folder / name).exists() or self.bytes_of(name) != content:
                self.write(name, content)

    # Statements that look at a chain, from the one that looks least.

    def show(self):
        return f"SHOW BACKUP LATEST IN {self.place} WITH " + ", ".join([*self.key, "check_files"])

    def restore(self, *options, name="never"):
        options = ", ".join([*self.key, f"new_db_name = '{name}'", *options])
        return f"RESTORE DATABASE d FROM LATEST IN {self.place} WITH {options}"

    def verify(self):
        return self.restore("schema_only", "verify_backup_table_data")

    def refused(self, what, named, *statements, states=("XX001",)):
        """Each of the statements fails, and says why of which file."""
        for statement in statements:
            error = refusal(self.connection, statement)
            text = f"{error.diag.message_primary} {error.diag.message_detail}"
            assert error.sqlstate in states, (what, statement, error.sqlstate, text)
            assert any(name in text for name in named), (what, named, statement, text)
        counts[what] += 1

    def is_whole(self):
        """The chain is as it was: the same rows come back."""
        self.connection.execute(self.restore(name="again"))
        assert sorted(self.connection.execute("SELECT * FROM again.t").fetchall()) == self.rows
        self.connection.execute("DROP DATABASE again CASCADE")


def flipped(content, place, bit):
    return content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1:]


def places(victim, name):
    """Where a flipped bit means something."""
    content = victim.whole[name]
    if name in victim.packs:
        # The manifest has the salt of a pack, so nobody needs its header.
        return range(HEADER, len(content))
    return range(len(content))


def is_spelling(content, place, bit):
    """A hex digit of a check that is written large."""
    check = re.search(rb'"check": "([0-9a-f]+)"', content)
    return check and check.start(1) <= place < check.end(1) and bit == 5 and content[place:place + 1].isalpha()


def flip(victim, name):
    """One bit of one file."""
    content = victim.whole[name]
    place, bit = dice.choice(places(victim, name)), dice.randrange(8)
    if name in victim.infos and is_spelling(content, place, bit):
        return flip(victim, name)
    victim.write(name, flipped(content, place, bit))
    if name in victim.packs:
        victim.refused("flipped bits in packs", [name], victim.verify())
    elif name in victim.manifests:
        # The byte of the version makes it a file of another one.
        states = ("0A000",) if place == 4 else ("XX001", "22023")
        victim.refused("flipped bits in manifests", [name], victim.show(), states=states)
    else:
        # Another salt or cost is another passphrase.
        named = ["ENCRYPTION-INFO", "failed to decrypt the key of the backup"]
        victim.refused("flipped bits in wrapped keys", named, victim.show(), states=("XX001", "22023", "0A000"))
    victim.write(name, content)


def every_file(victim):
    """Each file flipped once, cut off, emptied, or gone, against statements that restore."""
    for name in victim.manifests + victim.packs + victim.infos:
        content = victim.whole[name]
        named = ["ENCRYPTION-INFO", "failed to decrypt"] if name in victim.infos else [name]
        is_pack = name in victim.packs
        victim.write(name, flipped(content, len(content) // 2, 0))
        victim.refused("flipped bits", named, victim.restore(), victim.verify(), states=("XX001", "22023"))
        for length in {0, 1, HEADER - 1, HEADER, HEADER + 16, len(content) // 2, len(content) - 1}:
            victim.write(name, content[:length])
            statements = [victim.restore(), victim.verify()] if is_pack else [victim.restore(), victim.show()]
            victim.refused("files cut off", named, *statements, states=("XX001", "22023"))
            if is_pack:
                victim.refused("files cut off", named, victim.show(), states=("58P01",))
        victim.write(name, content + b"x")
        if is_pack:
            victim.refused("files with more at their end", named, victim.show(), states=("58P01",))
        else:
            victim.refused("files with more at their end", named, victim.restore(), victim.show())
        victim.heal()


def below(victim):
    """What lies below a damaged layer comes back, and is all that is shown."""
    connection, manifests = victim.connection, victim.collection.chain()[0]
    options = " WITH " + ", ".join(victim.key) if victim.key else ""
    for index in range(1, LAYERS):
        name, end = victim.manifests[index], manifests[index - 1][1]["end"]
        content, count = victim.whole[name], len(victim.collection.tables(end)["t"])
        for damaged in (flipped(content, 50, 0), flipped(content, len(content) - 1, 0), content[:HEADER], b""):
            victim.write(name, damaged)
            warnings = []
            connection.add_notice_handler(lambda notice: warnings.append(notice.message_primary))
            shown = connection.execute(f"SHOW BACKUP LATEST IN {victim.place}{options}").fetchall()
            assert len({row[6] for row in shown}) == index, shown
            assert any(name in str(warning) for warning in warnings), warnings
            restore = victim.restore(name="earlier").replace(" WITH", f" AS OF SYSTEM TIME '{end * 1000}' WITH")
            connection.execute(restore)
            assert connection.execute("SELECT count(*) FROM earlier.t").fetchone() == (count,)
            connection.execute("DROP DATABASE earlier CASCADE")
            later = victim.restore().replace(" WITH", f" AS OF SYSTEM TIME '{manifests[index][1]['end'] * 1000}' WITH")
            backup = f"BACKUP DATABASE d INTO LATEST IN {victim.place}{options}"
            victim.refused("layers damaged above others", [name], later, backup)
        victim.heal()


def missing(victim):
    full, middle, _ = victim.manifests
    gone = lambda name: (victim.collection.folder / name).unlink()
    gone(full)
    victim.refused("missing files", ["there is no backup in"], victim.show(), victim.restore(), states=("58P01",))
    victim.heal()
    gone(middle)
    victim.refused("missing files", [victim.manifests[2]], victim.show(), victim.restore())
    victim.heal()
    shutil.rmtree((victim.collection.folder / middle).parent)
    victim.refused("layers taken away", [victim.manifests[2]], victim.show(), victim.restore())
    victim.heal()
    for name in victim.packs:
        gone(name)
        victim.refused("missing files", [name], victim.restore(), victim.verify())
        victim.refused("missing files", [name], victim.show(), states=("58P01",))
        victim.heal()
    for name in victim.infos:
        gone(name)
        victim.refused("missing files", [name], victim.show(), victim.restore())
        victim.heal()
    mark = next(name for name in victim.whole if "LATEST-" in name)
    gone(mark)
    none = ["does not contain a completed latest backup"]
    victim.refused("missing files", none, victim.show(), victim.restore(), states=("58P01",))
    victim.heal()


def exchanged(victim, other):
    """Files in each other's places, of the same chain and of another one."""
    for names in (victim.manifests, victim.packs):
        for first, second in ((0, 1), (1, 2), (0, 2)):
            victim.write(names[first], victim.whole[names[second]])
            victim.write(names[second], victim.whole[names[first]])
            victim.refused("files exchanged", [names[first], names[second]], victim.restore(), victim.verify(),
                           states=("XX001", "22023"))
            victim.heal()
            # A file of another layer once more.
            victim.write(names[first], victim.whole[names[second]])
            victim.refused("files replayed", [names[first]], victim.restore(), victim.verify(), states=("XX001", "22023"))
            victim.heal()
    for ours, theirs in zip(victim.manifests + victim.packs + victim.infos, other.manifests + other.packs + other.infos):
        victim.write(ours, other.whole[theirs])
        named = ["ENCRYPTION-INFO", "failed to decrypt"] + victim.manifests if ours in victim.infos else [ours]
        victim.refused("files of another chain", named, victim.restore(), victim.verify(), states=("XX001", "22023"))
        victim.heal()


def sealed_again(victim, other):
    """Manifests that whoever may write to the bucket has sealed for their new place: the links between layers find them."""
    key = victim.collection.chain()[1]
    ours = [manifest for _, manifest in victim.collection.chain()[0]]
    theirs = [manifest for _, manifest in other.collection.chain()[0]]
    names = victim.manifests
    for name, manifest in [(names[1], theirs[1]), (names[2], theirs[2]), (names[0], theirs[0]), (names[2], ours[1]),
                           (names[1], ours[0]), (names[0], ours[1])]:
        victim.write(name, sealed_manifest(manifest, name, key))
        victim.refused("manifests sealed for another place", names, victim.restore(), victim.show())
        victim.heal()
    # The same manifest under another salt: what comes above names the file that was there.
    victim.write(names[0], sealed_manifest(ours[0], names[0], key))
    victim.refused("manifests sealed for another place", names, victim.restore(), victim.show())
    victim.heal()
    # A layer that is there twice.
    twice = re.sub(r"\.(\d\d)-", lambda digits: f".{(int(digits[1]) + 1) % 100:02}-", names[2], count=1)
    twice = names[2].replace(names[2].split("/")[-2], twice.split("/")[-2])
    victim.write(twice, sealed_manifest(ours[2], twice, key))
    victim.refused("manifests sealed for another place", [twice, names[2]], victim.restore(), victim.show())
    victim.heal()


def added(victim):
    """Files that nothing names change nothing."""
    folder = victim.manifests[2].rpartition("/")[0]
    full = victim.manifests[0].rpartition("/")[0]
    for name in ("README", f"{folder}/data/{'0' * 32}.pack", f"{folder}/BACKUP_MANIFEST.old", f"{full}/data/x",
                 f"incrementals/{full}/20200101/010101.01-20200101-010101.00/data/{'1' * 32}.pack",
                 f"incrementals/{full}/notes/more/BACKUP_MANIFEST", "metadata/latest/LATEST-xyz", "metadata/latest/.hidden"):
        victim.write(name, dice.randbytes(100))
        counts["files added"] += 1
    victim.is_whole()
    victim.heal()


with psycopg.connect(autocommit=True) as connection:
    connection.execute("CREATE DATABASE d")
    connection.execute("CREATE TABLE d.t (a INT8 PRIMARY KEY, b STRING)")
    # More than one segment of a pack.
    connection.execute("INSERT INTO d.t SELECT n, random()::STRING || random() FROM generate_series(1, 6000) AS n")
    chains = []
    for name, passphrase in (("clear", None), ("sealed", "a passphrase")):
        victim, other = (Victim(connection, place, passphrase) for place in (name, f"{name}-other"))
        chains.append(victim)
        every_file(victim)
        below(victim)
        missing(victim)
        exchanged(victim, other)
        sealed_again(victim, other)
        added(victim)
    for _ in range(FLIPS):
        victim = dice.choice(chains)
        flip(victim, dice.choice(victim.manifests * 5 + victim.packs + victim.infos * 2))
    for victim in chains:
        victim.is_whole()
    databases = [name for (name,) in connection.execute("SELECT database_name FROM [SHOW DATABASES]").fetchall()]
    assert "never" not in databases, databases
    print("; ".join(f"{what}: {count}" for what, count in sorted(counts.items())))
