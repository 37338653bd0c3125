"""Which function reads the rows of which dialect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mmreason.training.data.dialects.conversations import read_llava, read_sharegpt, read_two_u1
from mmreason.training.data.dialects.own_problems import read_problem
from mmreason.training.data.dialects.problem_rows import (
    read_easyr1,
    read_onethinker,
    read_verl,
    read_video_r1,
    read_vlm_r1,
)
from mmreason.training.data.dialects.rows import Dialect, RowContext
from mmreason.training.data.dialects.swift_rows import read_swift
from mmreason.training.data.dialects.table_columns import read_table_row
from mmreason.training.data.dialects.trl_rows import read_trl
from mmreason.training.data.dialects.typed_messages import read_messages, read_navigation
from mmreason.training.data.sample import Sample


def _read_vlm_r1(row: Mapping[str, Any], context: RowContext) -> Sample:
    return (read_two_u1 if "conversations" in row else read_vlm_r1)(row, context)


READERS: dict[Dialect, Callable[[Mapping[str, Any], RowContext], Sample]] = {
    Dialect.PROBLEMS: read_problem,
    Dialect.NAVIGATION: read_navigation,
    Dialect.LLAVA: read_llava,
    Dialect.TWO_U1: read_two_u1,
    Dialect.SHAREGPT: read_sharegpt,
    Dialect.MS_SWIFT: read_swift,
    Dialect.MESSAGES: read_messages,
    Dialect.VIDEO_R1: read_video_r1,
    Dialect.EASYR1: read_easyr1,
    Dialect.VERL: read_verl,
    Dialect.ONETHINKER: read_onethinker,
    Dialect.TRL: read_trl,
    Dialect.VLM_R1: _read_vlm_r1,
    Dialect.TABLE: read_table_row,
}
"""Each raises BadRow for a row that is none."""
