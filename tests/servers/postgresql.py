"""A real PostgreSQL for the tests, of the binaries that the system has: in a folder of its own, behind a
Unix socket, gone with the run.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

#: Where packages put what is on nobody's PATH.
_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
MISSING = (
    "NOT TESTED against PostgreSQL: it is not installed. `sh tests/servers/install.sh` installs it on "
    "Debian and its kin"
)
_SETTINGS = {
    "listen_addresses": "", "max_connections": "60", "shared_buffers": "64MB", "autovacuum_naptime": "5s",
    "log_min_messages": "fatal",
}  # fmt: skip


def _binary(name: str) -> str | None:
    found = [path for place in _PLACES for path in sorted(Path("/").glob(f"{place[1:]}/{name}"))]
    return str(found[-1]) if found else shutil.which(name)


def is_installed() -> bool:
    return None not in (_binary("initdb"), _binary("pg_ctl")) and (
        os.geteuid() != 0 or _owner() is not None
    )


def _owner() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root."""
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return None


class Postgresql:
    """Made, not started, in `folder`, which must not be there yet and is removed at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._data = folder / "data"
        folder.mkdir(mode=0o755)
        owner = _owner()
        self._as: dict[str, object] = {}
        if os.geteuid() == 0 and owner is not None:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
            self._as = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        self._run(
            "initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale",
            "--no-sync",
        )  # fmt: skip
        # One user has to say who it is.
        hba = self._data / "pg_hba.conf"
        hba.write_text("local all guarded scram-sha-256\n" + hba.read_text())
        settings = {**_SETTINGS, "unix_socket_directories": str(folder)}
        with (self._data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def address(self, database: str = "postgres", user: str = "postgres", **query: str) -> str:
        added = "".join(f"&{name}={quote(value)}" for name, value in query.items())
        return f"postgresql://{user}@/{database}?host={quote(str(self.folder), safe='')}{added}"

    def start(self) -> None:
        self._run("pg_ctl", "start", "--wait", "--silent", f"--log={self.folder / 'log'}")

    def stop(self, mode: str = "fast") -> None:
        """`immediate` is as good as a power cut."""
        self._run("pg_ctl", "stop", "--wait", "--silent", f"--mode={mode}")

    def remove(self) -> None:
        if (self._data / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self.folder)

    def _run(self, name: str, *arguments: str) -> None:
        binary = _binary(name)
        assert binary is not None, MISSING
        done = subprocess.run(
            [binary, f"--pgdata={self._data}", *arguments], cwd=self.folder, check=False, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **self._as,
        )  # fmt: skip
        log = self.folder / "log"
        said = log.read_text(errors="replace")[-2000:] if log.exists() else ""
        assert done.returncode == 0, f"{name}: {done.stderr}\n{said}"


def place(name: str) -> Path:
    """In memory where there is some: its disk is not what is tested."""
    shared = Path("/dev/shm")
    return (shared if os.access(shared, os.W_OK) else Path(tempfile.gettempdir())) / name


@contextmanager
def running(name: str) -> Iterator[Postgresql]:
    """One of a test's own, which it may stop and start."""
    server = Postgresql(place(f"fakeai-{name}-{os.getpid()}"))
    try:
        server.start()
        yield server
    finally:
        server.remove()


# --- one for all workers of a run ------------------------------------------------------------------


def shared() -> str:
    """The address of its first database. Whoever asks first starts it; it ends with the run."""
    import fcntl

    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", f"alone-{os.getpid()}")
    watched = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    folder = place(f"fakeai-run-{run[:16]}")
    with place(f"fakeai-run-{run[:16]}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        told = folder / "address"
        if not told.exists():
            keeper = subprocess.Popen(
                [sys.executable, "-m", "tests.servers.postgresql", str(folder), str(watched)],
                stdout=subprocess.PIPE, text=True, start_new_session=True,
                cwd=Path(__file__).resolve().parents[2],
            )  # fmt: skip
            assert keeper.stdout is not None
            line = keeper.stdout.readline()
            keeper.stdout.close()
            assert line, "PostgreSQL did not start"
        return told.read_text()


def _keep(folder: Path, watched: int) -> None:
    """Until that process is no more."""
    import select

    server = Postgresql(folder)
    lock = folder.with_name(folder.name + ".lock")
    try:
        server.start()
        (folder / "address").write_text(server.address())
        print("ready", flush=True)
        os.close(1)
        with os.fdopen(os.pidfd_open(watched)) as process:
            select.select([process], [], [])
    except ProcessLookupError:
        pass  # it has ended meanwhile
    finally:
        server.remove()
        lock.unlink(missing_ok=True)


if __name__ == "__main__":
    _keep(Path(sys.argv[1]), int(sys.argv[2]))
