"""What a model can do, found out by asking: the tier, and the table of the doctor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mmreason import Reasoner, models
from mmreason.audit.model_checks import check_model
from mmreason.cli import main
from mmreason.memory.store import Store
from mmreason.models.base import GenerateRequest
from mmreason.models.endpoint import EndpointModel
from mmreason.models.probe import ProbeFile, ProbeResult, probe_model
from mmreason.models.scripted import ScriptedModel
from mmreason.models.tier import tier_of_name
from tests.models.servers import Back, Script, Sent, completion, in_turn, serving, user

CALL = {"id": "c1", "function": {"name": "mark_time", "arguments": '{"time_s": 12.5}'}}


def able(*lacks: str) -> Script:
    """A server whose model can do all that is tried, but for what it `lacks`."""

    def script(sent: Sent) -> Back:
        text = json.dumps(sent.body["messages"])
        if "mark_time" in text:
            if "tools" in lacks and "tools" in sent.body:
                return Back({"error": {"message": "tools are not supported"}}, 400)
            called: dict[str, Any] = {"message": {"content": None, "tool_calls": [CALL]}}
            return Back(completion("12.5 s") if "tools" in lacks else {"choices": [called]})
        if "second colour" in text or "comes second" in text:
            return Back(completion("red" if "clips" in lacks else "Blue."))
        if "changes its colour" in text:
            return Back(completion("41"))
        if "JSON object" in text:
            written = '{"animal": "dog", "time_s": 4}'
            return Back(completion("a dog" if "json" in lacks else written))
        # 320 x 448 pixels in thousandths, from left, top to right, bottom.
        return Back(completion('[{"bbox_2d": [357, 300, 643, 700], "label": "square"}]'))

    return script


@pytest.mark.parametrize(
    ("lacks", "tier"), [((), "strong"), (("clips",), "small"), (("tools",), "small")]
)
def test_a_model_that_does_all_three_is_strong(lacks: tuple[str, ...], tier: str) -> None:
    with serving(able(*lacks), "my-model") as server:
        model = EndpointModel.connect(server.url)
        assert probe_model(model).tier == tier
        model.close()
    assert len(server.chats) <= 4


def test_a_probe_is_made_once_and_kept(tmp_path: Path) -> None:
    kept = tmp_path / "probes.json"
    with serving(able(), "my-model") as server:
        for _ in range(2):
            model = models.load(server.url, probe=None, probe_file=kept)
            assert model.tier == "strong" and any("by a probe" in note for note in model.notes)
            assert model.clip.answer_tokens == 512
        assert len(server.chats) == 3
        declared = models.load(server.url, probe=None, options={"tier": "small"})
        assert declared.tier == "small" and len(server.chats) == 3
    kept.write_text("{")
    assert ProbeFile(kept).read_result("any") is None


@pytest.mark.parametrize(("name", "probe"), [("Qwen3-VL-8B", None), ("my-model", False)])
def test_nobody_is_asked_where_the_name_tells_or_the_user_says_so(name, probe) -> None:
    with serving(able(), name) as server:
        model = models.load(server.url, probe=probe)
        assert model.tier == "small" and not server.chats


def test_a_hosted_server_is_never_probed_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmreason.models.endpoint.is_own_network", lambda url: False)
    with serving(able(), "my-model") as server:
        for probe, count in ((None, 0), (True, 3)):
            models.load(server.url, probe=probe)
            assert len(server.chats) == count


def test_the_reasoner_keeps_probes_in_the_cache_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with serving(able(), "my-model") as server:
        reasoner = Reasoner.load(server.url, store=Store.in_memory())
        assert reasoner.model.tier == "strong"
    assert len(json.loads((tmp_path / "mmreason" / "probes.json").read_text())) == 1


def test_a_server_that_fails_is_small_and_says_so() -> None:
    with serving(in_turn(Back({"error": "no"}, 403)), "my-model") as server:
        model = EndpointModel.connect(server.url)
        result = probe_model(model)
        model.close()
    assert result == ProbeResult(sees_clips=False, calls_tools=False, writes_json=False)
    assert "nothing worked" in str(result)


@pytest.mark.parametrize(
    ("name", "tier"),
    [
        ("Qwen/Qwen3-VL-235B-A22B-Instruct", "strong"),
        ("Qwen3-VL-30B-A3B-Instruct-FP8", "small"),
        ("qwen2.5vl:72b", "strong"),
        ("gemma3:27b-it-q4_K_M", "strong"),
        ("SmolVLM2-500M-Video-Instruct", "small"),
        ("SmolVLM2-2.2B-Instruct", "small"),
        ("mixtral-8x7b", "small"),
        ("gpt-4o-mini", "small"),
        ("gpt-5.1", "strong"),
        ("models/gemini-2.5-pro", "strong"),
        ("claude-haiku-4-5", "small"),
        ("InternVL3_5-38B", "strong"),
        ("my-model", None),
        ("nano", "nano"),
        ("/srv/models/nano", "nano"),
    ],
)
def test_names_that_tell_a_size_tell_the_tier(name: str, tier: str | None) -> None:
    assert tier_of_name(name) == tier


def test_the_doctor_says_what_works_of_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(able("json"), "my-model") as server:
        code = main(["doctor", "--model", server.url, "--option", "image_format=png"])
        out = capsys.readouterr().out
        assert code == 0
    lines = {line.split(":")[0].split()[-1]: line for line in out.splitlines()}
    assert all(lines[name].startswith("ok") for name in ("answers", "clips", "times", "tools"))
    assert lines["boxes"].startswith("ok") and "norm_1000" in lines["boxes"]
    assert lines["JSON"].startswith("warn") and "a dog" in lines["JSON"]
    assert "data:image/png" in json.dumps(server.chats[0].body)


def test_the_doctor_exits_1_where_nothing_works(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(in_turn(Back({"error": "no GPU"}, 400)), "my-model") as server:
        assert main(["doctor", "--model", server.url, "--json"]) == 1
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["answers"]["status"] == "fail" and "no GPU" in checks["answers"]["found"]
    assert main(["doctor", "--option", "tier=small"]) == 2
    assert main(["doctor", "--model", "nano", "--option", "teir=small"]) == 2
    assert "did you mean tier?" in capsys.readouterr().err


def test_a_silent_model_fails_every_check_without_an_error() -> None:
    checks = {check.name: check.status for check in check_model(ScriptedModel(lambda *_: ""))}
    assert checks["answers"] == "fail" and checks["clips"] == "warn"


def test_a_model_that_loses_its_tools_on_the_way_is_told_of(capsys) -> None:
    with serving(able("tools"), "my-model") as server:
        model = EndpointModel.connect(server.url)
        checks = {check.name: check for check in check_model(model)}
        model.generate(GenerateRequest([user()]))
        model.close()
    assert checks["tools"].status == "warn" and not model.takes_tools
    assert any("takes no tools" in check.found for check in checks.values())
