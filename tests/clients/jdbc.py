# flags: --insecure
# needs: javac /usr/share/java/postgresql.jar
"""The JDBC driver: the program Jdbc.java, run from its source with Debian's driver."""

import os
import pathlib
import subprocess

source = pathlib.Path(__file__).with_name("Jdbc.java")
url = f"jdbc:postgresql://{os.environ['PGHOST']}:{os.environ['PGPORT']}/defaultdb?user=root"
command = ["java", "--class-path", "/usr/share/java/postgresql.jar", source, url]
result = subprocess.run(command, capture_output=True, text=True, timeout=300)
assert result.returncode == 0, result.stdout + result.stderr
