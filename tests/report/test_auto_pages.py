"""Answers of the default policy for larger models can be shown, whatever their traces hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmreason import Reasoner
from mmreason.evaluation.natural.cards import CardVideo
from mmreason.memory.store import Store
from mmreason.natural.observers import make_observer
from mmreason.natural.questions import draw_items
from mmreason.natural.reasoners import make_reasoner
from mmreason.natural.scripts import draw_script, script_subtitles, script_world
from mmreason.report.html import answer_page
from mmreason.video import Video


@pytest.mark.parametrize("reasoner", ["", "strong"])
def test_every_answer_has_a_page(tmp_path: Path, reasoner: str) -> None:
    script = draw_script("cooking", 3, 1800.0)
    items = draw_items(script, ("en",))
    observer = make_observer(script, items)
    decider = make_reasoner(reasoner, script.genre, items) if reasoner else observer
    asker = Reasoner(decider, observer=observer, store=Store.open(tmp_path / "s.sqlite"))
    path = script_world(script, "en").save(tmp_path / "cook.json")
    with Video.open(path) as video:
        for item in items:
            answer = asker.ask(
                CardVideo(video, script),
                item.question,
                options=item.options or None,
                subtitles=script_subtitles(script, "en"),
            )
            assert answer.settings["policy"]["name"] in answer_page(answer)
