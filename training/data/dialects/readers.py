"""Which function reads the rows of which dialect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mmreason.training.data.dialects.conversations import read_llava, read_sharegpt, read_two_u1
from mmreason.training.data.dialects.own_problems import read_problem
from mmreason.training.data.dialects.rows import Dialect, RowContext
from mmreason.training.data.dialects.table_columns import read_table_row
from mmreason.training.data.dialects.typed_messages import read_messages, read_navigation
from mmreason.training.data.sample import Sample

READERS: dict[Dialect, Callable[[Mapping[str, Any], RowContext], Sample]] = {
    Dialect.PROBLEMS: read_problem,
    Dialect.NAVIGATION: read_navigation,
    Dialect.LLAVA: read_llava,
    Dialect.TWO_U1: read_two_u1,
    Dialect.SHAREGPT: read_sharegpt,
    Dialect.MESSAGES: read_messages,
    Dialect.TABLE: read_table_row,
}
"""Each raises BadRow for a row that is none."""
