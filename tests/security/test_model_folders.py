"""Model folders that mean harm: code, pickles, pipes, links, bombs, templates without an end."""

from __future__ import annotations

import ast
import builtins
import json
import os
import pickle
import resource
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.utils.chat_template_utils import render_jinja_template

from mmreason import models
from mmreason.models.base import GenerateRequest, Message, TextPart
from mmreason.models.chat_templates import check_operations, within_limits
from mmreason.models.folders import NANO_FOLDER, clip_recipe_from, fingerprint_of
from mmreason.types import UsageError
from mmreason.video.model_folders import MOST_TEMPLATE_BYTES, check_model_folder

ROOT = Path(models.__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder that loads."""
    shutil.copytree(NANO_FOLDER, tmp_path / "model")
    return tmp_path / "model"


def edit(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def refusal(folder: Path) -> str:
    """The one line with which loading is refused, soon and without asking anybody."""
    began = time.monotonic()
    with pytest.raises(UsageError) as error:
        models.load(str(folder))
    line = str(error.value)
    assert time.monotonic() - began < 60 and "\n" not in line and "\x1b" not in line
    assert folder.name in line and len(line) < 800
    return line


@pytest.fixture
def silent_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks a question fails the test."""

    def ask(*_: Any) -> str:
        raise AssertionError("something was asked on stdin")

    monkeypatch.setattr(builtins, "input", ask)
    monkeypatch.setattr(sys, "stdin", None)


@pytest.mark.parametrize("known_type", [True, False], ids=["known type", "new type"])
@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "processor_config.json"])
def test_code_of_a_folder_is_not_run_and_nobody_is_asked(folder, silent_stdin, name, known_type):
    marker = folder / "ran"
    (folder / "evil.py").write_text(f"open({str(marker)!r}, 'w')\nclass Evil: pass\n")
    kinds = ("AutoConfig", "AutoModelForImageTextToText", "AutoProcessor", "AutoModelForCausalLM")
    code = {kind: "evil.Evil" for kind in kinds} | {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}
    edit(folder / name, auto_map=code)
    if not known_type:
        edit(folder / "config.json", model_type="evil", auto_map=code)
        assert "never run (trust_remote_code=False)" in refusal(folder)
    else:
        try:
            models.load(str(folder))
        except UsageError as error:
            assert "\n" not in str(error)
    assert not marker.exists()


def test_every_auto_class_is_told_to_run_no_code() -> None:
    """In the source: each `Auto*.from_pretrained`, or one by a variable, says so."""
    for path in sorted(ROOT.glob("*/**/*.py")):
        if path.relative_to(ROOT).parts[0] not in ("mmreason", "training", "grounding", "video"):
            continue
        source = path.read_text(encoding="utf-8")
        for call in ast.walk(ast.parse(source if "from_pretrained" in source else "")):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
                continue
            owner = ast.unparse(call.func.value)
            auto = call.func.attr == "from_pretrained" and (
                owner.startswith("Auto") or owner in ("kind", "reader")
            )
            if auto:
                names = {word.arg for word in call.keywords}
                settings = "settings" in [ast.unparse(w.value) for w in call.keywords if not w.arg]
                assert "trust_remote_code" in names or settings, f"{path}:{call.lineno}"


def test_every_call_of_a_loader_is_told_to_run_no_code(folder, monkeypatch) -> None:
    import transformers

    told = []
    for name in ("AutoConfig", "AutoProcessor", "AutoModelForImageTextToText"):
        kind = getattr(transformers, name)
        plain = kind.from_pretrained

        def spy(*arguments: Any, _plain: Any = plain, **settings: Any) -> Any:
            told.append(settings.get("trust_remote_code"))
            return _plain(*arguments, **settings)

        monkeypatch.setattr(kind, "from_pretrained", spy)
    models.load(str(folder))
    assert len(told) >= 3 and set(told[:1]) == {False} and told.count(False) >= 3


class _Evil:
    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self) -> Any:
        return (open, (str(self.marker), "w"))


def test_pickled_weights_are_refused_by_name_and_not_read(folder) -> None:
    marker = folder / "ran"
    (folder / "model.safetensors").unlink()
    for name in ("pytorch_model.bin", "model.pt", "model.ckpt"):
        (folder / name).write_bytes(pickle.dumps(_Evil(marker)))
        line = refusal(folder)
        assert name in line and ".safetensors" in line
        (folder / name).unlink()
    assert not marker.exists()


def test_a_pickle_beside_safetensors_is_not_read(folder) -> None:
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(_Evil(folder / "ran")))
    torch.manual_seed(0)
    assert models.load(str(folder)).fingerprint and not (folder / "ran").exists()


@pytest.mark.parametrize("how", ["pipe", "device", "ring", "folder", "nowhere"])
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "extra.txt", "mmreason.json"])
def test_what_is_no_regular_file_is_refused_without_waiting(folder, name, how) -> None:
    (folder / name).unlink(missing_ok=True)
    if how == "pipe":
        os.mkfifo(folder / name)
    elif how == "folder":
        (folder / name).mkdir()
    else:
        targets = {"device": "/dev/zero", "ring": str(folder / name), "nowhere": "/no/such/file"}
        (folder / name).symlink_to(targets[how])
    refusal(folder)
    if how == "pipe":
        with pytest.raises(UsageError, match="is no regular file"):
            fingerprint_of(folder)


@pytest.mark.parametrize(
    "shard", ["../outside.safetensors", "/etc/passwd", "a/../../b", "", 3, None]
)
def test_an_index_of_weights_stays_in_its_folder(folder, shard) -> None:
    shutil.move(folder / "model.safetensors", folder.parent / "outside.safetensors")
    index = {"metadata": {}, "weight_map": {"lm_head.weight": shard}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "model.safetensors.index.json" in refusal(folder)


MUCH_OF_LITTLE = [
    "{{ '%999999999d' % 1 }}",
    "{{ '%*d' % (999999999, 1) }}",
    "{{ messages[0].content[2:] % 1 }}",
    "{{ 'x' * 10000 * 10000 }}",
    "{{ 999999999 * 'x' }}",
    "{{ [0] * 999999999 }}",
    "{{ 9 ** 999999999 }}",
    "{% set n = 2 ** 9999 %}{{ n * n * n }}",
    "{{ 'x'.ljust(999999999) }}",
    "{{ 'x'['cen' ~ 'ter'](999999999) }}",
    "{{ ('x'|attr('zfill'))(999999999) }}",
    "{% set pad = 'x'.rjust %}{{ pad(999999999) }}",
    "{{ '\t'.expandtabs(999999999) }}",
    "{{ (1).to_bytes(999999999, 'big') }}",
    "{{ ('x' * 9999).replace('x', 'y' * 9999) }}",
    "{{ ('x' * 9999).join(['y'] * 9999) }}",
    "{{ 'x'.translate({120: 'y' * 9999999}) * 9 }}",
    "{{ '{:999999999}'.format(1) }}",
    "{{ '{x:999999999}'.format_map({'x': 1}) }}",
    "{{ 'x'|center(999999999) }}",
    "{{ ['x']|map('center', 999999999)|first }}",
    "{% filter center(999999999) %}x{% endfilter %}",
    "{{ 'x'|indent(999999999, true) }}",
    "{{ 'x'|indent('y' * 9999999, true) * 2 }}",
    "{{ '%999999999d'|format(1) }}",
    "{{ ('x' * 9999)|replace('x', 'y' * 9999) }}",
    "{{ range(99999)|join('y' * 9999) }}",
    "{{ [1]|tojson(indent=999999999) }}",
    "{{ [1]|batch(999999999, 0)|list }}",
    "{{ [1]|slice(999999999)|list }}",
    "{{ 1|round(999999999, 'ceil') }}",
    "{{ 'x y'|wordwrap(1, true, 'y' * 9999) }}",
    "{{ lipsum(999999999) }}",
    "{{ strftime_now('%c' * 999999) }}",
    "{{ dict.fromkeys(range(99999), 'x' * 9999) }}",
    "{{ [0]|map('default', 'x' * 9999999, true)|list }}",
    "{{ messages|tojson" + "|tojson" * 60 + " }}",
    "{{ messages" + "|list|string" * 30 + " }}",
    "{{ " + "[" * 40 + "messages" + "]|string" * 40 + " }}",
    "{% set x = 'x' * 9999999 %}{{ x" + " ~ x" * 99 + " }}",
    "{% set x = 'x' * 9999999 %}{{ [x" + ", x" * 99 + "] }}",
    "{% set a = ['x'] %}" + "{% set a = [a, a, a, a] %}" * 40 + "{{ a }}",
]
"""Templates without a loop that would write gigabytes or reckon for hours."""
BROKEN = {
    "deep config": ("config.json", "[" * 100_000),
    "config of a list": ("config.json", "[]"),
    "config of a text": ("config.json", '"a"'),
    "no config": ("config.json", "{}"),
    "half a config": ("config.json", '{"model_type": "qwen3_vl"'),
    "config of wrong types": ("config.json", '{"model_type": ["a"], "hidden_size": {}}'),
    "no index": ("model.safetensors.index.json", "[]"),
    "empty weights": ("model.safetensors", ""),
    "huge header": ("model.safetensors", "\xff\xff\xff\xff\xff\xff\xff\x7f{}"),
    "bad header": ("model.safetensors", "\x02\0\0\0\0\0\0\0{]"),
    "bad tokenizer": ("tokenizer.json", '{"version": "1.0", "model": {"type": "BPE"}}'),
    "deep tokenizer": ("tokenizer.json", "[" * 100_000),
    "tokenizer of a list": ("tokenizer_config.json", "[1]"),
    "bad processor": ("processor_config.json", '{"processor_class": 3}'),
    "generation of a list": ("generation_config.json", "[3]"),
    "escape in a type": ("config.json", '{"model_type": "\\u001b[2J\\n\\n"}'),
    "large template": ("chat_template.jinja", "a" * (MOST_TEMPLATE_BYTES + 1)),
    "template without end": ("chat_template.jinja", "{% for a in messages %}"),
    "forbidden template": (
        "chat_template.jinja",
        "{{ messages.__class__.__mro__ }}{{ ''.format.__globals__ }}",
    ),
    "template that raises": ("chat_template.jinja", "{{ raise_exception('\x1b[2J a\nb') }}"),
    "template of wrong types": ("chat_template.jinja", "{{ messages + 3 }}"),
    "template of zero": ("chat_template.jinja", "{{ 1 // 0 }}"),
    "template that calls itself": (
        "chat_template.jinja",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    ),
    "template of long loops": (
        "chat_template.jinja",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    ),
    "template that doubles": (
        "chat_template.jinja",
        "{% set n = namespace(x='aaaaaaaa') %}{% for a in range(60) %}{% set n.x = n.x ~ n.x %}"
        "{% endfor %}",
    ),
    "template that writes without end": (
        "chat_template.jinja",
        "{% for a in range(99999) %}{{ 'a' * 100 * 1 ~ 'b' * 99 }}{% for b in range(9) %}"
        "{{ messages|string * 9 }}{% endfor %}{% endfor %}",
    ),
    "range beyond its limit": (
        "chat_template.jinja",
        "{% for a in range(999999999) %}{% endfor %}",
    ),
    "template of a power": ("chat_template.jinja", "{{ 9 ** 999999999 }}"),
    "template of a product": ("chat_template.jinja", "{{ 'a' * 99999999999 }}"),
    "template of a width": ("chat_template.jinja", "{{ '%999999999d' % 1 }}"),
    "recipe of a list": ("mmreason.json", "[]"),
    "endless recipe": ("mmreason.json", '{"clip_frames": 8, "leaf_s": 1e999}'),
    "deep recipe": ("mmreason.json", '{"a": ' + "[" * 100_000),
    "recipe of a text": ("mmreason.json", '{"clip_frames": "8", "leaf_s": 3}'),
    "recipe of too many frames": ("mmreason.json", '{"clip_frames": 99999999, "leaf_s": 3}'),
    "recipe of one side": (
        "mmreason.json",
        '{"clip_frames": 8, "leaf_s": 3, "clip_size_px": [64]}',
    ),
    "recipe of a huge side": (
        "mmreason.json",
        '{"clip_frames": 8, "leaf_s": 3, "clip_size_px": [99999999, 64]}',
    ),
    "recipe of other prompts": (
        "mmreason.json",
        '{"clip_frames": 8, "leaf_s": 3, "prompts": {"a": "b"}}',
    ),
    "recipe that is not UTF-8": ("mmreason.json", "\xff\xfe"),
    "calibration of a list": ("scripted_world.json", "[]"),
    "endless calibration": ("scripted_world.json", '{"question": [[0.5, 1e999]]}'),
    "deep calibration": ("scripted_world.json", "[" * 100_000),
}


@pytest.mark.parametrize("template", MUCH_OF_LITTLE)
def test_a_template_that_makes_much_of_little_is_refused_at_once(template) -> None:
    """No loop, so that only what is about to be made can be measured; rendered as the libraries
    do, without a model."""
    began, memory = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UsageError) as error, within_limits("m"):
        check_operations(template, "m")
        render_jinja_template(
            [[{"role": "user", "content": "\\ %999999999d"}]], chat_template=template
        )
    assert "\n" not in str(error.value)
    assert time.process_time() - began < 10.0  # unbounded ones take minutes, or all memory
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 400_000, "in KiB"


USUAL = r"""{%- set ns = namespace(text='', count=0) %}{%- for message in messages %}
{%- if (message['role'] == 'user') != (ns.count % 2 == 0) %}{{ raise_exception('no') }}{% endif %}
{%- set ns.count = ns.count + 1 %}{%- set content = message.content|trim|replace('\\', '/') %}
{{- '<|' + message.role ~ '|>' + content.split('</think>')[-1].lstrip('\n')|indent(4) }}
{{- [message]|map(attribute='role')|join(', ') ~ message|tojson(indent=4) ~ '-' * 3 }}
{{- strftime_now('%Y')|length ~ (messages|selectattr('role', 'equalto', 'user')|list|length) }}
{%- endfor %}{%- if add_generation_prompt %}<|assistant|>{%- endif %}"""


def test_a_template_of_the_usual_kind_writes_as_without_limits() -> None:
    turns = [[{"role": "user", "content": "a\\b</think>\nhello\nthere"}]]
    check_operations(USUAL, "m")
    with within_limits("m"):
        limited = render_jinja_template(turns, chat_template=USUAL, add_generation_prompt=True)
    assert limited == render_jinja_template(turns, chat_template=USUAL, add_generation_prompt=True)
    assert "<|user|>hello\n    thereuser" in limited[0][0] and "---" in limited[0][0]


@pytest.mark.parametrize(("name", "content"), BROKEN.values(), ids=BROKEN)
def test_a_broken_folder_is_one_line(folder, name, content) -> None:
    (folder / name).write_bytes(content.encode("latin-1"))
    refusal(folder)


@pytest.mark.parametrize(
    "field", ["num_hidden_layers", "depth", "num_attention_heads", "num_experts"]
)
def test_a_config_that_asks_for_too_much_is_refused_before_it_is_built(folder, field) -> None:
    config = json.loads((folder / "config.json").read_text())
    part = "vision_config" if field == "depth" else "text_config"
    config[part][field] = 10**9
    (folder / "config.json").write_text(json.dumps(config))
    assert field in refusal(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "vocab.txt"])
def test_a_description_of_any_size_is_refused_unread(folder, name) -> None:
    with (folder / name).open("wb") as file:
        file.truncate(3_000_000_000)  # takes no room on the disk
    assert "the limit is" in refusal(folder)


def test_links_to_files_are_followed_as_the_cache_of_the_hub_has_them(folder, tmp_path) -> None:
    (tmp_path / "linked").mkdir()
    for path in folder.iterdir():
        (tmp_path / "linked" / path.name).symlink_to(path)
    check_model_folder(tmp_path / "linked")
    assert fingerprint_of(tmp_path / "linked") == fingerprint_of(folder)


LATE = NANO_FOLDER.joinpath("chat_template.jinja").read_text(encoding="utf-8") + (
    "{% if 'late' in messages|string %}{% for a in range(99999) %}{% for b in range(99999) %}"
    "{% endfor %}{% endfor %}{% endif %}"
)


def test_a_template_that_misbehaves_when_asked_is_told_in_one_line(folder) -> None:
    (folder / "chat_template.jinja").write_text(LATE, encoding="utf-8")
    model, before = models.load(str(folder)), sys.gettrace()
    with pytest.raises(UsageError, match="runs more than") as error:
        model.generate(GenerateRequest([[Message("user", (TextPart("too late?"),))]]))
    assert "\n" not in str(error.value) and folder.name in str(error.value)
    assert sys.gettrace() is before
    assert model.generate(
        GenerateRequest([[Message("user", (TextPart("early?"),))]], max_new_tokens=2)
    )


def test_templates_of_the_libraries_kind_are_taken() -> None:
    check_operations(
        {"default": "{% for m in messages %}{% generation %}{{ 2 * loop.index }}{% endgeneration %}"
         "{% continue %}{% endfor %}"},
        "m",
    )  # fmt: skip


def test_a_folder_without_a_recipe_has_none(tmp_path) -> None:
    assert clip_recipe_from(tmp_path) is None
