"""What is done to a victim at its step, and the proof that it was."""

from __future__ import annotations

from subprocess import TimeoutExpired

from tests.crash.cases import Case
from tests.crash.ground import Ground, Stage
from tests.crash.scenes import Scene
from tests.crash.wire import CommitTrap, How
from tests.support.failpoints import STRUCK
from tests.support.rabbit import eventually

STRIKE_SECONDS = 40.0
END_SECONDS = 20.0


class Untouched(AssertionError):
    """The fault did not come about; the case says nothing."""


def strike(stage: Stage, scene: Scene, case: Case) -> str:
    """Let it happen, wait until the heir was seen at work, and mend what can be mended. Says what struck.

    Raises `Untouched` if nothing did.
    """
    if case.scene == "committing":
        return _strike_commit(stage, scene, case)
    return strike_at(stage.ground, scene, case)


def strike_at(ground: Ground, scene: Scene, case: Case) -> str:
    """The same at a step of the process itself."""
    victim = scene.victim
    if not scene.is_armed:
        victim.arm(case.failpoint)
    scene.provoke()
    try:
        (victim.wait_killed if case.fault == "kill" else victim.wait_paused)(STRIKE_SECONDS)
    except (TimeoutExpired, AssertionError) as exc:
        raise Untouched(str(exc)) from exc
    if case.fault == "kill":
        scene.see_heir()
    struck = _struck_by(scene)
    if case.fault == "pause":
        scene.take_for_dead()
        scene.see_heir()
        if not victim.is_paused:
            raise Untouched(f"{victim.name} woke up by itself")
        victim.resume()
    elif case.fault != "kill":
        struck += f", {_cut(ground, scene, case)} connections"
        victim.resume()
        scene.see_heir()
    return struck


def _struck_by(scene: Scene) -> str:
    """What the victim wrote down on the brink."""
    files = list(scene.victim.log_file.parent.glob(f"{scene.victim.name}{STRUCK}"))
    if not files:
        raise Untouched(f"{scene.victim.name} never came to its step")
    struck = files[0].read_text(encoding="utf-8").rpartition(":")[0]
    files[0].unlink()
    return struck


def _cut(ground: Ground, scene: Scene, case: Case) -> int:
    wire = {"cut-broker": ground.broker, "cut-database": ground.database, **scene.wires}[case.fault]
    number = wire.cut(scene.whose.get(case.fault, f"{scene.victim.name}."))
    if not number:
        raise Untouched(f"{scene.victim.name} had no connection that could be cut")
    return number


# --- inside a commit --------------------------------------------------------------------------------------------


def _strike_commit(stage: Stage, scene: Scene, case: Case) -> str:
    """The same with a COMMIT that was caught on the wire."""
    victim = scene.victim
    how: How = "kept" if case.when == "kept" else "unanswered"
    trap = stage.ground.database.set_trap(f"\0holdgate {victim.name}.gate\0", how)
    try:
        scene.provoke()
        if not trap.caught.wait(STRIKE_SECONDS):
            raise Untouched("no COMMIT came by")
        struck = f"COMMIT {how}"
        if case.fault == "kill":
            victim.kill()
        elif case.fault == "pause":
            victim.pause()
            scene.take_for_dead()
        else:
            struck += f", {_cut(stage.ground, scene, case)} connections"
        _go_on(stage, scene, case, trap)
    finally:
        trap.release()
    return struck


def _go_on(stage: Stage, scene: Scene, case: Case, trap: CommitTrap) -> None:
    if case.fault == "pause":
        # A COMMIT that never comes: the heir waits for the rows, and then takes them.
        scene.see_heir()
        scene.victim.resume()
        return
    if trap.how == "kept":
        # A COMMIT that comes late, when somebody else waits for its rows already.
        _see_somebody_wait(stage)
        trap.release()
    elif case.fault == "cut-broker":
        trap.release()
    scene.see_heir()


def _see_somebody_wait(stage: Stage) -> None:
    try:
        eventually(lambda: stage.somebody_waits_for_a_lock, "the heir waits for the rows", STRIKE_SECONDS)
    except AssertionError as exc:
        # A transaction that had failed already keeps no rows.
        raise Untouched("the COMMIT that was kept kept nobody waiting") from exc


def check_the_living(stage: Stage, scene: Scene, case: Case) -> None:
    """Nobody else has died of it, and who was asked to stop has stopped."""
    if scene.must_end and case.fault != "kill":
        code = scene.victim.process.wait(END_SECONDS)
        assert code == 0, f"{scene.victim.name} ended with {code}"
    for worker in stage.site.workers:
        assert worker.is_running or worker.process.returncode in (0, -9), list(worker.log())[-5:]
