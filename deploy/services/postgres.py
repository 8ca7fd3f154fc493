"""PostgreSQL 17 with TimescaleDB, from Debian's packages."""

import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from deploy.services.clone import Clone, abandoned_data
from deploy.services.debian import unpack
from deploy.services.process import (
    ServiceError,
    await_ready,
    end,
    end_of,
    launch,
    recorded_pid,
    say,
    tail,
    unprivileged_user,
)
from deploy.services.software import installed

SUITE = "trixie"
PACKAGE = "postgresql-17-timescaledb"
SOFTWARE = f"{PACKAGE}-{SUITE}-1"  # A changed way of installing counts the last number up.
# The server, its clients and the libraries, but not the big ones that only jit=on and PL/Perl need.
KEEP = re.compile(r"postgresql-(client-)?17(-timescaledb)?|zlib1g|lib(?!llvm|z3|perl|.*-perl$).*")
BIN = Path("usr/lib/postgresql/17/bin")
TIME_ZONES = Path("/usr/share/zoneinfo")
# The programs need newer libraries than the machine may have, so their own loader runs them.
WRAPPER = """#!/bin/sh
lib="${0%/*}/../../../x86_64-linux-gnu"
exec "$lib/ld-linux-x86-64.so.2" --inhibit-cache --argv0 "$0" --library-path "$lib" \\
    "${0%/*}/../programs/${0##*/}" "$@"
"""
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_preload_libraries": "timescaledb",
    "timescaledb.telemetry_level": "off",
    "timescaledb.max_background_workers": "16",
    "max_worker_processes": "32",
    "max_connections": "200",
    "max_locks_per_transaction": "256",
    "shared_buffers": "256MB",
    # Commits would wait for a new WAL file to be filled with zeros: use the old ones again.
    "min_wal_size": "1GB",
    "fsync": "on",
    "jit": "off",
    "timezone": "UTC",
}
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LC_ALL": "C"}
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30
ORPHANS_TIMEOUT_S = 20
ORPHANS_POLL_S = 0.2
PID_IMPOSSIBLE = 2**22 + 1  # Linux gives out pids below 2**22.


@dataclass(frozen=True, slots=True)
class Postgres:
    """The PostgreSQL server of a clone. Whoever calls its methods holds the lock of the clone."""

    clone: Clone
    name = "postgres"

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.clone.data / "postgres"

    @property
    def log(self) -> Path:
        """The file that its messages go to."""
        return self.clone.state / "postgres.log"

    def pid(self) -> int | None:
        """Return the pid of its first process; None when it does not run."""
        return recorded_pid(self.data / "postmaster.pid", str(self.data))

    def address(self) -> str:
        """Return its URL, with a superuser who needs no password."""
        return f"postgresql://postgres@127.0.0.1:{self._port()}/postgres"

    def start(self) -> None:
        """Install, create and start what is missing; return when it accepts connections.

        Raises: ServiceError: it is impossible here, or the server did not start.
        """
        programs = install()
        end_abandoned()
        if self.pid() is None:
            self._create_data(programs)
            self.clone.free_port(self.name)
            self._disown_dead_process()
            self._launch(programs)
        elif not self._accepts(programs):
            self.stop()
            self._launch(programs)

    def stop(self) -> None:
        """Disconnect everyone and stop; what was committed is on disk in order."""
        self._end(signal.SIGINT)

    def crash(self) -> None:
        """Stop at once, without a checkpoint: the next start recovers from the write-ahead log."""
        self._end(signal.SIGQUIT)

    def _port(self) -> int:
        """Return the port it listens on, or last did."""
        if self.pid() is not None:
            lines = (self.data / "postmaster.pid").read_text().split("\n")
            if len(lines) > 3 and lines[3].isdigit():
                return int(lines[3])
        return self.clone.port(self.name) or 0

    def _end(self, how: signal.Signals) -> None:
        pid = self.pid()
        if pid is not None:
            end(pid, str(self.data), how, timeout_s=STOP_TIMEOUT_S)

    def _create_data(self, programs: Path) -> None:
        if (self.data / "PG_VERSION").exists():
            return
        shutil.rmtree(self.data, ignore_errors=True)
        partial = self.data.with_name("postgres.partial")
        shutil.rmtree(partial, ignore_errors=True)
        user = unprivileged_user()
        partial.mkdir(parents=True, mode=0o700)
        (self.clone.data / "clone").write_text(str(self.clone.root))
        if user is not None:
            os.chown(partial, user.pw_uid, user.pw_gid)
        # Locales built into the server: the machine's may not fit the packages' C library.
        options = "-U postgres -A trust -E UTF8 --locale-provider=builtin --locale=C --no-sync"
        command = [f"{programs}/initdb", "-D", str(partial), "--builtin-locale=C.UTF-8"]
        initdb = launch(
            [*command, *options.split()], log=self.log, environment=ENVIRONMENT, user=user
        )
        if initdb.wait(START_TIMEOUT_S) != 0:
            raise ServiceError(f"initdb failed; {tail(self.log)}")
        partial.rename(self.data)

    def _disown_dead_process(self) -> None:
        """Put a pid that no process can have into the file that a killed server left behind.

        Its pid may be another process's now, or not yet free, and the server would refuse to
        start. The rest of the file stays: with it the server waits for processes of the killed one.
        """
        file = self.data / "postmaster.pid"
        if file.exists():
            lines = file.read_text().split("\n")
            file.write_text("\n".join([str(PID_IMPOSSIBLE), *lines[1:]]))

    def _launch(self, programs: Path) -> None:
        """Start the server; try again while processes of a killed one still end."""
        deadline = time.monotonic() + ORPHANS_TIMEOUT_S
        while True:
            before = end_of(self.log)
            try:
                self._launch_once(programs)
            except ServiceError:
                news = self.log.read_bytes()[before:]
                if b"is still in use" not in news or time.monotonic() > deadline:
                    raise
                time.sleep(ORPHANS_POLL_S)
            else:
                return

    def _launch_once(self, programs: Path) -> None:
        settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
        process = launch(
            [f"{programs}/postgres", "-D", str(self.data), f"--port={self._port()}", *settings],
            log=self.log,
            environment=ENVIRONMENT,
            user=unprivileged_user(),
        )
        await_ready(
            process, lambda: self._accepts(programs), log=self.log, timeout_s=START_TIMEOUT_S
        )

    def _accepts(self, programs: Path) -> bool:
        command = [f"{programs}/pg_isready", "--quiet", f"--dbname={self.address()}"]
        return self.pid() is not None and subprocess.call(command, env=ENVIRONMENT) == 0


def install() -> Path:
    """Return the directory of PostgreSQL's programs, installing them when they are missing."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise ServiceError("PostgreSQL is installed from Debian's packages for Linux on x86-64")
    if not TIME_ZONES.is_dir():
        raise ServiceError(f"PostgreSQL needs {TIME_ZONES}: install tzdata")
    return installed(SOFTWARE, _build) / BIN


def end_abandoned() -> None:
    """End the servers and delete the data that root started for clones that are gone."""
    for directory in abandoned_data():
        data = directory / "postgres"
        pid = recorded_pid(data / "postmaster.pid", str(data))
        if pid is not None:
            end(pid, str(data), signal.SIGINT, timeout_s=STOP_TIMEOUT_S)
        shutil.rmtree(directory, ignore_errors=True)


def _build(target: Path) -> None:
    say("installing PostgreSQL 17 with TimescaleDB")
    unpack(SUITE, PACKAGE, KEEP, target)
    _wrap(target / BIN)
    for unneeded in ("apt", "usr/share/doc", "usr/share/man", "usr/share/locale"):
        shutil.rmtree(target / unneeded, ignore_errors=True)
    command = [f"{target / BIN}/postgres", "--version"]
    subprocess.run(command, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)


def _wrap(programs: Path) -> None:
    """Put a script that runs it through the loader in the place of each program."""
    moved = programs.with_name("programs")
    moved.mkdir()
    for program in sorted(programs.iterdir()):
        program.rename(moved / program.name)
        program.write_text(WRAPPER)
        program.chmod(0o755)
