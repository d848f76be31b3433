import sys

from holdgate_workers.bootstrap import open_site
from holdgate_workers.config import read_config
from holdgate_workers.entrypoints.logs import configure_logs
from holdgate_workers.entrypoints.process import ROLES, Process

configure_logs("INFO", "json")
cfg = read_config()
site = open_site(cfg, cfg.database_url)
sys.exit(Process(site, [ROLES[sys.argv[2]](site)]).run())
