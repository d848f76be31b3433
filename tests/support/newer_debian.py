"""A folder with the next Debian in it, whose servers run beside this machine's own.

Made with debootstrap from the mirror that this machine's apt is told to use, kept in .holdgate/next/root (about 1 GB)
and used again. Each program runs in it by chroot, with a /proc that goes with the program, so nothing stays mounted.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.support.servers import STATE

SUITE = "trixie"
PACKAGES = ("rabbitmq-server", "postgresql", "valkey-server")
FOLDER = STATE / "next"
ROOT = FOLDER / "root"
LOG = FOLDER / "make.log"
_READY = FOLDER / "ready"
_MAKE_SECONDS = 1800.0
# The servers are started by us, with ports and folders of their own, never by their packages.
_NO_DAEMONS = "#!/bin/sh\nexit 101\n"
_ENTER = 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'


class CannotBeMade(Exception):
    """The folder cannot be made here; the message says what is missing."""


def inside(*words: str, root: Path = ROOT) -> list[str]:
    """The command that runs these words in the folder. What it execs keeps the process id."""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", _ENTER, str(root), *words]


def make() -> None:
    """Make the folder, unless it is there. Raises `CannotBeMade`."""
    if not _READY.exists():
        mirror = _requirements()
        shutil.rmtree(ROOT, ignore_errors=True)
        FOLDER.mkdir(parents=True, exist_ok=True)
        _run("debootstrap", "--variant=minbase", "--include=ca-certificates", SUITE, str(ROOT), mirror)
        policy = ROOT / "usr/sbin/policy-rc.d"
        policy.write_text(_NO_DAEMONS, encoding="utf-8")
        policy.chmod(0o755)
        shutil.copyfile("/etc/resolv.conf", ROOT / "etc/resolv.conf")
        (ROOT / "etc/hosts").write_text("127.0.0.1 localhost\n", encoding="utf-8")
        _run(*inside("apt-get", "--quiet", "update"))
        apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--yes", "--quiet", "install"]
        _run(*inside(*apt, "--no-install-recommends", *PACKAGES))
        _READY.touch()
    elif os.geteuid() != 0:
        raise CannotBeMade("the newer servers run by chroot, which needs root")


def _requirements() -> str:
    """The mirror to take Debian from. Raises `CannotBeMade` with all that is missing at once."""
    lacking = []
    if os.geteuid() != 0:
        lacking.append("root: debootstrap and chroot need it")
    if shutil.which("debootstrap") is None:
        lacking.append("debootstrap (Debian: apt-get install debootstrap)")
    mirror = _mirror() if shutil.which("apt-get") else None
    if mirror is None:
        lacking.append("a Debian mirror: this machine's apt is told of none (`apt-get indextargets`)")
    if lacking or mirror is None:
        raise CannotBeMade("; ".join(lacking))
    return mirror


def _mirror() -> str | None:
    """Where this machine's apt gets Debian itself from, not its security updates."""
    wanted = ["--format", "$(SITE)", "Origin: Debian", "Label: Debian", "Identifier: Packages"]
    done = subprocess.run(["apt-get", "indextargets", *wanted], capture_output=True, text=True, check=False)
    return next(iter(done.stdout.split()), None)


def _run(*command: str) -> None:
    with LOG.open("a", encoding="utf-8") as log:
        print(f"\n$ {' '.join(command)}", file=log, flush=True)
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=_MAKE_SECONDS, check=False
        )
    if done.returncode:
        tail = "\n".join(LOG.read_text(encoding="utf-8", errors="replace").splitlines()[-8:])
        raise CannotBeMade(
            f"`{command[0]}` failed (is there a network, and does the mirror have {SUITE}?); the whole log is "
            f"{LOG}, its end:\n{tail}"
        )
