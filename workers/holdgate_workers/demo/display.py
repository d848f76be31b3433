"""How a run looks while it goes: a picture on a terminal, sober lines elsewhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from holdgate_schema.ids import TOTAL_POOL

from .recount.rows import Progress

LINES_KEPT = 8
LINE_SECONDS = 2.0
RATE_SECONDS = 2.0
BAR_CHARS = 44


class Rate:
    """Requests decided per second over the last two seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def of(self, decided: int) -> float:
        """The rate with this number seen now."""
        now = monotonic()
        self._seen.append((now, decided))
        while self._seen[0][0] < now - RATE_SECONDS and len(self._seen) > 2:
            self._seen.popleft()
        began, before = self._seen[0]
        return (decided - before) / (now - began) if now > began else 0.0


class Show:
    """Tells by lines."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.killed: set[str] = set()
        """Workers that are dead though their heartbeat does not show it yet."""
        self._rate = Rate()
        self._told_at = 0.0
        self._began = monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def say(self, text: str) -> None:
        """Something happened."""
        self._line(f"{monotonic() - self._began:5.1f} s  {text}")

    def progress(self, progress: Progress) -> None:
        """The numbers moved."""
        rate = self._rate.of(progress.decided)
        now = monotonic()
        if now - self._told_at >= LINE_SECONDS and progress.decided:
            self._told_at = now
            self.say("  ".join(f"{name} {value}" for name, value in self.numbers(progress, rate)))

    def numbers(self, progress: Progress, rate: float) -> Iterator[tuple[str, str]]:
        """What is worth telling."""
        taken, sellable = progress.pools.get(TOTAL_POOL, (0, None))
        yield "seats taken", f"{taken}/{sellable}"
        yield "decided", str(progress.decided)
        yield "per second", f"{rate:.0f}"
        yield "held", str(progress.outcomes.get("held", 0))
        yield "sold out", str(progress.outcomes.get("sold_out", 0))
        yield "released", str(progress.states.get("released", 0))
        yield "expired", str(progress.states.get("expired", 0))
        yield "events told", str(progress.told)
        yield "served by", self.server(progress)

    def server(self, progress: Progress) -> str:
        """Which worker has the occurrence's queue."""
        living = [f"pid {pid}" for worker, _, pid in progress.line if worker not in self.killed]
        return living[0] if living else "nobody"

    def _line(self, text: str) -> None:
        self.console.print(Text(text), soft_wrap=True)


class LiveShow(Show):
    """Tells by a picture."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._said: deque[str] = deque(maxlen=LINES_KEPT)
        self._last = Progress()
        self._live = Live(console=console, refresh_per_second=8, get_renderable=self._picture)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def progress(self, progress: Progress) -> None:
        """The numbers moved."""
        self._last = progress

    def _line(self, text: str) -> None:
        self._said.append(text)

    def _picture(self) -> RenderableType:
        progress = self._last
        parts: list[RenderableType] = [Text(line, style="dim") for line in self._said]
        if progress.pools:
            parts += [Text(), self._bars(progress), self._table(progress)]
        return Group(*parts)

    def _bars(self, progress: Progress) -> RenderableType:
        grid = Table.grid(padding=(0, 2))
        for pool, (taken, sellable) in sorted(progress.pools.items(), key=lambda item: item[0] != TOTAL_POOL):
            if sellable is not None:
                bar = ProgressBar(total=max(sellable, 1), completed=taken, width=BAR_CHARS)
                grid.add_row("seats" if pool == TOTAL_POOL else pool, bar, f"{taken}/{sellable}")
        return grid

    def _table(self, progress: Progress) -> RenderableType:
        grid = Table.grid(padding=(0, 3))
        numbers = list(self.numbers(progress, self._rate.of(progress.decided)))[1:]
        grid.add_row(*[Text(name, style="dim") for name, _ in numbers])
        grid.add_row(*[Text(value, style="bold") for _, value in numbers])
        return grid


@contextmanager
def showing(*, plain: bool, to_stderr: bool = False) -> Iterator[Show]:
    """The picture if there is a terminal for it, else lines."""
    console = Console(highlight=False, stderr=to_stderr)
    show = Show(console) if plain or not console.is_terminal else LiveShow(console)
    with show:
        yield show
