"""The client's link to an embedded installation: `embedded:` and its data folder. Found by the client as an entry point
of the installed service, so that the client itself knows no database."""

from __future__ import annotations

from pathlib import Path

from holdgate_producer.client.config import ClientConfig
from holdgate_workers.adapters.embedded.queue.link import EmbeddedLink
from holdgate_workers.adapters.embedded.server.server import find_running
from holdgate_workers.app.ports import TransportError


def embedded_link(config: ClientConfig) -> EmbeddedLink:
    """The link to what `holdgate up` runs in a folder: `embedded:.holdgate`, `embedded:` for the default folder.

    The folder is looked at before each attempt to connect, so the client may be made before `holdgate up` runs, and
    goes on when it is started again.
    """
    folder = Path(config.url.partition(":")[2] or ".holdgate")

    def address() -> str:
        running = find_running(folder)
        if running is None:
            raise TransportError(f"nothing runs in {folder}; start it with: holdgate --data-dir {folder} up")
        return running

    return EmbeddedLink(address, app_id=config.app_id)
