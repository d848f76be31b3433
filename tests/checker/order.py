"""P6 and P7: the order of the decisions against the order that the clients saw."""

from __future__ import annotations

from collections import defaultdict

from tests.checker.asked import Asked, Channel, Inquiry
from tests.checker.faults import Faults
from tests.checker.verdict import Report


def check_channels(report: Report, inquiry: Inquiry, faults: Faults) -> None:
    """P6: requests of one channel for one occurrence, each sent once, are decided in their order."""
    left_out = 0
    for channel in inquiry.channels:
        left_out += _check_channel(report, channel, faults)
    if left_out:
        report.notes.append(
            f"P6 leaves out {left_out} requests that were sent again, refused by the broker or hit by a fault"
        )


def _check_channel(report: Report, channel: Channel, faults: Faults) -> int:
    latest: dict[str, tuple[int, str]] = {}
    left_out = 0
    for asked in channel.asked:
        if asked.occurrence is None:
            continue
        read = asked.reads[0][1] if asked.reads else None
        version = asked.version if asked.version else read
        if not version:
            continue
        if asked.sends > 1 or asked.not_taken or _was_hit(asked, faults):
            left_out += 1
            continue
        report.count("P6")
        before, first = latest.get(asked.occurrence, (0, ""))
        if version < before or (version == before and read is None):
            report.flag(
                "P6",
                f"{channel.name}: {asked.id} was decided at version {version}, {first} at {before} was sent before",
            )
        else:
            latest[asked.occurrence] = (version, asked.id)
    return left_out


def _was_hit(asked: Asked, faults: Faults) -> bool:
    until = asked.at_commit if asked.reads is None else asked.reads[0][2]
    if asked.sent_wall is None or until is None:
        return False
    return faults.hit(asked.sent_wall, until)


def check_real_time(report: Report, inquiry: Inquiry) -> None:
    """P7: who had its answer before another was asked was decided before it. Reads count, too."""
    invoked: dict[str, list[tuple[int, int, int, Asked]]] = defaultdict(list)
    replied: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for number, asked in enumerate(inquiry.asked.values()):
        if asked.occurrence is None or asked.first_sent is None:
            continue
        if asked.version:
            invoked[asked.occurrence].append((asked.first_sent, asked.version, number, asked))
            if asked.reply_first is not None:
                replied[asked.occurrence].append((asked.reply_first, asked.version, asked.id))
        for moment, version, _ in asked.reads or ():
            if asked.sends == 1:
                invoked[asked.occurrence].append((asked.first_sent, version, number, asked))
            replied[asked.occurrence].append((moment, version, asked.id))
    for occurrence_id, asks in invoked.items():
        _sweep(report, occurrence_id, sorted(asks), sorted(replied[occurrence_id]))


def _sweep(
    report: Report,
    occurrence_id: str,
    asks: list[tuple[int, int, int, Asked]],
    answers: list[tuple[int, int, str]],
) -> None:
    greatest, whose, place = 0, "", 0
    for sent, version, _, asked in asks:
        while place < len(answers) and answers[place][0] < sent:
            if answers[place][1] > greatest:
                _, greatest, whose = answers[place]
            place += 1
        report.count("P7")
        if version < greatest or (version == greatest and asked.version is not None and whose != asked.id):
            why = f"{whose} was answered with version {greatest} before that was asked"
            report.flag("P7", f"{occurrence_id}: {asked.id} was decided at version {version}, though {why}")
