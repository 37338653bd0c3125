"""What to do with a file that another reader refused, because it is in another dialect."""

from __future__ import annotations

import shlex
from pathlib import Path

from mmreason.training.data.dialects.detect import open_samples
from mmreason.training.data.dialects.rows import Dialect
from mmreason.types import UsageError


def advise_conversion(path: Path) -> str:
    """The dialect of a file and the command that makes problems of it; empty for a file of
    problems, and for one that is in no dialect that is known.

    Example:
        >>> advise_conversion(Path("train.json"))  # doctest: +SKIP
        'it is llava (9 of 9 rows have ...): mmreason data convert train.json --to problems ...'
    """
    try:
        opened = open_samples(path)
    except UsageError:
        return ""
    if opened.dialect in (Dialect.PROBLEMS, Dialect.NAVIGATION):
        return ""
    # Beside the file, and never over it.
    out = path.with_name(f"{path.stem}.problems.jsonl")
    command = f"mmreason data convert {shlex.quote(str(path))} --to problems"
    return f"it is {opened.dialect} ({opened.reason}): {command} --out {shlex.quote(str(out))}"
