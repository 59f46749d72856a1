# flags: --insecure
"""`lakeport stage`: files put into stages, the user's own too, and fetched."""

import os
import pathlib
import subprocess
import tempfile

import psycopg

ADDRESS = f"{os.environ['PGHOST']}:{os.environ['PGPORT']}"


def stage(*arguments, fails=False):
    command = [os.environ["TEST_BINARY"], "stage", *arguments, "--url", f"postgresql://root@{ADDRESS}/defaultdb"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (result.returncode != 0) == fails, (arguments, result.stdout, result.stderr)
    return result.stderr if fails else result.stdout


with tempfile.TemporaryDirectory() as name, psycopg.connect(autocommit=True) as connection:
    folder = pathlib.Path(name)
    (folder / "a.csv").write_text("1,one\n")
    (folder / "big.bin").write_bytes(os.urandom(20_000_000))
    (folder / "empty").write_bytes(b"")
    connection.execute("CREATE STAGE inbox")
    stage("put", str(folder / "a.csv"), "@inbox")
    stage("put", str(folder / "big.bin"), "@inbox/deep/")
    stage("put", str(folder / "empty"), "@inbox/empty")
    stage("put", str(folder / "a.csv"), "@~/it's mine.csv")
    listed = {row[0]: row[1] for row in connection.execute("LIST @inbox")}
    assert listed == {"a.csv": 6, "deep/big.bin": 20_000_000, "empty": 0}, listed
    assert [row[0] for row in connection.execute("LIST @~")] == ["it's mine.csv"]
    stage("get", "@inbox/deep/big.bin", str(folder / "back.bin"))
    assert (folder / "back.bin").read_bytes() == (folder / "big.bin").read_bytes()
    stage("get", "@~/it's mine.csv", str(folder / "back.csv"))
    assert (folder / "back.csv").read_text() == "1,one\n"

    # What a driver binds would be taken for a column of the files.
    for statement in ("SELECT $1 FROM @inbox/a.csv (FILE_FORMAT => 'csv') WHERE $2 = %s",
                      "INSERT INTO labels SELECT %s FROM @inbox/a.csv (FILE_FORMAT => 'csv')"):
        connection.execute("CREATE TABLE IF NOT EXISTS labels (label STRING)")
        try:
            connection.execute(statement, ("one",))
        except psycopg.errors.UndefinedParameter as error:
            assert "$1 is a column of the files" in str(error), error
        else:
            raise AssertionError(f"not refused: {statement}")

    for arguments, message in [
        (("put", str(folder / "a.csv"), "@inbox/a.csv"), "already exists"),
        (("put", str(folder / "a.csv"), "@inbox/../a.csv"), "traversal"),
        (("put", str(folder / "a.csv"), "@nope/a.csv"), "does not exist"),
        (("get", "@inbox/none", str(folder / "x")), "does not exist"),
        (("get", "@inbox/none/", str(folder / "x")), "there is no file in @inbox/none/"),
        (("get", "inbox/a.csv"), "no place in a stage"),
    ]:
        said = stage(*arguments, fails=True)
        assert message in said, said
    assert not (folder / "x").exists()

    # A file of another size than was announced has changed on the way.
    for content in (b"12", b"1234"):
        try:
            with connection.cursor().copy("COPY '@inbox/sized' FROM STDIN WITH (FORMAT binary, SIZE 3)") as copy:
                copy.write_row([content])
        except psycopg.errors.BadCopyFileFormat as error:
            assert f"3 bytes was announced, and {len(content)} have come" in str(error), error
        else:
            raise AssertionError(f"not refused: {content}")
    assert connection.execute("LIST @inbox/sized").fetchall() == []

    # OR REPLACE and DROP take the files with them.
    connection.execute("CREATE OR REPLACE STAGE inbox")
    assert connection.execute("LIST @inbox").fetchall() == []
    stage("put", str(folder / "a.csv"), "@inbox")
    connection.execute("DROP STAGE inbox")
    connection.execute("REMOVE @~")
    assert connection.execute("LIST @~").fetchall() == []
