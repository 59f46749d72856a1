# flags: --insecure
"""`lakeport stage` with folders: all that is below them both ways, and what becomes of the others when some fail."""

import os
import pathlib
import subprocess
import tempfile

import psycopg

URL = f"postgresql://{{}}@{os.environ['PGHOST']}:{os.environ['PGPORT']}/defaultdb"
# Of more than one piece and of more than one part, and names that something on the way might read otherwise.
FILES = {"a.csv": b"1,one\n", "deep/er/pieces": os.urandom(3_000_000), "deep/parts": os.urandom(20_000_000), "deep/empty": b"",
         "deep/piece": os.urandom(1 << 20), ".hidden": b"h"}
FILES |= {f"many/{number}": b"%d" % number for number in range(100)}
FILES |= {f"odd/{name}": name.encode() for name in ["it's", "a b", "ü", '"q"', "a,b;(c)", "-dash", "@at", "a%20b", "..c", "$1", "a*?"]}


def stage(*arguments, user="root", cwd=None):
    """Runs it; answers its exit code, the last line of its output and its errors."""
    command = [os.environ["TEST_BINARY"], "stage", *map(str, arguments), "--url", URL.format(user)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=cwd)
    return done.returncode, done.stdout.rpartition("\n")[0], done.stderr


def counted(files):
    """All of so many files, and their sizes with one unit."""
    size, unit = sum(map(len, files.values())), "B"
    for larger in ("KiB", "MiB"):
        if size >= 1024:
            size, unit = size / 1024, larger
    return f"{len(files)} of {len(files)} files, {f'{size:.0f}' if size == int(size) else f'{size:.2f}'} {unit}"


def expect(answer, code, output, *errors):
    assert answer[:2] == (code, output), answer
    assert all(error in answer[2] for error in errors) and bool(errors) == bool(answer[2]), answer


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def contents(folder):
    """All files below a folder, what was left behind too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def listed(connection, place):
    return {row[0]: row[1] for row in connection.execute(f"LIST '{place}'")}


def there_and_back(folder, connection):
    source = write(folder / "source", FILES)
    expect(stage("put", source, "@tree/in/"), 0, f"uploaded {counted(FILES)}")
    assert listed(connection, "@tree") == {f"in/{name}": len(content) for name, content in FILES.items()}
    expect(stage("get", "@tree//in/./", folder / "new/target"), 0, f"downloaded {counted(FILES)}")
    assert contents(folder / "new/target") == FILES
    # Where one is, and under the names that the files have in the stage.
    here = folder / "here"
    here.mkdir()
    expect(stage("get", "@tree", cwd=here), 0, f"downloaded {counted(FILES)}")
    assert contents(here / "in") == FILES
    # Several of both sorts.
    expect(stage("put", source / "a.csv", source / "many", source / "odd/-dash", "@~"), 0, "uploaded 102 of 102 files, 201 B")
    assert {"a.csv", "7", "-dash"} <= listed(connection, "@~").keys()
    several = {"a.csv": FILES["a.csv"]} | {name[4:]: FILES[name] for name in FILES if name.startswith("odd/")}
    expect(stage("get", "@~/a.csv", "@tree/in/odd/", folder / "several"), 0, f"downloaded {counted(several)}")
    assert contents(folder / "several") == several


def some_fail(folder, connection):
    source = write(folder / "some", {"a": b"a", "b": b"b", "c/d": b"d"})
    os.mkfifo(source / "pipe")
    (source / "circle").symlink_to(source)
    (source / "link").symlink_to(source / "a")
    connection.execute("CREATE STAGE partly")
    expect(stage("put", source / "b", "@partly/b"), 0, "uploaded 1 of 1 file, 1 B")
    # An upload does not replace, and what is refused does not keep the others back.
    expect(stage("put", source, "@partly"), 1, "uploaded 3 of 6 files, 3 B",
           "@partly/b already exists (42710)\nHINT: REMOVE it first", f"{source}/pipe: read: it is no file", f"{source}/circle: read: it is no file", "3 of 6 files failed")
    assert listed(connection, "@partly") == {"a": 1, "b": 1, "c/d": 1, "link": 1}
    # A download does not either.
    target = write(folder / "target", {"a": b"mine"})
    (target / "link").symlink_to("nowhere")
    expect(stage("get", "@partly/", target), 1, "downloaded 2 of 4 files, 2 B",
           f"{target}/a: already exists\nHINT: delete it", f"{target}/link: already exists", "2 of 4 files failed")
    assert contents(target) == {"a": b"mine", "b": b"b", "c/d": b"d"}
    # What the disk refuses is named, and nothing half written stays.
    blocked = write(folder / "blocked", {"c": b"a file, where a folder belongs"})
    expect(stage("get", "@partly/", blocked), 1, "downloaded 3 of 4 files, 3 B",
           f"{blocked}/c/d: write: File exists (os error 17)\n", "1 of 4 files failed")
    assert contents(blocked) == {"a": b"a", "b": b"b", "c": b"a file, where a folder belongs", "link": b"a"}


def all_fail(folder, connection):
    write(folder / "one", {"a": b"a"})
    many = write(folder / "many", {f"{number}": b"a" for number in range(40)})
    (folder / "bytes").mkdir()
    open(os.fsencode(folder / "bytes") + b"/\xff", "wb").close()
    (folder / "empty/below").mkdir(parents=True)
    write(folder / "odd", {"a\nb\x1b[1m": b"odd", "crdb_external_storage_location": b"taken"})
    connection.execute("CREATE USER reader; GRANT READ ON STAGE partly TO reader")
    for arguments, user, errors in [
        (("put", folder / "absent", "@partly/"), "root", [f"{folder}/absent: No such file"]),
        (("put", folder / "one", folder / "absent", "@partly/"), "root", [f"{folder}/absent: No such file"]),
        (("put", folder / "one", "@partly/x"), "root", ["write @partly/x/ for a folder"]),
        (("put", folder / "one/a", folder / "one/a", "@partly/x"), "root", ["write @partly/x/ for a folder"]),
        (("put", folder / "one", "partly/"), "root", ["partly/ is no place in a stage"]),
        (("put", folder / "one"), "root", ["Usage"]),
        (("put", folder / "empty", "@partly/"), "root", [f"there is no file in {folder}/empty"]),
        (("put", folder / "one", folder / "empty", "@partly/new/"), "root", [f"there is no file in {folder}/empty"]),
        (("put", folder / "odd", "@partly/"), "root",
         [f"{folder}/odd/a\\nb\\u{{1b}}[1m: [1006] invalid path", "no store takes a name with", "control character",
          "crdb_external_storage_location is no name for a file", "2 of 2 files failed"]),
        (("put", folder / "bytes", "@partly/"), "root", ["has a name that is not UTF-8", "1 of 1 files failed"]),
        (("put", folder / "one", "@nowhere/"), "root", ["lakeport: error: [2501] Stage 'nowhere' does not exist"]),
        (("put", folder / "one", "@partly/../new/"), "root", ["traversal", "1 of 1 files failed"]),
        (("get", "@partly/absent/", folder / "x"), "root", ["there is no file in @partly/absent/"]),
        (("get", "@nowhere/", folder / "x"), "root", ["Stage 'nowhere' does not exist"]),
        (("get", "@partly/../", folder / "x"), "root", ["traversal"]),
        (("get", "@partly/absent", "@partly/gone", folder / "x"), "root", ["@partly/absent does not", "@partly/gone does not", "2 of 2"]),
        (("get", folder / "x", "@partly/"), "root", ["no place in a stage"]),
        (("get", "@partly/", folder / "x"), "nobody", ["nobody"]),
        (("get", "@partly/", folder / "one/a"), "root", [f"{folder}/one/a is a file, and a folder is needed in its place"]),
        (("get", "@partly/a", folder / "one/a/x"), "root", [f"{folder}/one/a is a file, and a folder is needed in its place"]),
    ]:
        code, _, said = stage(*arguments, user=user)
        assert code != 0 and all(error in said for error in errors), (arguments, code, said)
    # What all files fail for is told once, and of none of them.
    for place, user, why in [("@nowhere/", "root", "[2501] Stage 'nowhere' does not exist"), ("@partly/new/", "reader", "[1063] ")]:
        code, output, said = stage("put", many, place, user=user)
        assert code != 0 and output.startswith("uploaded 0 of 40 files"), (code, output)
        assert said.startswith(f"lakeport: error: {why}") and said.count("lakeport: error:") == 1 and str(many) not in said, said
    assert not (folder / "x").exists()
    assert "new/a" not in listed(connection, "@partly")


with tempfile.TemporaryDirectory() as name, psycopg.connect(autocommit=True) as connection:
    connection.execute("CREATE STAGE tree")
    for part in (there_and_back, some_fail, all_fail):
        part(pathlib.Path(name), connection)
