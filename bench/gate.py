"""One gate worker in a process of its own, configured by the environment; begins when it is told to."""

from __future__ import annotations

from holdgate_workers.bootstrap import database_url, open_site
from holdgate_workers.config import read_config
from holdgate_workers.entrypoints.gate_worker import GateWorker
from holdgate_workers.entrypoints.logs import configure_logs
from holdgate_workers.entrypoints.process import Process

from .processes import say_ready_and_wait

if __name__ == "__main__":
    config = read_config()
    configure_logs("WARNING", "json")
    site = open_site(config, database_url(config), migrate=False)
    say_ready_and_wait()
    raise SystemExit(Process(site, [GateWorker(site)]).run())
