"""Everything of a run that is started and stopped: network, brokers, database, workers, clients."""

from __future__ import annotations

import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
from tests.chaos.cluster import VHOST, Cluster
from tests.chaos.crew import MUTANT, Crew, Hand
from tests.chaos.database import Database, faketime
from tests.chaos.network import Loopback, Network, Place, open_network
from tests.chaos.notes import NotingClient
from tests.chaos.schedule import GATES, NODES, WORKERS
from tests.chaos.shopper import Spec
from tests.checker.recording import CLIENTS
from tests.support.processes import ROOT
from tests.support.requests import put

from holdgate_workers.config.environment import read_config
from holdgate_workers.wiring.site import open_site

PARTITIONS = 4
SHOPPERS = ("shopper1", "shopper2", "shopper3")
OPERATOR = "operator"
WINDOW = 200
BROKER = "broker"
"""The name under which every node is known to workers and clients, as a site with three nodes has it in its DNS."""
OCCURRENCES = {f"hot-{number}": 300 for number in range(4)} | {f"calm-{number}": 4000 for number in range(12)}
"""How many seats each has."""


class Ground:
    """Made, and not started but for the nodes. `close` leaves nothing behind but the folder."""

    def __init__(self, network: Network | Loopback, mutant: str | None = None) -> None:
        self.network = network
        self.folder = Path(tempfile.mkdtemp(prefix="holdgate-chaos-"))
        self.folder.chmod(0o711)  # the database's account must pass
        self.record = self.folder / "record"
        (self.record / CLIENTS).mkdir(parents=True)
        with ExitStack() as stack:
            stack.callback(network.close)
            self._make(stack, mutant)
            self._stack = stack.pop_all()

    def _make(self, stack: ExitStack, mutant: str | None) -> None:
        """The nodes are started at once: they take longest."""
        network = self.network
        self.places = {name: network.place(name) for name in (*NODES, "db", *WORKERS, *SHOPPERS)}
        nodes = [self.places[name] for name in NODES]
        network.name_hosts({BROKER: nodes, **{place.name: [place] for place in nodes}})
        self.cluster = Cluster(nodes, self.folder)
        stack.callback(self.cluster.stop)
        self.cluster.start()
        self.database = Database(self.places["db"], self.folder / "database")
        stack.callback(self.database.stop)
        self.crew = Crew([self._hand(number, name, mutant) for number, name in enumerate(WORKERS)])
        stack.callback(self.crew.stop)
        self.shoppers: dict[str, subprocess.Popen[bytes]] = {}
        stack.callback(self._end_shoppers)

    @property
    def amqp_url(self) -> str:
        """One node, for those who look on."""
        return self.cluster.nodes[0].url

    def missing(self) -> dict[str, str]:
        """What this machine cannot do, and why."""
        return abilities_missing(self.network, self.database)

    # --- starting -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Servers, schema and queues."""
        self.database.start()
        self.cluster.wait_started()
        self.cluster.make_vhost()
        config = read_config(database_url=self.database.url, amqp_url=self.amqp_url, partitions=PARTITIONS)
        open_site(config, self.database.url, migrate=True)

    def start_crew(self) -> None:
        """The workers."""
        self.crew.start()
        self.crew.wait_ready()

    def open_sale(self) -> None:
        """Put on sale what is asked for, as an operator with notes."""
        path = self.record / CLIENTS / f"{OPERATOR}.jsonl"
        operator = NotingClient(self.amqp_url, OPERATOR, path, in_flight_max=100, attempt_seconds=60)
        try:
            for name, seats in OCCURRENCES.items():
                put(operator.client, name, seats, kids=seats // 3)
        finally:
            operator.close()

    def start_shoppers(self, seed: int, rate: float) -> None:
        """The client processes."""
        for number, name in enumerate(SHOPPERS):
            place = self.places[name]
            notes = str(self.record / CLIENTS / f"{name}.jsonl")
            url, chance = self._url_at(place, number), seed * len(SHOPPERS) + number
            spec = Spec(name, url, notes, tuple(OCCURRENCES), chance, WINDOW, rate / len(SHOPPERS))
            with (self.folder / f"{name}.log").open("wb") as log:
                self.shoppers[name] = subprocess.Popen(
                    [*place.prefix, *spec.command()], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )

    # --- looking ------------------------------------------------------------------------------------------------

    def value(self, statement: str) -> Any:
        """The one value that the database says, past our own code."""
        with psycopg.connect(self.database.url, autocommit=True) as connection:
            row = connection.execute(statement).fetchone()
        assert row is not None
        return row[0]

    def close(self) -> None:
        """End everything."""
        self._stack.close()

    # --- inside -------------------------------------------------------------------------------------------------

    def _hand(self, number: int, name: str, mutant: str | None) -> Hand:
        place = self.places[name]
        settings = {
            "HOLDGATE_DATABASE_URL": self.database.url,
            "HOLDGATE_AMQP_URL": self._url_at(place, number),
            "HOLDGATE_PARTITIONS": str(PARTITIONS),
            **({} if mutant is None else {MUTANT: mutant}),
        }
        return Hand(place, "gate" if name in GATES else name, settings, self.folder, number)

    def _url_at(self, place: Place, number: int) -> str:
        node = self.cluster.nodes[number % len(self.cluster.nodes)]
        return f"amqp://guest:guest@{BROKER}:{node.port}/{VHOST}" if place.prefix else node.url

    def _end_shoppers(self) -> None:
        for process in self.shoppers.values():
            process.kill()
            process.wait()


def abilities_missing(network: Network | Loopback, database: Database) -> dict[str, str]:
    """The abilities that faults need and that are not here, with the reasons."""
    missing = {}
    if not network.can_cut:
        missing["cuts"] = network.why
    if not database.has_volume:
        missing["volume"] = "a volume of its own for the database's log needs root and mount rights"
    if faketime() is None:
        missing["clock"] = "libfaketime is not installed (Debian: libfaketime)"
    return missing


def open_ground(mutant: str | None = None) -> Ground:
    """On namespaces if they can be had. The workers may be given a bug, to see it found."""
    return Ground(open_network(), mutant)
