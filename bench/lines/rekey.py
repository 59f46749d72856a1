"""ALTER BACKUP ADD NEW_KMS and DROP KMS on chains of 1, 48 and 400 layers of a small table, and on a full backup of 1 GiB. age does
what is left to do without wrapped keys: it reads and writes all content again."""

import shutil

from bench import limits, tools
from bench.backups import big, files_of, full, layer, size
from bench.measure import timed
from bench.outcome import LAKEPORT, LIMIT, PEER, Check, Contender, Outcome

# Layers of the chains of a small table; the shortest is what the others are measured by.
LENGTHS = (1, 48, 400)
ROUNDS = 9
MIB = 1 << 20


def measure(bench):
    outcome = Outcome()
    keys = bench.key_service
    chains = {name_of(length): chain(bench, length) for length in LENGTHS}
    full(bench, f"TABLE {', '.join(f'big.{table}' for table in big(bench))}", "rekey-big", keys.option)
    chains[f"{size(files_of(bench, big(bench))) / MIB:,.0f} MiB"] = "rekey-big"
    for title, change in (("ADD NEW_KMS", added), ("DROP KMS", dropped)):
        contenders = [contender(bench, name, folder, change, title) for name, folder in chains.items()]
        contenders.append(Contender("fsync", LIMIT, lambda: limits.synced_writes(bench.scratch / "synced", 20), "write 4 KiB; fdatasync"))
        table = outcome.compare(title, contenders, ROUNDS)
        shortest = table.entry(name_of(LENGTHS[0]))
        for name in list(chains)[1:]:
            outcome.checks.append(Check(f"{title}: time with {name} / with {shortest.name}", table.entry(name).seconds / shortest.seconds, 1.5, 1.2))
    calls(bench, outcome)
    beside_age(bench, outcome)
    for folder in chains.values():
        shutil.rmtree(bench.data / folder)
    return outcome


def name_of(length):
    return f"{length} layer{'s' if length > 1 else ''}"


def chain(bench, length):
    """A chain of a small table in a collection of its own."""
    with bench.lakeport.connect() as connection:
        connection.execute(f"CREATE TABLE rekey_{length} AS SELECT * FROM {bench.lineitem(bench.rows)} LIMIT 10")
    folder, key = f"rekey-{length}", bench.key_service.option
    full(bench, f"TABLE rekey_{length}", folder, key)
    for _ in range(length - 1):
        layer(bench, f"TABLE rekey_{length}", folder, key)
    return folder


def contender(bench, name, folder, change, title):
    role = LAKEPORT if folder == "rekey-1" else PEER
    return Contender(name, role, lambda: change(bench, folder), f"ALTER BACKUP LATEST IN ... {title}")


def added(bench, folder, endpoint=None):
    """A second key; the one of an earlier run is taken away first."""
    for info in (bench.data / folder).glob("*/*/*/ENCRYPTION-INFO-*"):
        info.unlink()
    keys = bench.key_service
    return altered(bench, folder, f"ADD NEW_KMS = '{keys.uri('KMS_OTHER_KEY', endpoint)}' WITH OLD_KMS = '{keys.uri(endpoint=endpoint)}'")


def dropped(bench, folder):
    added(bench, folder)
    return altered(bench, folder, f"DROP KMS = '{bench.key_service.uri('KMS_OTHER_KEY')}'")


def altered(bench, folder, change):
    with bench.lakeport.connect() as connection:
        text = f"ALTER BACKUP LATEST IN 'nodelocal://1/{folder}' {change}"
        run = timed(bench.lakeport.process, lambda: connection.execute(text))
    run.answer = None
    return run


def calls(bench, outcome):
    """What ADD NEW_KMS asks of the key service."""
    proxy = bench.key_service.proxy
    proxy.use()
    added(bench, "rekey-400", proxy.endpoint)
    outcome.checks.append(Check("ADD NEW_KMS: calls of the key service, for one key and a new one", len(proxy.requests), 2, 2, unit=""))


def beside_age(bench, outcome):
    ages = tools.installed([tools.Age(bench.scratch, files_of(bench, big(bench)))], outcome)
    for age in ages:
        age.backed_up()
        contenders = [
            Contender("Lakeport", LAKEPORT, lambda: added(bench, "rekey-big"), "ALTER BACKUP LATEST IN ... ADD NEW_KMS"),
            Contender("age", PEER, age.rekeyed, "age --decrypt --identity KEY FILE | age --recipient OTHER >COPY; sync -f COPY"),
        ]
        table = outcome.compare(f"new key for {size(age.files) / MIB:,.0f} MiB", contenders, bench.rounds)
        outcome.check_rate(table, "age", 1, 10)
        shutil.rmtree(age.home)
