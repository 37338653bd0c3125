"""The HTML report: complete, self-contained, and safe whatever the model wrote."""

import base64
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mmreason.report.html import answer_fragment, answer_page
from mmreason.types import Answer, Check, CheckKind, Evidence, StopReason
from mmreason.video.types import Span
from tests.report.conftest import make_step
from tests.report.parsed_page import ParsedPage

EVIL = '"><script>alert(1)</script><img src=http://x onerror=alert(2)>{{ 7 * 7 }}</svg></style>'


def test_page_shows_all_of_an_answer(make_answer: Callable[..., Answer]) -> None:
    page = ParsedPage(answer_page(make_answer(choice=1, options=("blue", "red"))))
    text = " ".join(page.text.split())
    for wanted in (
        "What colour is the circle?",
        "94 %",
        "An answer was found and its evidence was looked at.",
        "2 stretches of video: 1 of 2 another model (qwen) agrees, 1 of 2 not checked",
        "0:08.00 \N{EN DASH} 0:12.00",
        "“it is red.”",
        "✓ verified: another model (qwen) agrees",
        "not checked",
        "failed: no frame there",
        "8 frames · 0 tokens · 0.42 s",
        "from the store",
        "node 1.3",
        "2,060",
        "A. blue",
        "B. red ✓",
        "1, 2.5, 30, 40",
        "clip.frames",
        "/data/clip.mp4",
    ):
        assert wanted in text, wanted
    assert [a["class"] for a in page.named("h1")] == ["mmr-answer"]


def test_thumbnails_are_the_frames_of_the_evidence(make_answer: Callable[..., Answer]) -> None:
    answer = make_answer()
    images = ParsedPage(answer_page(answer)).named("img")
    assert [image["alt"] for image in images] == [
        f"Video frame at 0:{t:05.2f}" for t in answer.evidence[0].frame_times_s
    ]
    sources = [(image["src"] or "").removeprefix("data:image/jpeg;base64,") for image in images]
    assert [base64.b64decode(source) for source in sources] == list(answer.thumbnails.values())


def test_many_thumbnails_are_thinned_out_but_keep_both_ends(
    make_answer: Callable[..., Answer],
) -> None:
    times_s = tuple(8 + i / 10 for i in range(40))
    answer = make_answer(
        evidence=(Evidence(span=Span(8, 12), frame_times_s=times_s),),
        thumbnails=dict.fromkeys(times_s, b"x"),
    )
    alts = [image["alt"] for image in ParsedPage(answer_page(answer)).named("img")]
    assert len(alts) == 8
    assert (alts[0], alts[-1]) == ("Video frame at 0:08.00", "Video frame at 0:11.90")


@pytest.mark.parametrize("render", [answer_page, answer_fragment])
def test_nothing_outside_is_loaded_and_nothing_runs(
    make_answer: Callable[..., Answer], render: Callable[[Answer], str]
) -> None:
    html = render(make_answer())
    page = ParsedPage(html)
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "iframe", "object", "a"})
    assert not re.search(r"https?://|@import|url\(", html)
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("src") or "data:").startswith("data:image/jpeg;base64,") or (
            "src" not in attributes
        )


@pytest.mark.parametrize("render", [answer_page, answer_fragment])
def test_text_of_models_users_and_files_is_escaped(
    make_answer: Callable[..., Answer], render: Callable[[Answer], str]
) -> None:
    plain = make_answer(options=("a",))
    step = plain.trace[3]
    seen = replace(step.observation, text=EVIL)
    evil = make_answer(
        question=EVIL,
        text=EVIL,
        options=(EVIL,),
        video=EVIL,
        settings={EVIL: EVIL, "model": EVIL},
        evidence=tuple(replace(e, quote=EVIL) for e in plain.evidence),
        trace=(
            *plain.trace[:3],
            replace(step, thought=EVIL, observation=seen),
            replace(step, observation=replace(seen, error=EVIL)),
            *plain.trace[5:],
        ),
    )
    page = ParsedPage(render(evil))
    assert "{{ 7 * 7 }}" in page.text and "<script>alert(1)</script>" in page.text
    tags = sorted({tag for tag, _ in page.tags})
    assert tags == sorted({tag for tag, _ in ParsedPage(render(plain)).tags})
    assert len(page.named("img")) == len(plain.thumbnails)


def test_every_rule_of_the_fragment_is_scoped_and_outweighs_those_of_a_notebook(
    make_answer: Callable[..., Answer],
) -> None:
    """Notebooks style `dt`, `td`, `svg` and others with up to two classes: three outweigh them."""
    html = answer_fragment(make_answer())
    styles = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    rules = re.sub(r"/\*.*?\*/", "", "".join(styles), flags=re.DOTALL)
    selectors = [part for part in re.findall(r"([^{};]+)\{", rules) if "@media" not in part]
    for part in (part for selector in selectors for part in re.split(r",(?![^(]*\))", selector)):
        assert part.strip().startswith(".mmr.mmr.mmr"), part
    assert "all: revert" in styles[0], "what the notebook says is first taken back"
    assert not re.findall(r"<svg[^>]* height=", html), "a notebook's rule beats the attribute"


def test_a_page_of_its_own_has_plain_rules(make_answer: Callable[..., Answer]) -> None:
    assert ".mmr.mmr" not in answer_page(make_answer())


@pytest.mark.parametrize("reason", list(StopReason))
def test_an_empty_answer_says_why(make_answer: Callable[..., Answer], reason: StopReason) -> None:
    answer = make_answer(
        text="", confidence=None, evidence=(), trace=(), thumbnails={}, stop_reason=reason
    )
    text = ParsedPage(answer_page(answer)).text
    assert "No answer" in text
    assert "best answer" not in text
    assert "Confidence" not in text and "Looked at nothing" in " ".join(text.split())


def test_an_answer_about_a_video_without_length_has_no_timeline(
    make_answer: Callable[..., Answer],
) -> None:
    page = ParsedPage(answer_page(make_answer(duration_s=0.0, trace=(), evidence=())))
    assert not page.named("svg")


def test_save_html_and_notebook_repr(make_answer: Callable[..., Answer], tmp_path: Path) -> None:
    answer = make_answer()
    path = answer.save_html(tmp_path / "new" / "report.html")
    assert path.read_text(encoding="utf-8") == answer_page(answer)
    assert answer._repr_html_() == answer_fragment(answer)
    assert "<html" not in answer_fragment(answer)


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_colours_have_contrast_in_both_schemes(make_answer: Callable[..., Answer]) -> None:
    """WCAG AA asks for 4.5 : 1 between text and what is behind it."""
    html = answer_fragment(make_answer())
    schemes = re.findall(r"--ink:.*?--caption", html, re.DOTALL)
    assert len(schemes) == 2
    for scheme in schemes:
        colours = dict(re.findall(r"--([\w-]+): (#\w{6})", scheme))
        pairs = [("ink", "paper"), ("soft", "paper"), ("soft", "shade"), ("warn-ink", "paper")]
        pairs += [("warn-ink", "warn-tint"), ("accent-ink", "accent-tint")]
        for front, back in pairs:
            low, high = sorted((_luminance(colours[front]), _luminance(colours[back])))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (front, back)


def test_a_long_trace_is_folded_and_complete(hour: Answer) -> None:
    page = ParsedPage(answer_page(hour))
    text = " ".join(page.text.split())
    folds = page.named("details")
    assert len(folds) == 15 + 1  # rounds, and the settings
    assert sum("open" in attributes for attributes in folds) == 2
    for wanted in (
        "15 rounds; those that the evidence does not rest on are folded",
        "caption \N{MULTIPLICATION SIGN} 6",
        "nodes 4.3.1 to 4.3.6",
        "33:20.00 \N{EN DASH} 33:28.33",
        "<b>no</b> call",
        "failed: found no tag",
        "the word STAR",
        "30:00 to 40:00, closer",
        "looks again at the evidence",
        "limit 400",
        "(2 reasoner, 27 observer, 1 checker)",
    ):
        assert wanted in text, wanted


def test_a_page_about_ten_hours_stays_small(hour: Answer) -> None:
    trace = hour.trace[:18] * 30
    assert len(answer_page(replace(hour, trace=trace, duration_s=36_000.0))) < 1_000_000


def test_a_decline_has_no_headline_answer_bar_or_evidence(
    make_answer: Callable[..., Answer],
) -> None:
    answer = make_answer(
        text="",
        confidence=None,
        evidence=(),
        stop_reason=StopReason.ABSTAINED,
        next_steps=("Name another model.", "Give subtitles."),
    )
    for page in (ParsedPage(answer_page(answer)), ParsedPage(answer_fragment(answer))):
        text = " ".join(page.text.split())
        assert "No answer" in text and "Looked at 1 place (0:08.00-0:12.00)" in text
        assert "What to do next Name another model. Give subtitles." in text
        assert "Confidence" not in text and "mmr-meter" not in str(page.tags)
        assert not any("mmr-card" in str(attributes) for _, attributes in page.tags)


def test_only_a_calibrated_confidence_has_a_bar(make_answer: Callable[..., Answer]) -> None:
    measured, own = make_answer(), make_answer(confidence_calibrated=False)
    assert "Confidence 94 %" in " ".join(ParsedPage(answer_page(measured)).text.split())
    text = " ".join(ParsedPage(answer_page(own)).text.split())
    assert "Confidence model's own 94 %, not calibrated" in text
    assert "mmr-meter" in str(ParsedPage(answer_page(measured)).tags)
    assert "mmr-meter" not in str(ParsedPage(answer_page(own)).tags)


def test_overlapping_bars_of_one_kind_never_add_up(make_answer: Callable[..., Answer]) -> None:
    """What is not verified has a colour of its own, without opacity."""
    (style,) = re.findall(r"<style>(.*?)</style>", answer_page(make_answer()), re.DOTALL)[:1]
    faint = [line for line in style.splitlines() if "mmr-dim" in line]
    assert len(faint) == 3 and all("fill: var(--" in line for line in faint)
    assert not any("opacity" in line for line in faint)


def test_how_many_frames_are_shown_is_said(make_answer: Callable[..., Answer]) -> None:
    plain = make_answer()
    first = plain.evidence[0]
    wide = replace(first, frame_times_s=(*first.frame_times_s, 11.7, 11.8))
    text = ParsedPage(answer_page(make_answer(evidence=(wide,)))).text
    assert "4 of 6 frames shown" in text
    assert "frames shown" not in ParsedPage(answer_page(plain)).text.split("Cost")[0]


def test_calls_that_say_the_same_are_one_row(make_answer: Callable[..., Answer]) -> None:
    same = "this is outside my world."
    trace = tuple(
        make_step("caption", Span(4 * i, 4 * i + 4), same, node=(i + 1,)) for i in range(5)
    )
    page = ParsedPage(answer_page(make_answer(trace=trace, evidence=(), text="red")))
    body = page.text[page.text.index("Steps") :]
    assert body.count(same) == 1 and "caption \N{MULTIPLICATION SIGN} 5" in body


def test_a_tool_and_its_place_are_parted(make_answer: Callable[..., Answer]) -> None:
    """They lie in a flexible row, which drops white space."""
    style = answer_fragment(make_answer())
    (lead,) = re.findall(r"\.mmr-lead \{([^}]*)\}", style)
    assert "gap: 0 .5rem" in lead


def test_a_quotation_of_subtitles_says_where_it_is_from(make_answer: Callable[..., Answer]) -> None:
    quoted = Evidence(
        span=Span(8, 12),
        quote="It is <b>red</b>.",
        source="subtitles",
        check=Check(kind=CheckKind.TRANSCRIPT, by="talk.srt", agreed=True),
    )
    used = {"path": "/a/talk.srt", "lines": 1, "matching_passages": 1, "notes": ["a guess"]}
    answer = make_answer(
        text='The subtitles say: "It is red."',
        evidence=(quoted,),
        confidence=None,
        settings={"subtitles": used},
    )
    page = ParsedPage(answer_page(answer))
    text = " ".join(page.text.split())
    assert "verified: stands in the transcript" in text and "from the subtitles" in text
    assert "No model had an answer: matching lines of the subtitles are quoted." in text
    assert "talk.srt: 1 line, 1 passage matches the question" in text and "a guess" in text
    assert not any(tag == "b" and "red" in str(a) for tag, a in page.tags)
