"""The certifier solves saved items by itself, and refuses those that are not what they say."""

from __future__ import annotations

import ast
import copy
import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from mmreason.grounding import refadv
from mmreason.grounding.refadv import CertificateError, Knobs, certifier, facts
from mmreason.grounding.refadv.frozen import FOLDER, generate_frozen, load_frozen, read_rows
from mmreason.grounding.refadv.items import GENERATOR_VERSION, ItemKind
from mmreason.video.world import World

Row = dict[str, Any]


def make_row(kind: ItemKind, family: str, *, k: int = 3, n: int = 7, seed: int = 0) -> Row:
    knobs = Knobs(k=k, n=n, families=(family,))
    return next(refadv.generate(kind=kind, seed=seed, count=1, knobs=knobs)).to_dict()


def actor_of(row: Row, name: str) -> Row:
    return next(a for a in row["world"]["scenes"][0]["actors"] if a["id"] == name)


def test_the_certifier_uses_nothing_of_what_the_generator_knows() -> None:
    allowed = {"certifier", "facts", "items", "programs"}
    for module in (certifier, facts):
        tree = ast.parse(Path(str(module.__file__)).read_text())
        names = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        own = {str(n).rsplit(".", 1)[1] for n in names if "refadv." in str(n)}
        assert own <= allowed


def change_colour(row: Row) -> None:
    actor = actor_of(row, row["target_ids"][0])
    actor["colour"] = "white" if actor["colour"] != "white" else "red"


def change_size(row: Row) -> None:
    actor = actor_of(row, row["target_ids"][0])
    # Large is the default, and not written.
    actor["size"] = "large" if actor.get("size") == "small" else "small"


def name_another_target(row: Row) -> None:
    row["target_ids"] = [name for name in row["candidate_ids"] if name not in row["target_ids"]][:1]


def lose_the_target(row: Row) -> None:
    row["target_ids"] = []


def hide_one_behind_another(row: Row) -> None:
    first, second = row["world"]["scenes"][0]["actors"][:2]
    first["x"], first["y"] = second["x"], second["y"]


def lose_a_witness(row: Row) -> None:
    """A descriptor is then not needed any more."""
    (name, witness), *_ = row["certificate"]["witnesses"].items()
    assert name == "0"
    target = actor_of(row, row["target_ids"][0])
    actor_of(row, witness)["shape"] = next(s for s in ("ring", "star") if s != target["shape"])


def boast(row: Row) -> None:
    row["certificate"]["order_critical"] = not row["certificate"]["order_critical"]


def misname_a_variant(row: Row) -> None:
    variant = next(v for v in row["variants"] if v["kind"] == "delete")
    variant["target_ids"] = row["target_ids"]


def play_backwards(row: Row) -> None:
    row["world"]["playback"] = "reverse"


def forget_a_candidate(row: Row) -> None:
    row["candidate_ids"] = row["candidate_ids"][1:]


PICTURE_DAMAGES = [
    change_size, name_another_target, lose_the_target, hide_one_behind_another, lose_a_witness,
    boast, misname_a_variant, play_backwards, forget_a_candidate,
]  # fmt: skip


@pytest.mark.parametrize("damage", PICTURE_DAMAGES)
def test_a_damaged_picture_is_refused(damage: Callable[[Row], None]) -> None:
    row = make_row("image", "attribute", k=4, n=8)
    damage(row)
    with pytest.raises(CertificateError, match="image-0: "):
        refadv.certify(row)


def test_a_target_of_another_colour_is_refused() -> None:
    row = make_row("image", "attribute", k=4, n=8)
    change_colour(row)
    with pytest.raises(CertificateError, match=r"its program means \[\], its targets are"):
        refadv.certify(row)


@pytest.mark.parametrize("family", ["relation", "ordinal"])
def test_an_object_moved_to_the_other_side_is_refused(family: str) -> None:
    row = make_row("image", family, k=3, n=7, seed=2)
    target = actor_of(row, row["target_ids"][0])
    by_x = target["x"] < 0.5
    target["x"], target["y"] = (0.93 if by_x else 0.07), (0.9 if target["y"] < 0.5 else 0.1)
    with pytest.raises(CertificateError):
        refadv.certify(row)


def move_the_other_way(row: Row) -> None:
    motion = actor_of(row, row["target_ids"][0])["motion"]
    opposite = {"left": "right", "right": "left", "up": "down", "down": "up"}
    motion["kind"] = opposite[motion["kind"]]


def begin_at_once(row: Row) -> None:
    """The last to move would be the first."""
    for actor in row["world"]["scenes"][0]["actors"]:
        if "motion" in actor and actor["id"] not in row["target_ids"]:
            actor["motion"]["onset_s"] = 0.0


def stay(row: Row) -> None:
    del actor_of(row, row["target_ids"][0])["motion"]


@pytest.mark.parametrize("damage", [move_the_other_way, begin_at_once, stay, name_another_target])
def test_a_damaged_clip_is_refused(damage: Callable[[Row], None]) -> None:
    row = make_row("video", "order", k=3, n=6)
    damage(row)
    with pytest.raises(CertificateError, match="video-0: "):
        refadv.certify(row)


def test_beginnings_too_close_together_are_refused_though_all_is_true() -> None:
    row = make_row("video", "order", k=2, n=5)
    moving = sorted(
        (a for a in row["world"]["scenes"][0]["actors"] if "motion" in a),
        key=lambda actor: actor["motion"]["onset_s"],
    )
    for index, actor in enumerate(moving):
        actor["motion"]["onset_s"] = round(0.3 + 0.2 * index, 3)
    with pytest.raises(CertificateError, match="too close to tell") as caught:
        refadv.certify(row)
    assert caught.value.only_margins


def test_a_meeting_is_found_from_positions_alone() -> None:
    row = make_row("video", "touch", k=2, n=6)
    world = World.model_validate(row["world"])
    toucher = next(fact for fact in facts.measure(world, None) if fact.id == row["target_ids"][0])
    (event,) = (e for e in row["world"]["scenes"][0]["events"] if e["actor"] == toucher.id)
    assert toucher.touches == {event["other"]}
    # Without the event nobody moves, and nothing is touched.
    row["world"]["scenes"][0]["events"].remove(event)
    with pytest.raises(CertificateError):
        refadv.certify(row)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("world", {"scenes": []}, "image-0: not a valid world: scenes"),
        ("kind", "hologram", "image-0: kind must be image or video"),
        ("program", {"clauses": [{"kind": "smells"}]}, "clause kind must be one of"),
        ("program", {"clauses": [{"kind": "colour"}] * 9}, "at most 8 clauses"),
        ("program", {"clauses": [], "exec": "rm"}, r"got \['exec'\]"),
        ("program", 7, "a program must be an object, got int"),
        ("variants", [{"kind": "dream"}], "variant kind must be one of"),
        ("variants", None, "variants must be a list"),
        ("expression", None, "expression must be a text"),
        ("expression", "a" * 9_000, "at most 2000 characters"),
        ("target_ids", "a0", "target_ids must be a list"),
        ("certificate", {}, "a certificate needs"),
        ("frame_time_s", "now", "frame_time_s must be a number"),
    ],
)
def test_malformed_rows_are_refused_in_one_line_that_names_what_is_wrong(
    field: str, value: object, message: str
) -> None:
    row = make_row("image", "attribute", k=2, n=4)
    row[field] = value
    with pytest.raises(ValueError, match=message) as caught:
        refadv.certify(row)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "clause",
    [
        {"kind": "count", "value": "three colours"},
        {"kind": "count", "value": "id 3"},
        {"kind": "relation", "value": "inside", "landmark": {"clauses": []}},
        {"kind": "before", "value": "sings", "landmark": {"clauses": []}},
        {"kind": "same", "value": "id", "landmark": {"clauses": []}},
    ],
)
def test_clauses_with_unknown_values_are_refused_by_type(clause: Row) -> None:
    row = make_row("image", "attribute", k=2, n=4)
    row["program"] = {"clauses": [clause]}
    with pytest.raises(ValueError, match=f"a {clause['kind']} clause has a value of"):
        refadv.certify(row)


ODD_VALUES = (None, True, -1, 1e300, "x", [], {}, [[]], {"a": 1}, ["a0", "a0"])


def paths_of(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Ways to every value of a JSON tree."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths_of(inner, (*path, key))
    if isinstance(value, list):
        for index, inner in enumerate(value[:2]):
            yield from paths_of(inner, (*path, index))


def test_any_odd_value_anywhere_gives_a_value_error_or_a_certificate() -> None:
    rows = [make_row("image", "relation", k=3, n=6), make_row("video", "touch", k=1, n=4)]
    for row in rows:
        for index, path in enumerate(p for p in paths_of(row) if p):
            for value in ODD_VALUES[index % 2 :: 2]:
                odd = copy.deepcopy(row)
                holder: Any = odd
                for step in path[:-1]:
                    holder = holder[step]
                holder[path[-1]] = value
                try:
                    refadv.certify(odd)
                except ValueError as error:
                    assert "\n" not in str(error)


def test_landmarks_of_landmarks_without_end_are_refused() -> None:
    program: Row = {"clauses": []}
    for _ in range(50):
        program = {"clauses": [{"kind": "relation", "value": "left", "landmark": program}]}
    row = make_row("image", "attribute", k=2, n=4)
    row["program"] = program
    with pytest.raises(ValueError, match="3 hops"):
        refadv.certify(row)


def test_rows_are_left_as_they_were() -> None:
    row = make_row("video", "motion")
    before = copy.deepcopy(row)
    refadv.certify(row)
    assert row == before


@pytest.mark.parametrize("kind", ["image", "video"])
def test_frozen_items_are_certified_and_of_seeds_that_training_never_uses(kind: ItemKind) -> None:
    rows = list(read_rows(kind))
    assert len(rows) == 2_000
    assert [row["id"] for row in rows] == [f"{kind}-{seed}" for seed in range(2_000)]
    assert refadv.TRAINING_SEEDS > 2_000
    assert {row["generator_version"] for row in rows} == {GENERATOR_VERSION}
    for row in rows[:: 67 if kind == "image" else 101]:
        refadv.certify(row)


@pytest.mark.parametrize("kind", ["image", "video"])
def test_frozen_items_are_what_their_seeds_give(kind: ItemKind) -> None:
    generated = generate_frozen(kind)
    for row in islice(read_rows(kind), 6):
        assert json.loads(json.dumps(next(generated).to_dict())) == row


@pytest.mark.full
@pytest.mark.parametrize("kind", ["image", "video"])
def test_all_frozen_items_are_certified(kind: ItemKind) -> None:
    for item in load_frozen(kind):
        assert refadv.certify(item.to_dict()) == item.certificate


def test_a_frozen_set_that_was_changed_is_refused(tmp_path: Path) -> None:
    for path in FOLDER.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "image.jsonl.xz").write_bytes((FOLDER / "video.jsonl.xz").read_bytes())
    with pytest.raises(ValueError, match=r"image\.jsonl\.xz: not the frozen set: expected SHA-256"):
        load_frozen("image", tmp_path)
    (tmp_path / "image.jsonl.xz").write_bytes(b"not compressed")
    with pytest.raises(ValueError, match="not the frozen set"):
        load_frozen("image", tmp_path)
