"""Reading and writing the data sets and tools of the field.

    rows = [row for row in read_rows(path) if isinstance(row, ReferringRow)]

docs/grounding_data.md has each form with its fields.
"""

from __future__ import annotations

from mmreason.grounding.formats.detect import (
    DetectedForm,
    OpenedFile,
    detect_form,
    open_rows,
    read_rows,
    rows_of,
)
from mmreason.grounding.formats.rows import Form, FormError, Reading, ReferringRow, RowError
from mmreason.grounding.formats.shared_media import SharedMedia, find_shared_media

__all__ = [
    "DetectedForm",
    "Form",
    "FormError",
    "OpenedFile",
    "Reading",
    "ReferringRow",
    "RowError",
    "SharedMedia",
    "detect_form",
    "find_shared_media",
    "open_rows",
    "read_rows",
    "rows_of",
]
