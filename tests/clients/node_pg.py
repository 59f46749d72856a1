# flags: --insecure
# needs: node
"""node-postgres: the script node_pg.js, with the package that tests/install puts beside the peers."""

import os
import pathlib
import subprocess

script = pathlib.Path(__file__).with_name("node_pg.js")
modules = pathlib.Path(os.environ["TEST_PEERS"], "node", "node_modules")
result = subprocess.run(["node", script], env={**os.environ, "NODE_PATH": str(modules)}, capture_output=True, text=True, timeout=120)
assert result.returncode == 0, result.stdout + result.stderr
