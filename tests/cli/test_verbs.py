"""ask, caption, ground and inspect on a real clip, with a scripted model."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmreason.cli import main
from mmreason.models.scripted import ScriptedModel

QUESTION = "What colour is the screen?"


def test_ask_prints_answer_evidence_steps_and_cost(
    model: ScriptedModel, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", str(clip), QUESTION]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0] == f"question:    {QUESTION}"
    assert lines[1].removeprefix("answer:").strip() in ("red", "blue")
    assert any(line.startswith("evidence:    0:0") for line in lines)
    assert any(line.startswith("step 1:      caption 0:00.00-") for line in lines)
    assert lines[-1].startswith("cost:") and f"{model.calls} model calls" in lines[-1]


def test_ask_as_json_with_options_and_report(
    model: ScriptedModel, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    html, store = tmp_path / "out" / "a.html", tmp_path / "s.sqlite3"
    argv = ["ask", str(clip), QUESTION, "--option", "green", "--option", "blue", "--seed", "3"]
    assert main([*argv, "--json", "--html", str(html), "--store", str(store)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["options"], answer["choice"]) == (["green", "blue"], 1)
    assert answer["html"] == str(html) and "What colour is the screen?" in html.read_text()
    assert answer["settings"]["seed"] == 3
    assert answer["settings"]["store"] == str(store)
    assert model.calls == answer["cost"]["model_calls"] > 0


def test_ask_leaves_the_evidence_as_clips_and_frames(
    model: ScriptedModel, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "proof"
    assert (
        main(["ask", str(clip), QUESTION, "--model", "nano", "--short", "--clips", str(folder)])
        == 0
    )
    out = capsys.readouterr().out
    cut = sorted(folder.glob("*.mp4"))
    assert cut and all(f"clip:        {path}" in out.replace("\n", "") for path in cut)
    assert list(folder.glob("*.png"))


def test_a_second_run_makes_no_model_call(
    model: ScriptedModel, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    costs = []
    for _ in range(2):
        assert main(["ask", str(clip), QUESTION, "--json"]) == 0
        costs.append(json.loads(capsys.readouterr().out)["cost"])
    assert costs[0]["model_calls"] == costs[1]["cache_hits"] > 0
    assert costs[1]["model_calls"] == costs[1]["frames"] == 0


def test_a_full_hash_tells_twins_apart(
    model: ScriptedModel, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = clip.read_bytes() + bytes(4 * 2**20)
    twins = tmp_path / "a.mp4", tmp_path / "b.mp4"
    twins[0].write_bytes(data)
    twins[1].write_bytes(data[: 2**21 + 2**18] + b"x" + data[2**21 + 2**18 + 1 :])
    found: dict[str, list[int]] = {}
    for verb in (["ask", QUESTION], ["ask", QUESTION, "--full-hash"], ["caption", "--full-hash"]):
        store = str(tmp_path / f"{len(found)}.sqlite3")
        counts = []
        for twin in twins:
            before = model.calls
            assert main([verb[0], str(twin), *verb[1:], "--store", store]) == 0
            counts.append(model.calls - before)
        found[" ".join(verb)] = counts
    capsys.readouterr()
    sampled, full, caption = found.values()
    assert sampled[0] > 0 == sampled[1]
    assert full[0] == full[1] > 0 and caption == [1, 1]


def test_captions_overlap_where_that_is_asked_for(
    model: ScriptedModel, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["ask", str(clip), QUESTION, "--depth", "2", "--json"]
    spans: dict[str, list[list[float]]] = {}
    for overlap in ("0", "0.25"):
        assert main([*argv, "--overlap", overlap]) == 0
        answer = json.loads(capsys.readouterr().out)
        assert answer["settings"]["tree"]["overlap"] == float(overlap)
        calls = [step["call"] for step in answer["trace"] if step["call"]["name"] == "caption"]
        spans[overlap] = [call["arguments"]["span"] for call in calls]
    plain, wide = (pairwise(spans[overlap][:4]) for overlap in spans)
    assert all(left[1] == right[0] for left, right in plain)
    assert all(left[1] > right[0] for left, right in wide)
    assert main([*argv, "--overlap", "0.5"]) == 2
    assert "the overlap of a tree is 0 to 0.25" in capsys.readouterr().err


def test_compat_leaves_no_other_choice(
    model: ScriptedModel, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for more in (
        ["--policy", "greedy"],
        ["--depth", "2"],
        ["--shot-aligned"],
        ["--overlap", "0.1"],
    ):
        assert main(["ask", str(clip), QUESTION, "--compat", "nano", *more]) == 2
        assert capsys.readouterr().err.startswith("error: --compat sets policy and tree")
    assert model.calls == 0


def test_no_budget_gives_no_answer(
    model: ScriptedModel, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", str(clip), QUESTION, "--budget-frames", "0"]) == 3
    out = capsys.readouterr().out
    assert "answer:      No answer" in out and "confidence" not in out and "evidence" not in out
    assert "The frame budget was spent. Nothing could be answered by then." in out
    assert "looked at:   nothing" in out and "Allow more than 0 frames" in out
    assert model.calls == 0


def test_caption_of_a_part(
    model: ScriptedModel, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["caption", str(clip), "--end", "2"]) == 0
    assert capsys.readouterr().out == "all is blue.\n"
    assert main(["caption", str(clip), "--start", "2", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"schema": 2, "video": str(clip), "span": [2.0, 4.0], "text": "all is red."}


@pytest.mark.parametrize("part", [("--start", "3", "--end", "2"), ("--end", "9")])
def test_caption_outside_the_video(
    part: tuple[str, ...], model: ScriptedModel, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["caption", str(clip), *part]) == 2
    assert "shown over 0:00.00-0:04.00" in capsys.readouterr().err


def test_ground_draws_the_box_on_the_frame(
    model: ScriptedModel, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "new" / "box.png"
    argv = ["ground", str(clip), "red half", "--at", "2.55", "--out", str(picture)]
    assert main([*argv, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["status"] == "found" and found["frame_time_s"] == pytest.approx(2.5)
    assert found["boxes_px"] == [[16.0, 12.0, 48.0, 48.0]]
    with Image.open(picture) as image:
        assert image.size == (64, 48)
        pixels = np.asarray(image)
    assert pixels[30, 16].tolist() == [0, 114, 200]  # blue, as the first target of a page
    assert pixels[30, 32, 0] > 150 > pixels[30, 32, 2]


def test_ground_in_words(
    model: ScriptedModel, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = tmp_path / "drawn.png"
    assert main(["ground", str(clip), "dragon", "--out", str(drawn)]) == 3
    out = capsys.readouterr().out
    assert out.startswith("dragon: nothing found at 0:02.00\n")
    assert "picture: not written" in out and not drawn.exists()
    assert main(["ground", str(clip), "dragon", "--out", str(drawn), "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["picture"] is None
    image = tmp_path / "picture.png"
    Image.new("RGB", (100, 40), (200, 0, 0)).save(image)
    assert main(["ground", str(image), "red half"]) == 0
    assert "25.0, 10.0, 75.0, 40.0  red half" in capsys.readouterr().out


def test_inspect_tells_and_draws(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "sheet.png"
    assert main(["inspect", str(clip), "--sheet", str(sheet)]) == 0
    out = capsys.readouterr().out
    for wanted in ("codec:           h264", "64 x 48 pixels", "0:00.00 to 0:04.00", "constant, 10"):
        assert wanted in out
    with Image.open(sheet) as image:
        assert image.width > image.height > 100
    assert main(["inspect", str(clip), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frame_count"] == 40


@pytest.mark.parametrize("flag", ["--sheet", "--out"])
def test_a_picture_needs_a_known_suffix(
    flag: str, model: ScriptedModel, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verb = ["inspect", str(clip)] if flag == "--sheet" else ["ground", str(clip), "red half"]
    assert main([*verb, flag, str(tmp_path / "picture.unknown")]) == 2
    assert f"give {flag} a name that ends in .png" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["ask", "caption", "inspect", "ground", "sample"])
@pytest.mark.parametrize("content", [None, b"", b"this is no video"])
def test_unreadable_input_is_one_line_and_2(
    verb: str,
    content: bytes | None,
    model: ScriptedModel,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "clip.mp4"
    if content is not None:
        path.write_bytes(content)
    words = ["what?"] if verb in ("ask", "ground") else []
    assert main([verb, str(path), *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1
    assert "clip.mp4" in err
    assert model.calls == 0


@pytest.mark.parametrize(
    "words",
    [
        ["  "],
        ["x" * 10_000],
        ["which?", "--option", "a", "--option", "A"],
        ["which?", "--option", "a"],
    ],
)
def test_a_question_that_cannot_be_asked(
    words: list[str], model: ScriptedModel, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", str(clip), *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and len(err) < 300
    assert model.calls == 0
