# flags: --insecure
"""`lakeport userfile`: files up, listed, down, deleted, and used by statements."""

import os
import pathlib
import subprocess
import tempfile

import psycopg

ADDRESS = f"{os.environ['PGHOST']}:{os.environ['PGPORT']}"


def userfile(*arguments, fails=False):
    command = [os.environ["TEST_BINARY"], "userfile", *arguments, "--url", f"postgresql://root@{ADDRESS}/defaultdb"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (result.returncode != 0) == fails, (arguments, result.stdout, result.stderr)
    return result.stderr if fails else result.stdout


with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    (folder / "a.csv").write_text("1,one\n2,two\n")
    (folder / "big.bin").write_bytes(os.urandom(20_000_000))
    userfile("upload", str(folder / "a.csv"), "data/a.csv")
    userfile("upload", str(folder / "big.bin"), "big.bin")
    listing = userfile("list")
    assert "data/a.csv" in listing and "big.bin" in listing, listing
    assert "data/a.csv" in userfile("list", "data/*") and "big.bin" not in userfile("list", "data/*")
    userfile("get", "big.bin", str(folder / "back.bin"))
    assert (folder / "back.bin").read_bytes() == (folder / "big.bin").read_bytes()
    assert "big.bin" in userfile("upload", str(folder / "a.csv"), "big.bin", fails=True)
    assert "changes after normalization" in userfile("upload", str(folder / "a.csv"), "../a.csv", fails=True)
    assert "nope" in userfile("get", "nope", str(folder / "x"), fails=True)

    with psycopg.connect(autocommit=True) as connection:
        connection.execute("CREATE TABLE t (a INT, b STRING)")
        assert connection.execute("IMPORT INTO t CSV DATA ('userfile:///data/a.csv')").fetchone()[3] == 2
        connection.execute("EXPORT INTO CSV 'userfile:///out' FROM TABLE t")
    (exported,) = [line.split()[0] for line in userfile("list", "out/*").splitlines() if ".csv" in line]
    userfile("get", exported, str(folder / "out.csv"))
    assert sorted((folder / "out.csv").read_text().splitlines()) == ["1,one", "2,two"]
    userfile("delete", "data/a.csv")
    assert "data/a.csv" not in userfile("list")
