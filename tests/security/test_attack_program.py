"""The program that attacks mmreason: what must fall falls, what holds holds, and what was not tried
is not counted as held."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks import attack as program
from benchmarks.attacks import mcp_client, model_folders, servers, texts
from benchmarks.attacks.harness import Attack, Children, Limits, NotTriedError, find_fault
from benchmarks.attacks.material import OUTSIDE_SIZE_PX, SECRET

LIMITS = Limits(cpu_s=20, wall_s=60, grown_mb=200, secrets=(SECRET,))
SHORT = Limits(wall_s=0.5)
"""For those that never end."""


@pytest.fixture(scope="module")
def children() -> Children:
    return Children(memory_mb=1500)


def print_a_traceback() -> None:
    raise KeyError("x")


def wait_for_ever() -> None:
    time.sleep(60)


def take_memory() -> int:
    return 0 * len(b"x" * (400 * 2**20))


def work_for_ever() -> None:
    while True:
        pass


def print_a_secret() -> None:
    print(SECRET)


def end_without_a_word() -> int:
    return 1


def end_with_an_odd_code() -> int:
    print("error: something", file=sys.stderr)
    return 70


def tell_an_unexpected_error() -> int:
    print("error: KeyError: 'x' (--debug shows where)", file=sys.stderr)
    return 1


def tell_an_error_with_an_escape() -> int:
    print("error: \x1b[2J", file=sys.stderr)
    return 2


def write_a_page_of_errors() -> int:
    print("error\n" * 10, file=sys.stderr)
    return 2


def refuse_in_one_line() -> int:
    print("error: bad.mp4: is no video", file=sys.stderr)
    return 2


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (print_a_traceback, "traceback"),
        (take_memory, "took"),
        (print_a_secret, "from outside"),
        (end_without_a_word, "without a word"),
        (end_with_an_odd_code, "exit code 70"),
        (tell_an_unexpected_error, "unexpected error"),
        (tell_an_error_with_an_escape, "control character"),
        (write_a_page_of_errors, "lines of error"),
    ],
)
def test_a_target_that_misbehaves_falls(
    children: Children, tmp_path: Path, target: Callable[[], object], words: str
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    ended = children.run(target, (), folder, limits=LIMITS)
    assert words in find_fault(ended, LIMITS), ended


def test_a_target_that_waits_falls(children: Children, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    assert "still running" in find_fault(
        children.run(wait_for_ever, (), folder, limits=SHORT), SHORT
    )


def test_endless_work_is_stopped_by_its_time_on_the_processor(
    children: Children, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    limits = Limits(cpu_s=0, wall_s=60)
    ended = children.run(work_for_ever, (), folder, limits=limits)
    assert "of the processor" in find_fault(ended, limits)


def test_a_refusal_in_one_line_holds(children: Children, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    assert find_fault(children.run(refuse_in_one_line, (), folder, limits=LIMITS), LIMITS) == ""


def test_a_terminal_shows_what_a_child_prints(children: Children, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    ended = children.run(print_a_secret, (), folder, limits=LIMITS, on_terminal=True)
    assert SECRET in ended.out


def _attacks() -> Iterator[Attack]:
    def not_tried(folder: Path) -> str:
        raise NotTriedError("there is no browser")

    def mistaken(folder: Path) -> str:
        raise ZeroDivisionError

    yield Attack("a", "a control", lambda folder: "", is_control=True)
    yield Attack("a", "holds", lambda folder: "")
    yield Attack("a", "falls", lambda folder: "took 9 s")
    yield Attack("a", "needs a browser", not_tried)
    yield Attack("a", "has a mistake", mistaken)
    yield Attack("b", "a control", lambda folder: "wrong answer", is_control=True)
    yield Attack("b", "holds, or nothing ran", lambda folder: "")


def test_what_was_not_tried_does_not_count_as_held(tmp_path: Path) -> None:
    outcomes = list(program.run_attacks(_attacks(), tmp_path))
    states = [(outcome.attack.kind, outcome.attack.name, outcome.state) for outcome in outcomes]
    assert states == [
        ("a", "a control", "held"),
        ("a", "holds", "held"),
        ("a", "falls", "fell"),
        ("a", "needs a browser", "not tried"),
        ("a", "has a mistake", "not tried"),
        ("b", "a control", "fell"),
        ("b", "holds, or nothing ran", "not tried"),
    ]
    table = program.format_table(outcomes, seed=0, seconds=1.0)
    assert "| a | 2 | 1 | 1 | 2 | 1 of 1 |" in table
    assert "| b | 0 | 0 | 0 | 1 | 0 of 1 |" in table
    assert "- a: falls: took 9 s" in table and "- b: control: a control: wrong answer" in table


def test_a_reply_that_shows_the_outside_is_seen() -> None:
    width_px, _ = OUTSIDE_SIZE_PX
    for text in (SECRET, f'{{"width_px": {width_px}, "height_px": 1}}'):
        reply = mcp_client.ToolReply(text, False, (), 0.1, False)
        assert mcp_client.shows_outside(reply) and reply.find_fault()
    plain = mcp_client.ToolReply("video.mp4: is no video", True, (), 0.1, False)
    assert plain.find_fault() == ""
    late = mcp_client.ToolReply("", True, (), 30.0, True)
    assert "no reply" in late.find_fault()
    bare = mcp_client.ToolReply("Error executing tool inspect", True, (), 0.1, False)
    assert "without a reason" in bare.find_fault()


@pytest.mark.parametrize("payload", texts.PAYLOADS[:8])
def test_a_page_with_a_live_payload_falls_and_an_escaped_one_holds(payload: str) -> None:
    from html import escape

    policy = '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'">'
    assert texts.find_live(policy + payload, needs_policy=True)
    assert texts.find_live(policy + f"<p>{escape(payload)}</p>", needs_policy=True) == ""
    assert "Policy" in texts.find_live(f"<p>{escape(payload)}</p>", needs_policy=True)


def ask_a_server_without_a_deadline(url: str) -> None:
    """What a client does whose time-out starts anew with each byte."""
    import http.client
    from urllib.parse import urlsplit

    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=0.5)
    connection.request("GET", "/v1/models")
    print(connection.getresponse().read())


@pytest.mark.parametrize("name", ["header lines", "100 Continue slowly"])
def test_a_drip_holds_a_client_without_a_deadline(
    children: Children, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    with servers.Loopback(servers.dripping(*servers.drips()[name], "/models")) as server:
        ended = children.run(ask_a_server_without_a_deadline, (server.url,), folder, limits=SHORT)
    assert "still running" in find_fault(ended, SHORT)


def test_control_tokens_are_compared_with_those_of_a_plain_question() -> None:
    assert model_folders.compare_counts(2, 2) == ""
    assert "4 control tokens" in model_folders.compare_counts(4, 2)
    assert model_folders.compare_counts("no request was made", 2) == "no request was made"


def test_every_kind_can_be_asked_for() -> None:
    for module in program.KINDS.values():
        path = Path(program.__file__).parent / "attacks" / f"{module}.py"
        assert "def attacks(bench: Bench)" in path.read_text()
