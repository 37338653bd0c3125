"""Has senses go through a video: only what is missing, the cheapest sense first, each stretch kept
as soon as it is done."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace

from mmreason.memory.sense_ledger import SenseRun, Stretch, make_owner, sum_runs
from mmreason.memory.video_memory import VideoMemory
from mmreason.senses.parts import (
    SENSE_NAMES,
    Findings,
    Sense,
    SenseMissingError,
    SenseName,
    SensePlan,
    Senses,
    read_sense_names,
)
from mmreason.video.plain_text import show_line
from mmreason.video.types import FrameSource, Span, VideoError


@dataclass(frozen=True, slots=True, kw_only=True)
class SenseStep:
    """One stretch that a sense went through, or one line on why it did not.

    Example:
        >>> step = SenseStep(sense="speech", part="tiny", span=Span(0, 9), error="no such stream")
        >>> step.is_new, step.error
        (True, 'no such stream')
    """

    sense: SenseName
    part: str = ""
    """Name of what did it; empty where nothing can."""
    span: Span
    """The stretch; all of the video for what was there already, is missing or is another's."""
    records: int = 0
    cpu_s: float = 0.0
    done: int = 0
    """Stretches until now, this one included, of those that are planned."""
    total: int = 0
    notes: tuple[str, ...] = ()
    error: str = ""
    """Why the stretch failed, or why the sense cannot be used here; empty otherwise."""
    is_new: bool = True
    """False where it was there already, or is another process's work."""


def list_sense_runs(memory: VideoMemory) -> tuple[SenseRun, ...]:
    """What senses have done of a video until now: one line for each sense and part, the cheapest
    sense first.

    Example:
        >>> list_sense_runs(VideoMemory())
        ()
    """
    runs = sum_runs(memory.list_stretches())
    order = {str(name): number for number, name in enumerate(SENSE_NAMES)}
    return tuple(sorted(runs, key=lambda run: order.get(run.sense, len(order))))


def perceive(
    video: FrameSource,
    memory: VideoMemory,
    senses: Senses,
    names: Sequence[str] | None = None,
    *,
    span: Span | None = None,
    limit_s: float | None = None,
    replaces: bool = False,
    on_progress: Callable[[SenseName, Span, int, int], None] | None = None,
) -> Generator[SenseStep]:
    """Have the senses of these names (None: all that there are) go through the video, or the
    stretches that meet `span`; one step a stretch, which is in `memory` by then.

    What is there is not made again: not what another part made either, unless it `replaces` that.
    No stretch is begun after `limit_s` seconds. `on_progress` is told the sense, the stretch that
    begins, its number from 0 and how many there are. What fails is told and does not stop the rest.
    UsageError for a name that is none.
    """
    wanted_names = senses.names if names is None else read_sense_names(names)
    end_s = None if limit_s is None else time.monotonic() + limit_s
    owner = make_owner(uuid.uuid4().hex[:8])
    parts = {part.name: part for part in senses.parts}
    try:
        for name in wanted_names:
            whole = video.info.span
            if name not in parts:
                yield SenseStep(sense=name, span=whole, error=_tell_missing(senses, name))
                continue
            try:
                plan = parts[name].plan(video)
            except (SenseMissingError, VideoError) as error:
                done = [s for s in memory.list_stretches() if s.sense == name and not s.has_failed]
                # What was made when the part was there, or elsewhere, is there still.
                yield SenseStep(
                    sense=name,
                    part=done[0].part if done else "",
                    span=whole,
                    records=sum(stretch.records for stretch in done),
                    error="" if done else str(error),
                    is_new=not done,
                )
                continue
            if busy := memory.claim_sense(name, owner):
                note = f"another process is at work on it ({busy})"
                yield SenseStep(sense=name, part=plan.part, span=whole, notes=(note,), is_new=False)
                continue
            # As it stands in the ledger: a part may be called by the path of a folder.
            plan = replace(plan, part=show_line(plan.part))
            if name == "labels":
                # Cheaper than finding them once more.
                shots = tuple(record.span for record in memory.select_leaves("shot"))
                plan = replace(plan, shots=shots)
            run = _Run(parts[name], plan, video, memory, owner)
            yield from run.go(span, end_s, replaces=replaces, on_progress=on_progress)
    finally:
        memory.release_claims(owner)


@dataclass(frozen=True, slots=True)
class _Run:
    """One sense at work on one video, under a claim."""

    sense: Sense
    plan: SensePlan
    video: FrameSource
    memory: VideoMemory
    owner: str

    def go(
        self,
        span: Span | None,
        end_s: float | None,
        *,
        replaces: bool,
        on_progress: Callable[[SenseName, Span, int, int], None] | None,
    ) -> Iterator[SenseStep]:
        """The steps of all stretches that are missing; one that is not new where none is."""
        name, plan = self.sense.name, self.plan
        # 1. What is there: by this part, or by another that stays unless it is to be replaced.
        stretches = [s for s in self.memory.list_stretches() if s.sense == name]
        others = [s for s in stretches if (s.part, s.recipe) != (plan.part, plan.recipe)]
        if any(not s.has_failed for s in others):
            if not replaces:
                yield self._tell_there(stretches, f"made by {others[0].part}, which stays")
                return
            self.memory.forget_sense(name)
            stretches = []
        done = {_to_us(s.span) for s in stretches if not s.has_failed}
        # 2. What is missing, in order of time.
        missing = [
            (number, stretch)
            for number, stretch in enumerate(plan.stretches)
            if _to_us(stretch) not in done and (span is None or stretch.overlap_s(span) > 0)
        ]
        if not missing:
            yield self._tell_there(stretches)
            return
        for number, stretch in missing:
            if end_s is not None and time.monotonic() >= end_s:
                return
            # Renewed at each stretch: a claim that is not renewed grows stale.
            self.memory.claim_sense(name, self.owner)
            if on_progress is not None:
                on_progress(name, stretch, number, len(plan.stretches))
            yield self._step(number, stretch)

    def _step(self, number: int, stretch: Span) -> SenseStep:
        plan = self.plan
        started_s = time.process_time()
        findings, error = Findings(records=()), ""
        try:
            findings = self.sense.find(self.video, plan, stretch)
        # One bad stretch, whatever a library makes of it, must not cost the others.
        except Exception as caught:
            error = _describe_error(caught)
        cpu_s = time.process_time() - started_s
        row = Stretch(
            sense=self.sense.name,
            part=plan.part,
            recipe=plan.recipe,
            span=stretch,
            planned_s=plan.planned_s,
            records=len(findings.records),
            cpu_s=round(cpu_s, 3),
            empty=findings.empty,
            repeated=findings.repeated,
            refused=findings.refused,
            notes=findings.notes,
            error=error,
        )
        # Another process may have been faster where claims were lost: then its records stand.
        is_new = self.memory.add_stretch(row, findings.records)
        return SenseStep(
            sense=self.sense.name,
            part=plan.part,
            span=stretch,
            records=len(findings.records),
            cpu_s=row.cpu_s,
            done=number + 1,
            total=len(plan.stretches),
            notes=findings.notes,
            error=error,
            is_new=is_new,
        )

    def _tell_there(self, stretches: Sequence[Stretch], *notes: str) -> SenseStep:
        done = [s for s in stretches if not s.has_failed]
        return SenseStep(
            sense=self.sense.name,
            part=done[0].part if done else self.plan.part,
            span=self.video.info.span,
            records=sum(s.records for s in done),
            done=len(done),
            total=len(self.plan.stretches),
            notes=notes,
            is_new=False,
        )


def _tell_missing(senses: Senses, name: SenseName) -> str:
    return senses.missing.get(name, f"{name} was not loaded")


def _describe_error(error: Exception) -> str:
    text = " ".join(str(error).split())[:500]
    # Errors for users speak for themselves; of others the type is told too.
    return (
        text
        if isinstance(error, ValueError | OSError) and text
        else (f"{type(error).__name__}: {text}")
    )


def _to_us(span: Span) -> tuple[int, int]:
    return round(span.start_s * 1_000_000), round(span.end_s * 1_000_000)
