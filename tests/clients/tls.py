# flags: --insecure
"""A server with certificates and passwords: TLS checked to the end, SCRAM, and what is refused without them."""

import os
import pathlib
import signal
import stat
import subprocess
import tempfile

import psycopg


def openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    certs, store = folder / "certs", folder / "store"
    certs.mkdir()
    openssl(certs, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-days", "2",
            "-subj", "/CN=Test CA", "-addext", "basicConstraints=critical,CA:TRUE")
    openssl(certs, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", "node.key", "-out", "node.csr", "-subj", "/CN=localhost")
    (certs / "ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl(certs, "x509", "-req", "-in", "node.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", "node.crt",
            "-days", "2", "-extfile", "ext")
    command = [os.environ["TEST_BINARY"], "start", "--store", store, "--listen-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0",
               "--certs-dir", certs]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = server.stdout.readline()
        while not line.startswith("lakeport: ready"):
            assert line, server.stderr.read()
            line = server.stdout.readline()
        port = int(line.split("pg=")[1].split()[0].rpartition(":")[2])
        password_file = store / "root.password"
        assert stat.S_IMODE(password_file.stat().st_mode) == 0o600
        password = password_file.read_text().strip()
        common = {"host": "localhost", "hostaddr": "127.0.0.1", "port": port, "dbname": "defaultdb", "user": "root"}
        verified = {**common, "sslmode": "verify-full", "sslrootcert": str(certs / "ca.crt")}

        with psycopg.connect(**verified, password=password, autocommit=True, channel_binding="prefer") as connection:
            assert connection.pgconn.ssl_in_use
            connection.execute("CREATE USER ann WITH PASSWORD 'lake'")
            connection.execute("CREATE USER silent")
        with psycopg.connect(**{**verified, "user": "ann"}, password="lake") as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("ann",)

        def refused(code, **options):
            try:
                psycopg.connect(**options)
            except psycopg.OperationalError as error:
                assert code in str(error), (code, str(error))
                return
            raise AssertionError(f"{options} was let in")

        refused("password authentication failed", **verified, password="wrong")
        refused("password authentication failed", **{**verified, "user": "nobody"}, password="x")
        refused("password authentication failed", **{**verified, "user": "silent"}, password="x")
        refused("certificate verify failed", **{**common, "sslmode": "verify-full", "sslrootcert": str(certs / "node.crt")}, password=password)

        # The commands for files take from the environment what psql takes.
        variables = {"PGHOST": "localhost", "PGPORT": str(port), "PGUSER": "root", "PGDATABASE": "defaultdb", "PGPASSWORD": password,
                     "PGSSLMODE": "verify-full", "PGSSLROOTCERT": str(certs / "ca.crt")}

        def put(name, **changes):
            command = [os.environ["TEST_BINARY"], "stage", "put", certs / "ext", f"@~/{name}"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, **variables, **changes})
            return done.returncode, done.stdout + done.stderr

        assert put("a") == (0, "uploaded 1 of 1 file, 42 B\n"), put("a2")
        url = f"postgresql://root:{password}@127.0.0.1:{port}/"
        assert put("b", LAKEPORT_URL=url, PGHOST="nowhere", PGPORT="1", PGPASSWORD="wrong")[0] == 0
        for changes, said in [
            ({"PGPASSWORD": ""}, f"connect to localhost:{port}: the server asks for a password\nHINT: PGPASSWORD"),
            ({"PGPASSWORD": "wrong"}, "(28P01)"),
            ({"PGSSLROOTCERT": ""}, "sslmode verify-full needs the certificate authorities to trust\nHINT: --ca-cert"),
            ({"PGSSLROOTCERT": str(certs / "node.crt")}, "certificate"),
            ({"PGSSLMODE": "maybe"}, "sslmode \"maybe\" is none of"),
            ({"PGPORT": "five"}, "\"five\" is no port"),
            ({"LAKEPORT_URL": f"http://root:{password}@localhost"}, "does not begin with postgresql://"),
        ]:
            code, output = put("c", **changes)
            assert code == 1 and said in output and password not in output, (changes, output)
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=20) == 0
        assert password not in server.stderr.read()
    finally:
        server.kill()

    # Without passwords only on the machine itself.
    result = subprocess.run([os.environ["TEST_BINARY"], "start", "--insecure", "--store", folder / "s", "--listen-addr", "0.0.0.0:0"],
                            capture_output=True, text=True, timeout=20)
    assert result.returncode != 0 and "loopback" in result.stderr, result.stderr
