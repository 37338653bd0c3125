"""Made-up benchmarks, in the files and fields that the authors of the real ones publish."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

Benchmark = Callable[[], Path]


def write_json(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def touch(*paths: Path) -> None:
    """Files that are found by their names, and never opened."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def videomme_row(place: int = 1, **changes: Any) -> dict[str, Any]:
    """As in videomme/test-00000-of-00001.parquet."""
    return {
        "video_id": "001",
        "duration": "short",
        "domain": "Knowledge",
        "sub_category": "Geography",
        "url": "https://www.youtube.com/watch?v=-a.Z_9fFjv4",
        "videoID": "-a.Z_9fFjv4",
        "question_id": f"001-{place}",
        "task_type": "Object Recognition",
        "question": "Which colour comes last?",
        "options": ["A. Red.", "B. Green.", "C. Blue.", "D. White."],
        "answer": "A",
    } | changes


def videomme_v2_row(place: int, answer: str = "H", **changes: Any) -> dict[str, Any]:
    """As in test.parquet of Video-MME-v2."""
    return {
        "video_id": "007",
        "url": "https://www.youtube.com/watch?v=abc",
        "group_type": "logic",
        "group_structure": "[1, [2, 3], 4]",
        "question_id": f"007-{place}",
        "question": "Which colour is seen?",
        "options": "\n".join(f"{letter}. shade {letter}" for letter in "ABCDEFGH"),
        "answer": answer,
        "level": "2" if place == 4 else "None",
        "second_head": "Order",
        "third_head": "None",
    } | changes


def lvbench_line(**changes: Any) -> dict[str, Any]:
    """A line of video_info.meta.jsonl."""
    return {
        "key": "Cm73ma6Ibcs",
        "type": "cartoon",
        "video_info": {"duration_minutes": 61.5, "fps": 25.0, "resolution": "640x360"},
        "qa": [
            {
                "uid": "4",
                "question": "What colour comes first?\n(A) Red\n(B) Blue\n(C) Green\n(D) White",
                "answer": "B",
                "question_type": ["entity recognition", "event understanding"],
                "time_reference": "00:15-00:19",
            },
            {
                "uid": "5",
                "question": "What colour comes last?\n(A) Red\n(B) Blue\n(C) Green\n(D) White",
                "answer": "A",
                "question_type": ["summarization"],
                "time_reference": "all of it",
            },
        ],
    } | changes


@pytest.fixture(scope="session")
def clip_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A video of two seconds at 5 Hz: blue, then red."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(10):
            pixels = np.zeros((48, 64, 3), np.uint8)
            pixels[..., 0 if number >= 5 else 2] = 220
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path.read_bytes()
