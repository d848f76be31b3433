"""One gate worker in a process of its own, configured by the environment; begins when it is told to."""

from __future__ import annotations

from holdgate_workers.config.environment import read_config
from holdgate_workers.roles.gate.worker import GateWorker
from holdgate_workers.roles.process.logs import configure_logs
from holdgate_workers.roles.process.process import Process
from holdgate_workers.wiring.site import database_url, open_site

from .processes import say_ready_and_wait

if __name__ == "__main__":
    config = read_config()
    configure_logs("WARNING", "json")
    site = open_site(config, database_url(config), migrate=False)
    say_ready_and_wait()
    raise SystemExit(Process(site, [GateWorker(site)]).run())
