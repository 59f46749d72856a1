# flags: --insecure
"""`lakeport demo --once`: the tour runs to its end, shows what it does, and leaves nothing behind."""

import os
import subprocess

result = subprocess.run([os.environ["TEST_BINARY"], "demo", "--once"],
                        capture_output=True, text=True, timeout=120)
assert result.returncode == 0, (result.returncode, result.stdout, result.stderr)
for word in ("CREATE EXTERNAL CONNECTION", "SHOW EXTERNAL CONNECTIONS", "movr", "rides", "EXPORT INTO", "IMPORT INTO", "AS OF SYSTEM TIME", "BACKUP DATABASE",
             "RESTORE DATABASE"):
    assert word in result.stdout, f"{word} is not in the tour:\n{result.stdout}"
assert "ERROR" not in result.stdout + result.stderr, result.stdout + result.stderr

unknown = subprocess.run([os.environ["TEST_BINARY"], "start", "--nonsense"], capture_output=True, text=True, timeout=20)
assert unknown.returncode != 0 and "--nonsense" in unknown.stderr
help_text = subprocess.run([os.environ["TEST_BINARY"], "start", "--help"], capture_output=True, text=True, timeout=20).stdout
for flag in ("--store", "--catalog", "--warehouse", "--listen-addr", "--http-addr", "--node-id", "--external-io-dir", "--external-io-disable-http",
             "--external-io-disable-implicit-credentials", "--master-key", "--certs-dir", "--insecure", "--shutdown-grace", "LAKEPORT_STORE"):
    assert flag in help_text, f"{flag} is not in the help"
