"""What was found: violations make a history invalid, doubts make it unknown, otherwise it is valid."""

from __future__ import annotations

from collections import Counter, defaultdict

PROPERTIES = {
    "P1": "no pool is ever oversold, at any commit",
    "P2": "each accepted request has exactly one outcome",
    "P3": "a request is applied once",
    "P4": "an answer is the recorded one, and not before its commit",
    "P5": "every decision is the one that the contract asks for",
    "P6": "one channel's requests are decided in the order in which they were sent",
    "P7": "what was answered before another was asked was decided before it",
    "P8": "no hold expires early, and none late",
    "P9": "only legal moves; ends are final",
    "P10": "counters, holds and limits agree at every commit",
    "P11": "versions rise, and no two transactions share one",
    "P12": "events told are the events committed, in order",
    "P13": "one booking of a hold, at its price, with its seats: sold is what bookings have",
    "P14": "everything that the broker took is accounted for",
    "P15": "the work is done in time once nothing is in its way",
    "P16": "the planned faults really happened",
    "P17": "a second answer is told once, as it is recorded, and not before its commit",
    "P18": "a cart is held as a whole or not at all, with one verdict",
    "P19": "who stands in line is served in turn, before walk-ins, by what frees the seats",
}
EXIT_CODES = {"valid": 0, "invalid": 1, "unknown": 2}
EXAMPLES_MAX = 10


class Report:
    """Counts everything, keeps the first few messages of each property."""

    def __init__(self) -> None:
        self.violations: Counter[str] = Counter()
        self.doubts: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = defaultdict(list)
        self.whys: dict[str, list[str]] = defaultdict(list)
        self.judged: Counter[str] = Counter()
        self.figures: dict[str, int] = {}
        self.notes: list[str] = []

    def flag(self, name: str, message: str) -> None:
        """A property does not hold."""
        self.violations[name] += 1
        if len(self.examples[name]) < EXAMPLES_MAX:
            self.examples[name].append(message)

    def doubt(self, name: str, why: str) -> None:
        """A property cannot be judged, because something is missing."""
        self.doubts[name] += 1
        if why not in self.whys[name] and len(self.whys[name]) < EXAMPLES_MAX:
            self.whys[name].append(why)

    def count(self, name: str, times: int = 1) -> None:
        """So many things were looked at for a property."""
        self.judged[name] += times

    def add(self, other: Report) -> None:
        """What somebody else has found."""
        self.violations += other.violations
        self.doubts += other.doubts
        self.judged += other.judged
        for mine, theirs in ((self.examples, other.examples), (self.whys, other.whys)):
            for name, messages in theirs.items():
                mine[name] = [*mine[name], *messages][:EXAMPLES_MAX]
        self.figures |= other.figures
        self.notes += other.notes

    @property
    def verdict(self) -> str:
        """valid, invalid or unknown."""
        if self.violations:
            return "invalid"
        return "unknown" if self.doubts else "valid"

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.verdict]

    def table(self) -> str:
        """One line a property, and what was found."""
        lines = [f"{'':4} {'judged':>10} {'violations':>10} {'doubts':>7}  property"]
        for name, about in PROPERTIES.items():
            counts = f"{self.judged[name]:>10} {self.violations[name]:>10} {self.doubts[name]:>7}"
            lines.append(f"{name:4} {counts}  {about}")
            lines += [f"       ! {message}" for message in self.examples[name]]
            lines += [f"       ? {why}" for why in self.whys[name]]
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines)

    def last_line(self) -> str:
        """The one line for scripts."""
        if self.violations:
            found = " ".join(f"{name}={self.violations[name]}" for name in PROPERTIES if self.violations[name])
            return f"checker: INVALID {found}"
        if self.doubts:
            whys = "; ".join(f"{name}: {self.whys[name][0]}" for name in PROPERTIES if self.doubts[name])
            return f"checker: unknown why={whys}"
        return "checker: valid " + " ".join(f"{name}={number}" for name, number in self.figures.items())
