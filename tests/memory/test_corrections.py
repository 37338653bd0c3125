"""What a person corrected stays, whatever finds the old text once more."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmreason.memory.records import BY_HAND, MemoryQuery, MemoryRecord
from mmreason.memory.store import Store
from mmreason.memory.video_memory import VideoMemory
from mmreason.types import UsageError
from mmreason.video.types import Span

HEARD = MemoryRecord("speech", Span(4, 8), "Mister Shmit speaks.", "speech recognition", "tiny")
READ = MemoryRecord("screen_text", Span(0, 60), "Bugdet", "screen reading", "ocr")


def find(memory: VideoMemory, text: str) -> list[str]:
    return [hit.record.text for hit in memory.search(MemoryQuery(text)).hits]


def test_the_new_text_is_found_and_the_old_one_is_not() -> None:
    memory = VideoMemory()
    memory.add([HEARD, READ])
    assert find(memory, "shmit") == [HEARD.text]
    new = memory.correct(HEARD.id, "Dr. Schmidt speaks.")
    assert new is not None and (new.source, new.span, new.model) == (BY_HAND, HEARD.span, "")
    assert find(memory, "schmidt") == ["Dr. Schmidt speaks."] and find(memory, "shmit") == []


def test_it_survives_what_is_found_once_more_by_the_same_or_another_part() -> None:
    memory = VideoMemory()
    memory.add([HEARD, READ])
    memory.correct(HEARD.id, "Dr. Schmidt speaks.")
    memory.correct(READ.id, "Budget")
    again = [
        HEARD,
        MemoryRecord("speech", Span(4.2, 8.3), "Mr. Smith speaks.", "speech recognition", "large"),
        MemoryRecord("screen_text", Span(1, 60), "BUGDET", "screen reading", "other"),
    ]
    elsewhere = [
        MemoryRecord("speech", Span(9, 12), "He sits down.", "speech recognition", "large"),
        MemoryRecord("screen_text", Span(0, 60), "Agenda", "screen reading", "other"),
    ]
    assert memory.add([*again, *elsewhere]) == 2
    texts = {record.text for record in memory.records}
    assert texts == {"Dr. Schmidt speaks.", "Budget", "He sits down.", "Agenda"}


def test_a_correction_may_be_corrected_and_a_record_taken_out() -> None:
    memory = VideoMemory()
    memory.add([HEARD])
    first = memory.correct(HEARD.id, "Dr. Smith speaks.")
    assert first is not None
    second = memory.correct(first.id, "Dr. Schmidt speaks.")
    assert second is not None
    assert memory.add([HEARD]) == 0 and memory.records == (second,)
    assert memory.correct(second.id, "") is None
    assert memory.add([HEARD]) == 0 and memory.records == ()


def test_an_unknown_id_is_one_line() -> None:
    with pytest.raises(UsageError, match="has no record 'sp-nothing'; mmreason cache show"):
        VideoMemory(name="talk.mp4").correct("sp-nothing", "x")


def test_what_was_corrected_is_not_forgotten_to_make_room(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.sqlite3", max_bytes=20_000) as store:
        memory = VideoMemory(store, "one")
        memory.add([HEARD])
        memory.correct(HEARD.id, "Dr. Schmidt speaks.")
        for video in range(30):
            other = VideoMemory(store, f"video {video}")
            text = "a long line " * 100
            other.add(
                [MemoryRecord("speech", Span(i, i + 1), f"{text} {i}", "x") for i in range(3)]
            )
        assert find(memory, "schmidt") == ["Dr. Schmidt speaks."]
        assert store.usage().size_bytes < 60_000
