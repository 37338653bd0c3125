"""What is written reads back to equal samples, and what a dialect cannot hold is told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mmreason.cli.data_convert import ConvertTarget
from mmreason.grounding import Box
from mmreason.grounding.formats.convert import WrittenForm
from mmreason.models.base import Role
from mmreason.training.data.dialects.detect import open_samples, read_samples
from mmreason.training.data.dialects.rows import Dialect
from mmreason.training.data.dialects.write import ENDINGS, write_samples
from mmreason.training.data.sample import MediaKind, MediaRef, Sample, SampleMessage
from mmreason.training.rewards import Frame, Mark, Truth
from mmreason.types import UsageError
from mmreason.video.types import Span
from tests.training.data.dialects.golden_files import GOLDEN, samples_of
from tests.training.data.dialects.test_golden import FILES


def clip(path: str = "/videos/a.mp4", span: Span | None = None) -> MediaRef:
    return MediaRef(kind=MediaKind.VIDEO, paths=(path,), span=span)


def make(
    name: str, *turns: tuple[Role, tuple[str | MediaRef, ...]], truth: Truth | None = None
) -> Sample:
    messages = tuple(SampleMessage(role=role, parts=parts) for role, parts in turns)
    return Sample(id=name, messages=messages, truth=truth or Truth())


TUBE = make(
    "tube",
    ("user", (clip(span=Span(2, 8)), "Follow it.")),
    ("assistant", ("It goes left.",)),
    truth=Truth(
        question="Follow it.",
        spans=(Span(3.25, 4),),
        tube=(Mark(3.5, Box(1.5, 2, 30, 40)),),
        tube_times_s=(3.5, 4.0),
        frame=Frame(size_px=(64, 48)),
    ),
)
"""What no dialect but ours has a field for."""


@pytest.mark.parametrize("dialect", ENDINGS)
def test_every_golden_row_is_written_and_reads_back_equal_or_is_told(
    dialect: Dialect, tmp_path: Path
) -> None:
    for number, name in enumerate(FILES):
        source = open_samples(GOLDEN / name)
        samples = [row for row in source.rows() if isinstance(row, Sample)]
        out = tmp_path / f"{number}{ENDINGS[dialect][0]}"
        try:
            written = write_samples(out, samples, dialect)
        except UsageError as error:
            assert "none of" in str(error)
            continue
        told = {(fault.source.file, fault.source.row) for fault in written.faults}
        held = [s for s in samples if (s.source.file, s.source.row) not in told]
        assert written.rows + len(written.faults) == len(samples)
        again = samples_of(open_samples(out, dialect))
        plain = [replace(sample, source=again[0].source) for sample in held]
        assert again == plain, name
        if dialect == source.dialect and dialect not in ("trl", "2u1"):
            assert not written.faults, name


@pytest.mark.parametrize("dialect", ENDINGS)
def test_times_and_tubes_come_back_exactly(dialect: Dialect, tmp_path: Path) -> None:
    for ending in ENDINGS[dialect]:
        out = tmp_path / f"set{ending}"
        assert write_samples(out, [TUBE], dialect).faults == ()
        opened = open_samples(out)
        assert opened.dialect == dialect
        assert samples_of(opened) == [TUBE]


def test_our_own_key_is_an_object_in_json_and_a_text_where_columns_have_one_type(
    tmp_path: Path,
) -> None:
    write_samples(tmp_path / "a.json", [TUBE], "llava")
    (row,) = json.loads((tmp_path / "a.json").read_text())
    assert row["mmreason"]["media"] == [{"span": [2, 8]}]
    write_samples(tmp_path / "a.jsonl", [TUBE], "ms-swift")
    (line,) = (tmp_path / "a.jsonl").read_text().splitlines()
    assert isinstance(json.loads(line)["mmreason"], str)


def test_files_are_named_from_the_folder_of_the_new_one_or_in_full(tmp_path: Path) -> None:
    sample = make("1", ("user", (clip(str(tmp_path / "v" / "a.mp4")), "Why?")))
    (tmp_path / "sets").mkdir()
    out = tmp_path / "sets" / "a.json"
    write_samples(out, [sample], "llava")
    assert json.loads(out.read_text())[0]["video"] == "../v/a.mp4"
    write_samples(out, [sample], "llava", paths="absolute")
    assert json.loads(out.read_text())[0]["video"] == str(tmp_path / "v" / "a.mp4")


def test_what_a_dialect_cannot_hold_is_told_row_by_row(tmp_path: Path) -> None:
    turns = make(
        "turns",
        ("user", ("Why?",)),
        ("assistant", ("So.",)),
        ("user", ("And?",)),
        ("assistant", ("So.",)),
    )
    written = write_samples(tmp_path / "a.jsonl", [TUBE, turns], "problems")
    assert written.rows == 1
    assert "one question with one answer" in written.faults[0].reason


def test_a_placeholder_in_a_text_is_no_file(tmp_path: Path) -> None:
    html = make("html", ("user", ("What does <video> do in HTML?",)), ("assistant", ("It plays.",)))
    with pytest.raises(UsageError, match="a text holds <video>, which stands for a file"):
        write_samples(tmp_path / "a.json", [html], "llava")
    assert write_samples(tmp_path / "a.jsonl", [html], "problems").rows == 1


def test_columns_of_several_types_are_no_table(tmp_path: Path) -> None:
    rows = [
        replace(make(name, ("user", ("Why?",)), ("assistant", ("So.",))), columns={"data_type": x})
        for name, x in (("1", "text"), ("2", 2), ("3", {"deep": 1}))
    ]
    with pytest.raises(UsageError, match="do not fit into one table of Parquet"):
        write_samples(tmp_path / "a.parquet", rows, "onethinker")
    assert list(tmp_path.glob("a.*")) == []


def test_a_free_column_that_looks_like_a_field_stays_a_free_column(tmp_path: Path) -> None:
    text = make("1", ("user", ("Why?",)), ("assistant", ("So.",)))
    columns = {"video": "b.mp4", "path": "c.mp4", "reward_model": {}, "messages": [1], "x": 1.5}
    sample = replace(text, columns=columns)
    for dialect, endings in ENDINGS.items():
        out = tmp_path / f"{dialect}{endings[0]}"
        if dialect is Dialect.VIDEO_R1:
            continue  # it needs a file
        assert write_samples(out, [sample], dialect).faults == (), dialect
        (again,) = samples_of(open_samples(out, dialect))
        assert again.columns == again.truth.columns == columns


def test_a_stretch_that_others_cannot_show_is_told(tmp_path: Path) -> None:
    (note,) = write_samples(tmp_path / "a.json", [TUBE], "llava").notes
    assert "other programs will show all of it" in note


def test_what_rewards_of_others_read_is_the_answer_and_not_the_thought(tmp_path: Path) -> None:
    thought = make(
        "1",
        ("user", (clip(), "Which?\nA. red\nB. blue")),
        ("assistant", ("<think>So.</think><answer>B</answer>",)),
        truth=Truth(question="Which?\nA. red\nB. blue", options=("red", "blue"), choice=1),
    )
    write_samples(tmp_path / "a.jsonl", [thought], "easyr1")
    assert json.loads((tmp_path / "a.jsonl").read_text())["answer"] == "B"
    assert samples_of(open_samples(tmp_path / "a.jsonl")) == [thought]
    write_samples(tmp_path / "a.json", [thought], "video-r1")
    assert "<answer>B</answer>" in (tmp_path / "a.json").read_text()


def test_an_ending_that_the_program_would_not_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a file for verl must end in \.parquet"):
        write_samples(tmp_path / "a.json", [TUBE], "verl")
    with pytest.raises(UsageError, match="coco is read and not written"):
        write_samples(tmp_path / "a.json", [TUBE], "coco")


def test_the_command_offers_what_is_written() -> None:
    assert [item.value for item in ConvertTarget] == [*ENDINGS, *WrittenForm]


@pytest.mark.parametrize("dialect", [item for item in ENDINGS if item != "problems"])
def test_the_loader_that_the_program_uses_takes_the_file(dialect: Dialect, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    samples = [
        row
        for name in ("llava.json", "problems.jsonl", "video_r1.json")
        for row in open_samples(GOLDEN / name).rows()
        if isinstance(row, Sample)
    ]
    out = tmp_path / f"set{ENDINGS[dialect][0]}"
    written = write_samples(out, samples, dialect)
    load = datasets.Dataset.from_parquet if out.suffix == ".parquet" else datasets.Dataset.from_json
    assert len(load(str(out), cache_dir=str(tmp_path / "hf"))) == written.rows


@pytest.mark.full
def test_trl_takes_the_rows_for_what_they_are(tmp_path: Path) -> None:
    data_utils = pytest.importorskip("trl.data_utils")
    pairs = read_samples(GOLDEN / "trl_pairs.jsonl").samples
    write_samples(tmp_path / "a.jsonl", pairs, "trl")
    row = json.loads((tmp_path / "a.jsonl").read_text().splitlines()[0])
    assert data_utils.is_conversational(row)
    assert {"prompt", "chosen", "rejected"} <= set(row)
