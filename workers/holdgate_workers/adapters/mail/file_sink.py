"""Mails as files: for the embedded mode, and for looking at them."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import NamedTemporaryFile

from holdgate_workers.app.faults import Fault
from holdgate_workers.app.notifications.delivery.mail import Mail
from holdgate_workers.app.notifications.delivery.outcomes import Delivered, Failed, Outcome
from holdgate_workers.app.notifications.people import Sender

from .message import mime

_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


class FileSink:
    """The port `MailSender`: one .eml file per mail, which only the owner of the process can read.

    A mail that is sent again replaces its file. The folder is made when the first mail comes.
    """

    def __init__(self, folder: Path, sender: Sender) -> None:
        self._folder = folder
        self._sender = sender

    def fault(self) -> Fault | None:
        """Write a file and take it away; None if that works."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with NamedTemporaryFile(dir=self._folder, prefix=".tried-", suffix=".part") as part:
                part.write(b"tried")
                part.flush()
        except OSError as exc:
            mend = "let this process write into it, make room, or name another in HOLDGATE_MAIL_URL"
            return Fault("no_folder", f"mails cannot be written to the folder: {exc.strerror}", mend)
        return None

    def send(self, mail: Mail) -> Outcome:
        """Write the file: all of it or nothing. A full disk may have room again later."""
        path = self._folder / file_name(mail.key)
        content = mime(mail, self._sender).as_bytes()
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write(path, content)
        except OSError as exc:
            return Failed(reason=f"cannot write to the folder: {exc.strerror or type(exc).__name__}")
        return Delivered(path.name)


def _write(path: Path, content: bytes) -> None:
    """By way of another file, which only its owner may read and no other process knows."""
    with NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as part:
        try:
            part.write(content)
            part.flush()
            Path(part.name).replace(path)
        except OSError:
            Path(part.name).unlink(missing_ok=True)
            raise


def file_name(key: str) -> str:
    """The file of the mail with this key."""
    return f"{_UNFIT.sub('-', key)}.eml"
