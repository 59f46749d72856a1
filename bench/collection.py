"""Collections of many layers, written without the server from docs/format/backup.md: backups are faster made so than by 10,000 statements.

Every layer is a clear one that RESTORE takes: the server's own backup of one small table, under other times and ids.
"""

import datetime
import hashlib
import os
import shutil

from faults import backup

SECOND = 1_000_000


class Collection:
    """A folder that gets layers; all are copies of one that the server has made in `model`."""

    def __init__(self, folder, model):
        found = backup.Collection(model)
        (self.layer,), _ = found.chain()
        self.path, self.manifest = self.layer
        (pack,) = self.manifest["packs"]
        name = f"{self.path}/data/{pack['id']}.pack"
        self.pack, self.content = pack, backup.opened((model / name).read_bytes(), name, None)
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)

    def add_chain(self, end, layers):
        """A full backup that ends at a moment (microseconds), and layers of nothing new on top, one an hour."""
        mark = f"metadata/latest/LATEST-{2**64 - 1 - end:016x}"
        full = f"{time(end):%Y/%m/%d}-{clock(end)}"
        name = f"{full}/data/{self.pack['id']}.pack"
        pack = backup.sealed(self.content, name)
        self.write(name, pack)
        listed = dict(self.pack, salt=pack[8:40].hex())
        below = self.add_layer(full, dict(self.manifest, end=end, packs=[listed]))
        for _ in range(layers - 1):
            start, end = end, end + 3600 * SECOND
            folder = f"incrementals/{full}/{time(end):%Y%m%d}/{clock(end)}-{time(start):%Y%m%d}-{clock(start)}"
            below = self.add_layer(folder, dict(self.manifest, previous=below, start=start, end=end, packs=[], tables=[]))
        self.write(mark, f"/{full}".encode())

    def add_layer(self, folder, manifest):
        """Writes a layer; answers what the next one calls it."""
        name = f"{folder}/BACKUP_MANIFEST"
        identity = os.urandom(16).hex()
        file = backup.sealed_manifest(dict(manifest, id=identity), name)
        self.write(name, file)
        return {"id": identity, "sha256": hashlib.sha256(file).hexdigest()}

    def write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def time(at):
    return datetime.datetime.fromtimestamp(at // SECOND, datetime.UTC)


def clock(at):
    """Hours to hundredths of a second, as in names of folders."""
    return f"{time(at):%H%M%S}.{at % SECOND // 10_000:02}"
