"""The model for lmms-eval, against a stand-in with the interface that lmms-eval 0.7 publishes."""

import abc
import logging
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mmreason.evaluation import lmms_eval
from mmreason.models.base import ClipRecipe
from mmreason.models.scripted import ScriptedModel
from mmreason.types import UsageError


@dataclass
class TokenCounts:
    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None


@dataclass
class GenerationResult:
    text: str
    token_counts: TokenCounts | None = None


@dataclass
class Instance:
    request_type: str
    arguments: tuple
    idx: int

    @property
    def args(self) -> tuple:
        return self.arguments


class CacheHook:
    def __init__(self) -> None:
        self.added: list[tuple] = []

    def add_partial(self, attr: str, req: Any, res: Any) -> None:
        self.added.append((attr, req, res))


class Lmms(abc.ABC):
    """The abstract methods and the attributes of `lmms_eval.api.model.lmms`."""

    is_simple = True

    def __init__(self) -> None:
        self.cache_hook = CacheHook()
        self.task_dict: dict[str, Any] = {}

    @abc.abstractmethod
    def loglikelihood(self, requests): ...

    @abc.abstractmethod
    def generate_until(self, requests): ...

    @abc.abstractmethod
    def generate_until_multi_round(self, requests): ...

    @classmethod
    def create_from_arg_string(cls, arg_string: str, additional_config: dict | None = None):
        pairs = [pair.split("=", 1) for pair in filter(None, arg_string.split(","))]
        given = {k: v for k, v in (additional_config or {}).items() if v is not None}
        return cls(**{k: int(v) if v.isdigit() else v for k, v in pairs}, **given)


@dataclass(frozen=True)
class ModelManifest:
    model_id: str
    simple_class_path: str | None = None


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """lmms-eval as far as a model meets it."""
    contents = {
        "lmms_eval": {},
        "lmms_eval.api": {},
        "lmms_eval.api.model": {"lmms": Lmms},
        "lmms_eval.api.instance": {
            "GenerationResult": GenerationResult,
            "TokenCounts": TokenCounts,
        },
        "lmms_eval.models": {},
        "lmms_eval.models.registry_v2": {"ModelManifest": ModelManifest},
    }
    for name, values in contents.items():
        module = ModuleType(name)
        module.__dict__.update(values)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("mmreason.models.load", lambda *_, **__: _scripted())
    lmms_eval.build_model_class.cache_clear()


def _scripted() -> ScriptedModel:
    clip = ClipRecipe(frames=2, size_px=(32, 24), leaf_s=1.0)
    return ScriptedModel(lambda text, frames: "It is blue.", clip=clip)


_CONTEXT = (
    "Select the best answer.\nWhat colour is it?\nA. red\nB. blue\nC. green\n"
    "Answer with the option's letter."
)


def _request(video: Any, context: str = _CONTEXT, **settings: Any) -> Instance:
    """As tasks make them: text, settings, what to show, and where the document is."""
    return Instance(
        "generate_until", (context, settings, lambda doc: [video], 0, "task", "test"), 0
    )


def _make_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("mmreason.memory.store.default_path", lambda: tmp_path / "store.sqlite3")
    manifest = lmms_eval.model_manifest()
    module, _, name = manifest.simple_class_path.rpartition(".")
    assert (manifest.model_id, module) == ("mmreason", "mmreason.evaluation.lmms_eval")
    model_class = getattr(sys.modules[module], name)
    assert issubclass(model_class, Lmms) and model_class.is_simple
    # As lmms-eval makes it: arguments of the user, and its own.
    model = model_class.create_from_arg_string("model=nano,budget_frames=16", {"batch_size": 4})
    model.task_dict = {"task": {"test": [{}]}}
    return model


@pytest.mark.usefixtures("stand_in")
def test_tasks_get_a_letter_for_each_request_in_order(
    tmp_path: Path, clip_bytes: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip_bytes)
    model = _make_model(tmp_path, monkeypatch)
    open_question = _request(str(path), "What colour is it?", until=["blue"])
    first, second = model.generate_until([_request(str(path)), open_question])
    assert first.text == "B" and second.text.strip() == "It is"
    assert first.token_counts.input_tokens > 0
    assert [entry[0] for entry in model.cache_hook.added] == ["generate_until"] * 2
    shown = model.reasoner.model.asked
    assert shown and all(len(asked.times_s) <= 16 for asked in shown)


@pytest.mark.usefixtures("stand_in")
def test_a_request_that_fails_is_empty_and_logged_and_the_others_are_answered(
    tmp_path: Path,
    clip_bytes: bytes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip_bytes)
    model = _make_model(tmp_path, monkeypatch)
    requests = [
        _request(str(tmp_path / "gone.mp4")),
        _request(str(path), "Why? " * 5_000),
        _request(str(path)),
    ]
    with caplog.at_level(logging.WARNING):
        texts = [reply.text for reply in model.generate_until(requests)]
    assert texts == ["", "", "B"]
    assert "gone.mp4" in caplog.text and "characters" in caplog.text


@pytest.mark.usefixtures("stand_in")
def test_what_is_not_offered_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = _make_model(tmp_path, monkeypatch)
    with pytest.raises(UsageError, match=r"task 'task' shows 1 things \(int\).*video variant"):
        model.generate_until([_request(7)])
    with pytest.raises(NotImplementedError, match="generates"):
        model.loglikelihood([])
    with pytest.raises(NotImplementedError, match="single questions"):
        model.generate_until_multi_round([])


def test_the_entry_point_names_the_manifest() -> None:
    root = Path(__file__).parents[3]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (target,) = project["entry-points"]["lmms_eval.models"].values()
    assert target == f"{lmms_eval.__name__}:{lmms_eval.model_manifest.__name__}"


def test_without_lmms_eval_the_module_imports_and_the_class_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lmms_eval.build_model_class.cache_clear()
    monkeypatch.setitem(sys.modules, "lmms_eval", None)
    with pytest.raises(UsageError, match="lmms-eval, which is not installed"):
        lmms_eval.build_model_class()
    with pytest.raises(AttributeError, match="no attribute 'Other'"):
        lmms_eval.__getattr__("Other")
