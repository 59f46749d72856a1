# flags: --insecure
# peer: keys
"""The vendors' own clients are content with what stands in for their services."""

import os
import pathlib
import subprocess

python = pathlib.Path(os.environ["TEST_PEERS"]) / "keys/bin/python"
proof = pathlib.Path(__file__).parent.parent / "peers/keys_proof.py"
subprocess.run([python, proof], check=True)
