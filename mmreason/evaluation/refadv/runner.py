"""Asks subjects every case, resumable: an outcome a line, whole as soon as it is there.

A folder holds `run.json` (what is measured), `items.jsonl` (the items, so that the pages can draw
them) and `results.jsonl`. A run that was cut short goes on where it ended. A case that fails is an
outcome with an error, and scores 0.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from mmreason.evaluation.refadv.cases import RefAdvCase
from mmreason.evaluation.refadv.outcomes import CaseOutcome
from mmreason.evaluation.refadv.scoring import score_answer
from mmreason.evaluation.refadv.subjects import Subject, ask_subject
from mmreason.evaluation.runs import check_same_run
from mmreason.grounding import Box, iou
from mmreason.json_lines import (
    append_lines,
    encode_json_line,
    mend_last_line,
    require_json_lines,
)
from mmreason.json_values import to_json

OnProgress = Callable[[int, int], None]
_Key = tuple[str, str, str, int]
_AHEAD = 4
"""Cases that wait for each worker: enough to keep it busy, few enough to end soon."""


def run_cases(
    subjects: Sequence[Subject],
    cases: Sequence[RefAdvCase],
    folder: Path,
    *,
    settings: Mapping[str, Any],
    workers: int = 1,
    on_progress: OnProgress | None = None,
) -> Path:
    """Ask what has no outcome in `folder` yet; returns the path of `results.jsonl`.

    `settings` is what makes the cases: seed, counts, knobs. `on_progress(done, total)` is called
    after each outcome. Outcomes do not depend on `workers` (threads: what waits for a server), but
    the order of the lines does. Raises UsageError where the folder holds a run of other cases, or
    of a subject of the same name with other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    check_same_run(to_json(settings), folder / "run.json")
    for subject in subjects:
        # One file a subject: another may join the run later.
        check_same_run(to_json(subject.settings), folder / "subjects" / f"{_slug(subject)}.json")
    results = folder / "results.jsonl"
    mend_last_line(results)
    done = {outcome.key for outcome in read_outcomes(results)}
    waiting = [
        (subject, case)
        for subject in subjects
        for case in cases
        if (subject.name, *case.key) not in done
    ]
    total = len(subjects) * len(cases)
    count = total - len(waiting)
    for outcome in _ask(waiting, workers):
        append_lines(results, encode_json_line(outcome.to_dict()))
        count += 1
        if on_progress is not None:
            on_progress(count, total)
    return results


def read_outcomes(path: Path) -> list[CaseOutcome]:
    """All outcomes of a run, each once, in an order that does not depend on how it was run. Raises
    UsageError naming the first line that is none, but for a torn last one."""
    if not path.is_file():
        return []
    outcomes: dict[_Key, CaseOutcome] = {}
    for line in require_json_lines(path, CaseOutcome.from_dict, is_resumed=True):
        # Two runs in one folder may have asked a case twice: the first counts.
        outcomes.setdefault(line.row.key, line.row)
    return [outcomes[key] for key in sorted(outcomes)]


def ask_case(subject: Subject, case: RefAdvCase) -> CaseOutcome:
    """Ask one case and score the answer."""
    started = time.perf_counter()
    grounding = ask_subject(subject, case)
    seconds = time.perf_counter() - started
    return score_answer(
        case, subject.name, grounding, ceiling=_ceiling(subject, case), seconds=seconds
    )


def _ask(waiting: Sequence[tuple[Subject, RefAdvCase]], workers: int) -> Iterator[CaseOutcome]:
    if workers <= 1:
        for subject, case in waiting:
            yield ask_case(subject, case)
        return
    with ThreadPoolExecutor(workers) as pool:
        pending: set[Future[CaseOutcome]] = set()
        try:
            for subject, case in waiting:
                pending.add(pool.submit(ask_case, subject, case))
                if len(pending) >= workers * _AHEAD:
                    ready, pending = wait(pending, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in ready)
            for future in list(pending):
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _ceiling(subject: Subject, case: RefAdvCase) -> float | None:
    """IoU of the target's own box with itself as the subject would write it."""
    if case.change != "original" or len(case.target_ids) != 1:
        return None
    box: Box | None = case.footage.boxes(case.footage.moment_s).get(case.target_ids[0])
    if box is None:
        return None
    written = subject.write_box(box, case.footage.size_px)
    return None if written is None else iou(box, written)


def _slug(subject: Subject) -> str:
    # With a digest: two names may differ in what no name of a file may hold.
    letters = "".join(c if c.isascii() and c.isalnum() else "_" for c in subject.name)[:60]
    return f"{letters}-{hashlib.sha256(subject.name.encode(errors='replace')).hexdigest()[:8]}"
