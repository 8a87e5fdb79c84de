"""How one version takes over from another: each way on from a state, and back.

Belongs here: pure transitions between states. Does not belong here: the states (`states.py`), the file they are kept in
(`target.py`), and who asks for a transition (`client.py`, `deployments.py`, `control.py`).

    immediate   the new version is live as soon as it is loaded
    canary      it answers a share of all entities; the share grows by steps, and with the last one it is live
    ab          it answers a share of all entities until a person decides
    shadow      it is asked about a share of all entities as well, and its answers are discarded
"""

import uuid
from dataclasses import dataclass, replace
from datetime import datetime

from resources.errors import EndpointError
from resources.serving.states import Beside, Change, Event, Plan, State, Target


@dataclass(frozen=True, kw_only=True)
class Cause:
    """When a change is made, by whom, and why."""

    at: datetime
    by: str
    reason: str = ""


def begin(state: State | None, target: Target, plan: Plan, cause: Cause, *, is_replacing: bool = False) -> State:
    """Ask for a version.

    The model that is live or beside already is only given its newer history, whatever the plan. With nothing to
    compare it with, a first version is live at once.

    Raises:
        EndpointError: If another rollout is under way, and this one is not to replace it.
    """
    if state is None:
        return _after(None, State(live=target), "deployed", target, cause)
    under_way = state.beside
    if target.model == state.live.model:
        return _after(state, replace(state, live=target), "refreshed", target, cause)
    if under_way is not None and target.model == under_way.target.model:
        return _after(state, replace(state, beside=replace(under_way, target=target)), "refreshed", target, cause)
    if under_way is not None and not is_replacing:
        raise EndpointError(
            f"version {target.number} cannot be rolled out: the {under_way.plan.mode} rollout of version "
            f"{under_way.target.number} is under way since {under_way.step_at}, at {under_way.share:.0%}; wait for its "
            "end, take it back with `throughline rollback`, or ask for this one to replace it"
        )
    if plan.mode == "immediate":
        return _after(state, State(live=target, previous=state.live), "deployed", target, cause)
    if target.number == state.live.number:
        raise EndpointError(f"version {target.number} is live with another model; only `immediate` can exchange them")
    beside = Beside(target=target, plan=plan, id=uuid.uuid4().hex, step=0, step_at=cause.at.isoformat())
    return _after(state, replace(state, beside=beside), "begun", target, cause)


def refreshed(state: State, online: str, cause: Cause) -> State:
    """Give all versions that answer a newer history at once: side by side they must know the same.

    Args:
        state: As it is; the same comes back if they have that history already.
        online: Name of its snapshot.
        cause: Of the change.
    """
    if all(target.online == online for target in state.answering):
        return state
    live, *others = (replace(t, online=online, requested_at=cause.at.isoformat()) for t in state.answering)
    beside = None if state.beside is None else replace(state.beside, target=others[0])
    return _after(state, replace(state, live=live, beside=beside), "refreshed", live, cause)


def unrefreshed(state: State, before: State, cause: Cause) -> State:
    """Undo `refreshed`, unless other versions were asked for since.

    Args:
        state: As it is now.
        before: As it was before.
        cause: Of undoing it.
    """
    if [t.model for t in state.answering] != [t.model for t in before.answering]:
        return state
    was = before.beside
    beside = None if state.beside is None or was is None else replace(state.beside, target=was.target)
    return _after(state, replace(state, live=before.live, beside=beside), "called off", before.live, cause)


def step_on(state: State, cause: Cause) -> State:
    """Give the version beside the next share of its plan; with the last one it is live.

    Raises:
        EndpointError: If no canary is under way.
    """
    beside = state.beside
    if beside is None or beside.plan.mode != "canary":
        raise EndpointError("no canary is under way, so there is no next step")
    if beside.plan.steps[beside.step + 1] == 1.0:
        return finished(state, cause)
    after = replace(beside, step=beside.step + 1, step_at=cause.at.isoformat())
    return _after(state, replace(state, beside=after), "next step", beside.target, cause)


def finished(state: State, cause: Cause) -> State:
    """Make the version beside the live one, whatever step it is at.

    Raises:
        EndpointError: If no rollout is under way.
    """
    if state.beside is None:
        raise EndpointError("no rollout is under way, so there is none to finish")
    target = state.beside.target
    return _after(state, State(live=target, previous=state.live), "finished", target, cause)


def rolled_back(state: State, cause: Cause) -> State:
    """Take back the version beside; without one, go back to the version that was live before.

    Raises:
        EndpointError: If there is neither.
    """
    if state.beside is not None:
        return _after(state, replace(state, beside=None), "rolled back", state.beside.target, cause)
    if state.previous is None:
        raise EndpointError(f"there is no version to go back to: version {state.live.number} is the only one there is")
    # What was taken back is no previous version: going back twice must not bring it back.
    return _after(state, State(live=state.previous), "rolled back", state.live, cause)


def called_off(state: State | None, target: Target, before: State | None, cause: Cause) -> State | None:
    """Undo the request for a target that did not go live, unless something else was asked for since.

    Args:
        state: As it is now.
        target: What was asked for.
        before: The state when it was; what an immediate target goes back to.
        cause: Of calling it off.
    """
    if state is None or target not in (state.live, state.beside.target if state.beside else None):
        return state
    if state.beside is not None and target == state.beside.target:
        return _after(state, replace(state, beside=None), "called off", target, cause)
    if before is None:
        return None
    return _after(state, replace(state, live=before.live, previous=before.previous), "called off", target, cause)


def _after(before: State | None, after: State, change: Change, about: Target, cause: Cause) -> State:
    revision = 1 if before is None else before.revision + 1
    rollout = after.beside or (before.beside if before is not None else None)
    share = after.beside.share if after.beside is not None else float(after.live.model == about.model)
    event = Event(
        revision=revision,
        at=cause.at.isoformat(),
        change=change,
        from_version=None if before is None else before.live.number,
        to_version=after.live.number,
        version=about.number,
        beside=None if after.beside is None else after.beside.target.number,
        share=share,
        mode="immediate" if rollout is None else rollout.plan.mode,
        rollout=None if rollout is None else rollout.id,
        reason=cause.reason,
        by=cause.by,
    )
    return replace(after, revision=revision, event=event)
