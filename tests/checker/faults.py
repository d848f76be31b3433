"""The nemesis file: which faults were planned, when they were in force, and whether they really happened."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate

from tests.checker.recording import Notes, Recording
from tests.checker.verdict import Report


class Faults:
    """Windows of time in which something was broken on purpose; wall time in microseconds."""

    def __init__(self, windows: list[tuple[int, int]]) -> None:
        merged: list[tuple[int, int]] = []
        for start, end in sorted(windows):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        self._starts = [start for start, _ in merged]
        self._ends = [end for _, end in merged]
        self._sums = [0, *accumulate(end - start for start, end in merged)]

    @property
    def any(self) -> bool:
        """Whether anything was broken at all."""
        return bool(self._starts)

    def overlap(self, start: int, end: int) -> int:
        """For how long of this time something was broken."""
        first, last = bisect_left(self._ends, start), bisect_right(self._starts, end)
        if first >= last:
            return 0
        whole = self._sums[last] - self._sums[first]
        return whole - max(0, start - self._starts[first]) - max(0, self._ends[last - 1] - end)

    def hit(self, start: int, end: int) -> bool:
        """Whether something was broken at any moment of this time."""
        return bisect_left(self._ends, start) < bisect_right(self._starts, end)

    def healed_after(self, start: int, end: int) -> int:
        """When the last fault within this time was over; the start, if there was none."""
        last = bisect_right(self._starts, end) - 1
        return max(start, min(end, self._ends[last])) if last >= 0 else start


def read_faults(recording: Recording, report: Report) -> Faults:
    """The faults; P16 for those that did not happen."""
    planned = list(recording.run.get("faults") or ())
    if recording.nemesis is None:
        if planned:
            report.doubt("P16", f"faults were planned, but no nemesis wrote them down: {planned}")
        return Faults([])
    notes = Notes(recording.nemesis)
    windows = []
    for note in notes:
        report.count("P16")
        name = f"{note.get('fault')} of {note.get('target')}"
        if note.get("fault") in planned:
            planned.remove(note["fault"])
        start, end = note.get("t_start"), note.get("t_end")
        if not note.get("really_applied"):
            report.doubt("P16", f"{name} was not really applied: the run is void")
        elif start is None or end is None or end < start:
            report.doubt("P16", f"{name} has no beginning or no end")
        else:
            windows.append((round(start * 1_000_000), round(end * 1_000_000)))
    if planned:
        report.doubt("P16", f"planned faults that never came: {planned}")
    if not notes.ended or notes.broken:
        report.doubt("P16", "the nemesis file is cut off")
    return Faults(windows)
