# flags: --insecure
# peer: azure
# peer: gs
# peer: oss
"""The vendors' own clients are content with what stands in for their storage."""

import os
import pathlib
import subprocess

python = pathlib.Path(os.environ["TEST_PEERS"]) / "clouds/bin/python"
proof = pathlib.Path(__file__).parent.parent / "peers/clouds_proof.py"
subprocess.run([python, proof], check=True)
