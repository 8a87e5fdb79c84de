"""A real Postgres for tests: a throw-away cluster in a folder of its own, on a free port, stopped at the end."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

USER = "throughline"
PASSWORD = "p@ss word/1"  # with signs that a URL has to escape


@dataclass(frozen=True)
class Postgres:
    """A running server; `url` is for SQLAlchemy."""

    port: int

    def url(self, password: str = PASSWORD, database: str = "postgres") -> str:
        from sqlalchemy import URL

        made = URL.create(
            "postgresql+psycopg2",
            username=USER,
            password=password,
            host="127.0.0.1",
            port=self.port,
            database=database,
        )
        return made.render_as_string(hide_password=False)


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    # Not under pytest's folder: that is closed to the user the server runs as.
    folder = Path(tempfile.mkdtemp(prefix="throughline-postgres-"))
    try:
        yield from _served(folder)
    finally:
        shutil.rmtree(folder)


def _served(folder: Path) -> Iterator[Postgres]:
    if os.geteuid() == 0:  # Postgres refuses to run as root
        shutil.chown(folder, _servant(), _servant_group())
    secret = folder / "secret"
    secret.write_text(PASSWORD, encoding="utf-8")
    secret.chmod(0o644)
    data = folder / "data"
    _run(folder, "initdb", "-D", data, "-U", USER, "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "-N")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off -c timezone=UTC"
    # `-w` waits until it accepts connections, or fails.
    _run(folder, "pg_ctl", "-D", data, "-w", "-t", "60", "-l", folder / "log", "-o", options, "start")
    try:
        yield Postgres(port)
    finally:
        _run(folder, "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")


def _run(folder: Path, program: str, *arguments: str | Path) -> None:
    command = [_binary(program), *map(str, arguments)]
    if os.geteuid() == 0:
        ids = (f"--reuid={_servant()}", f"--regid={_servant_group()}", "--clear-groups")
        command = ["setpriv", *ids, *command]
    # A server keeps what it inherits, and a pipe that it holds would keep us waiting for its end: output to a file.
    with (folder / f"{program}.out").open("ab") as output:
        done = subprocess.run(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, "\n".join(f.read_text(encoding="utf-8") for f in folder.glob("*.out"))


def _binary(program: str) -> str:
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    found = shutil.which(program) or (str(installed[-1]) if installed else None)
    assert found, f"{program} is not installed; the tests start a real Postgres: apt-get install postgresql"
    return str(Path(found).resolve())


def _servant() -> str:
    import pwd

    return "postgres" if any(entry.pw_name == "postgres" for entry in pwd.getpwall()) else "nobody"


def _servant_group() -> str:
    import grp
    import pwd

    return grp.getgrgid(pwd.getpwnam(_servant()).pw_gid).gr_name
