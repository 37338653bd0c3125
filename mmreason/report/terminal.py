"""An answer and its steps for a terminal: rich tables there, plain lines where output is piped.

The words are those of `text.py`. Control characters in model text never reach a terminal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mmreason.report.rounds import LONG_READING, SHORT_TRACE, Group, group_rounds
from mmreason.report.text import (
    all_notes,
    answer_words,
    asked_words,
    check_words,
    confidence_words,
    cost_rows,
    format_count,
    has_place,
    looked_words,
    policy_words,
    result_words,
    source_words,
    stop_words,
    subtitle_words,
    tool_words,
)
from mmreason.types import Answer, Cost, Evidence, Step, StopReason
from mmreason.video.plain_text import show_line
from mmreason.video.types import format_time


def print_answer(answer: Answer, console: Console, *, steps: bool = True) -> None:
    """Print question, answer, evidence, cost and (with `steps`) every step taken."""
    # What is piped is read by programs: one fact a line, nothing wrapped or coloured.
    if not console.is_terminal:
        for line in plain_lines(answer, steps=steps):
            print_plain(line, console)
        return
    console.print(_head(answer))
    if answer.evidence:
        console.print(_evidence_table(answer))
    if steps and answer.trace:
        console.print(_steps_table(answer))
    console.print(Text(cost_line(answer.cost), style="dim"))


def print_plain(line: str, console: Console) -> None:
    """Print `line` as it is: no markup, no highlighting, no wrapping."""
    console.print(Text(line), soft_wrap=True, highlight=False)


def plain_lines(answer: Answer, *, steps: bool = True) -> Iterator[str]:
    """What `print_answer` shows, as lines without tables or colours."""
    yield f"question:    {show_line(answer.question)}"
    yield f"answer:      {show_line(answer_words(answer))}"
    for name, value in _facts(answer):
        yield f"{name + ':':<12} {show_line(value)}"
    for evidence in answer.evidence:
        times = ", ".join(format_time(t) for t in evidence.frame_times_s)
        checked = ", ".join(
            filter(None, (source_words(evidence), show_line(check_words(evidence))))
        )
        yield f"evidence:    {evidence.span} ({checked}) {show_line(evidence.quote)}".rstrip()
        if times:
            yield f"  frames at  {times}"
    for agent_round in group_rounds(answer.trace) if steps else ():
        thoughts = show_line("; ".join(agent_round.thoughts))
        yield f"round {agent_round.number}:     {thoughts}".rstrip()
        for group in agent_round.groups:
            for index, step in enumerate(group.steps, start=group.first):
                yield _step_line(step, index, answer.question)
    yield cost_line(answer.cost)


def short_lines(answer: Answer) -> Iterator[str]:
    """Answer, evidence and cost in a line each; below them, where there are any, the notes.

    An answer that did not come in the ordinary way is followed by why the question ended; in place
    of evidence, "No answer" has what was looked at and what to do next.
    """
    # The ordinary end needs no words.
    why = "" if answer.stop_reason is StopReason.ANSWERED else f" ({stop_words(answer)})"
    yield f"answer:      {show_line(answer_words(answer))}{why}"
    if answer.answered:
        span_texts = ", ".join(str(evidence.span) for evidence in answer.evidence) or "none"
        checks = dict.fromkeys(show_line(check_words(evidence)) for evidence in answer.evidence)
        quotes = dict.fromkeys(
            show_line(evidence.quote) for evidence in answer.evidence if evidence.quote
        )
        quoted = f": {'; '.join(quotes)}" if quotes else ""
        yield f"evidence:    {span_texts}{quoted}" + (f" ({', '.join(checks)})" if checks else "")
    else:
        yield f"looked at:   {looked_words(answer)}"
        for step in answer.next_steps:
            yield f"next:        {show_line(step)}"
    cost = answer.cost
    frames, rounds = format_count(cost.frames, "frame"), format_count(cost.rounds, "round")
    stored = format_count(cost.cache_hits, "reply", "replies")
    of_store = f", {stored} from the store" if cost.cache_hits else ""
    yield f"cost:        {frames} in {rounds}, {cost.seconds:.1f} seconds{of_store}"
    for note in all_notes(answer):
        yield f"note:        {show_line(note)}"


def cost_line(cost: Cost) -> str:
    """`cost: 2.31 seconds (0.18 decoding, 1.9 models), 36 frames shown, ...`.

    Example:
        >>> cost_line(Cost(seconds=2.0, frames=1))[:44]
        'cost:        2.00 seconds, 1 frame shown, 0 '
    """
    rows = (
        f"{amount} {_singular(what) if amount == '1' else what}"
        + (f" ({of_which})" if of_which else "")
        for what, amount, of_which in cost_rows(cost)
    )
    return "cost:        " + ", ".join(rows)


def _singular(what: str) -> str:
    """What `cost_rows` counts, where it is one: `frames shown` -> `frame shown`."""
    return re.sub(r"s\b", "", what, count=1)


def _facts(answer: Answer) -> Iterator[tuple[str, str]]:
    """(name, value) of all that stands under an answer, or under "No answer"."""
    if answer.answered:
        yield "confidence", confidence_words(answer)
    yield "stopped", stop_words(answer)
    if not answer.answered:
        yield "looked at", looked_words(answer)
        for step in answer.next_steps:
            yield "next", step
    if chosen := policy_words(answer):
        yield "policy", chosen
    if used := subtitle_words(answer):
        yield "subtitles", used
    for note in all_notes(answer):
        yield "note", note


def _step_line(step: Step, index: int, question: str) -> str:
    details = asked_words(step, question)
    spent = "from the store" if step.observation.cached else _spent(step)
    span = f" {step.observation.span}" if has_place(step) else ""
    call = f"{tool_words(step)}{span}" + (f" ({details})" if details else "")
    return f"step {index}:      {call} -> {result_words(step)} [{spent}]"


def _spent(step: Step) -> str:
    return f"{format_count(step.cost.frames, 'frame')}, {step.cost.seconds:.2f} s"


def _head(answer: Answer) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    answer_style = "bold green" if answer.answered else "bold yellow"
    table.add_row("question", Text(show_line(answer.question)))
    table.add_row("answer", Text(show_line(answer_words(answer)), style=answer_style))
    for name, value in _facts(answer):
        style = "yellow" if name == "note" else "bold" if name == "next" else ""
        table.add_row(name, Text(show_line(value), style=style))
    return table


def _evidence_table(answer: Answer) -> Table:
    table = _table("Evidence")
    table.add_column("span", no_wrap=True)
    table.add_column("check", overflow="fold")
    table.add_column("what was seen", overflow="fold")
    table.add_column("frames at", style="dim", overflow="fold")
    for evidence in answer.evidence:
        table.add_row(
            str(evidence.span),
            Text(show_line(check_words(evidence)), style="green" if evidence.verified else ""),
            Text(_quote_with_source(evidence)),
            ", ".join(format_time(t) for t in evidence.frame_times_s),
        )
    return table


def _quote_with_source(evidence: Evidence) -> str:
    source = source_words(evidence)
    return f"{source}: {show_line(evidence.quote)}" if source else show_line(evidence.quote)


def _steps_table(answer: Answer) -> Table:
    """A row a call; one for all descriptions of a round where the trace or they are long."""
    table = _table("Steps")
    table.add_column("round", justify="right", style="dim", no_wrap=True)
    table.add_column("call", no_wrap=True)
    table.add_column("span", no_wrap=True)
    table.add_column("returned", overflow="fold", ratio=1)
    table.add_column("frames", justify="right")
    table.add_column("seconds", justify="right", no_wrap=True)
    for agent_round in group_rounds(answer.trace):
        number = str(agent_round.number)
        # The same limits as those of the page, so that both fold the same rounds.
        is_long = len(answer.trace) > SHORT_TRACE or agent_round.lines > LONG_READING
        for group in agent_round.groups:
            if is_long and len(group.steps) > 1:
                _add_row(table, number, group)
                # The number of a round stands on its first row only.
                number = ""
                continue
            for index, step in enumerate(group.steps, start=group.first):
                _add_row(table, number, Group(index, (step,)))
                number = ""
    return table


def _add_row(table: Table, number: str, group: Group) -> None:
    several, step = len(group.steps) > 1, group.steps[0]
    cost = sum((member.cost for member in group.steps), Cost())
    cached = all(member.observation.cached for member in group.steps)
    failed = any(member.observation.error for member in group.steps)
    returned = f"{group.nodes}: {step.thought}" if several else result_words(step)
    table.add_row(
        number,
        Text(show_line(tool_words(step)) + (f" x {len(group.steps)}" if several else "")),
        "" if group.span is None else str(group.span),
        Text(show_line(returned), style="yellow" if failed else "dim" if several else ""),
        str(cost.frames),
        "store" if cached else f"{cost.seconds:.2f}",
    )


def _table(title: str) -> Table:
    from rich import box

    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
