"""A process of the role `notifications` for tests: `python -m tests.support.notice_main LEASE_SECONDS`.

It is the real one, configured by the same variables, except that whoever dies in it is given up sooner.
"""

from __future__ import annotations

import sys

from holdgate_workers.app.notifications.delivery.retries import BackOff, RetryPolicy
from holdgate_workers.config.environment import read_config
from holdgate_workers.roles.notifications import NoticesRole
from holdgate_workers.roles.process.logs import configure_logs
from holdgate_workers.roles.process.process import Process
from holdgate_workers.wiring.site import open_site


def main(lease_seconds: float) -> int:
    config = read_config()
    configure_logs(config.log_level, config.log_format)
    assert config.database_url is not None
    site = open_site(config, config.database_url, migrate=True)  # the queue's tables, which no test needs before
    policy = RetryPolicy(lease_seconds=lease_seconds, back_off=BackOff(first_seconds=0.1, max_seconds=1.0))
    role = NoticesRole(site, policy=policy, lease_seconds=lease_seconds, resend_seconds=lease_seconds)
    return Process(site, [role]).run()


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
