"""A process of the role `pricing` for tests: `python -m tests.support.task_main NOTE_FILE LEASE_SECONDS`.

Its one handler writes the number of the attempt to the file and then hangs, so that it can be killed in mid task.
It is configured by the same variables as the real one.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from tests.support.tasks import ROLE, Recorder

from holdgate_workers.app.tasks.tasks import Done, Task, TaskOutcome
from holdgate_workers.config.environment import read_config
from holdgate_workers.roles.process.process import Process
from holdgate_workers.roles.tasks import TaskRole
from holdgate_workers.wiring.site import open_site


def main(note: Path, lease_seconds: float) -> int:
    def answer(task: Task) -> TaskOutcome:
        note.write_text(f"{task.key} {task.attempts}", encoding="utf-8")
        threading.Event().wait()
        return Done()

    config = read_config()
    assert config.database_url is not None
    site = open_site(config, config.database_url, migrate=False)
    role = TaskRole(site, ROLE, Recorder(answer), lease_seconds=lease_seconds, name="victim")
    return Process(site, [role]).run()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), float(sys.argv[2])))
