"""How each benchmark itself finds the letter in a reply: the strict score.

Rules are those of the authors' own scripts. Where a script draws a letter at random for a reply
without one, the reply is wrong here. Benchmarks that take a number or a letter and read no text
count a letter alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from mmreason.language.prompts import LETTERS
from mmreason.video.json_input import JsonInputError, parse_json

StrictRule = Callable[[str, int], int | None]
"""From (reply, number of options) to the index of the option; None where the rule finds none."""

_VIDEOMME_PHRASES = (
    "The best answer is",
    "The correct answer is",
    "The answer is",
    "The answer",
    "The best option is",
    "The correct option is",
    "Best answer:",
    "Best option:",
)


def read_strictly(
    rule: StrictRule, reply: str, text: str, choice: int | None, options: Sequence[str]
) -> int | None:
    """The option that `rule` finds in the `reply` that a model wrote. Where a policy or a call of a
    tool answered, there is none: the very words of the chosen option are its letter then, and of
    any other `text` the rule decides.

    Example:
        >>> read_strictly(letter_alone, "It is B", "Candles.", 1, ("Apples.", "Candles."))
        >>> read_strictly(letter_alone, "", "Candles.", 1, ("Apples.", "Candles."))
        1
    """
    if reply:
        return rule(reply, len(options))
    if choice is not None and text.strip() == options[choice].strip():
        return choice
    return rule(text, len(options))


def letter_alone(reply: str, options: int) -> int | None:
    """A letter and no more, but for brackets and a full stop. For benchmarks whose submissions are
    letters or numbers (EgoSchema, NExT-QA).

    Example:
        >>> letter_alone("(B).", 4), letter_alone("B, I think", 4)
        (1, None)
    """
    match = re.fullmatch(r"\s*\(?([A-Z])\)?[.:]?\s*", reply)
    return _index(match[1] if match else "", options)


def first_capital(reply: str, options: int) -> int | None:
    """The first capital that is a letter of an option, behind "The best answer is" and the like:
    "eval_your_results" of Video-MME, but for two commas that its list of phrases lacks.

    Example:
        >>> first_capital("The best answer is C.", 4), first_capital("A man eats: C", 4)
        (2, 0)
    """
    return _first_capital(reply, options, _VIDEOMME_PHRASES)


def first_capital_of_five(reply: str, options: int) -> int | None:
    """The same over A to E, however many options there are: LongVideoBench in `lmms-eval`, by its
    authors.

    Example:
        >>> first_capital_of_five("C. the Eiffel tower", 4), first_capital_of_five("E or A", 4)
        (2, None)
    """
    # As the script does: an "E" before the right letter is found, and is no option.
    index = _first_capital(reply, 5, _VIDEOMME_PHRASES)
    return index if index is not None and index < options else None


def first_capital_v2(reply: str, options: int) -> int | None:
    """The same with the phrases of "test_video_mme_v2" of Video-MME-v2.

    Example:
        >>> first_capital_v2("Final Answer: H", 8)
        7
    """
    phrases = ("Final Answer:", *_VIDEOMME_PHRASES, "Answer:", "Option:")
    return _first_capital(reply, options, phrases)


def _first_capital(reply: str, options: int, phrases: Sequence[str]) -> int | None:
    # Case matters, as in the scripts: "the answer is" stays, and its letters are small.
    for phrase in phrases:
        reply = reply.replace(phrase, "")
    match = re.search(f"[{LETTERS[:options]}]", reply)
    return None if match is None else _index(match[0], options)


def bracketed_letter(reply: str, options: int) -> int | None:
    """What stands before the first closing bracket and behind an opening one, its first character:
    "answer_util" of LVBench.

    Example:
        >>> bracketed_letter("The answer is (B) the cat", 4), bracketed_letter("B. cat", 4)
        (1, 1)
    """
    # As the script does: a reply without brackets gives its first character.
    text = reply.strip().split(")")[0].strip()
    if "(" in text:
        text = text.split("(")[1].strip()
    return _index(text[:1], options)


def letter_before_bracket(reply: str, options: int) -> int | None:
    """All that stands before the first closing bracket: "choice_bench" of MLVU, whose prompt
    ends in an opening one.

    Example:
        >>> letter_before_bracket("(C) a cat", 4), letter_before_bracket("C", 4)
        (2, 2)
    """
    return _index(reply.strip().removeprefix("(").split(")")[0], options)


def first_letter(reply: str, options: int) -> int | None:
    """The first character, where it is a letter: "gemini_utils" of HourVideo.

    Example:
        >>> first_letter("D: a kitchen", 5), first_letter(" D", 5)
        (3, None)
    """
    return _index(reply[:1], options)


def json_result(reply: str, options: int) -> int | None:
    """The letter in `{"result": "B"}`, as the prompt of CG-Bench wants it, in a fence or not; a
    letter alone counts too.

    Example:
        >>> json_result('{"result": "B"}', 6), json_result("B", 6)
        (1, 1)
    """
    # The first object that holds no other: replies wrap it in a fence, or in words.
    match = re.search(r"\{[^{}]*\}", reply)
    if match is None:
        return letter_alone(reply, options)
    try:
        result = parse_json(match[0]).get("result")
    except JsonInputError:
        return None
    return _index(result.strip(), options) if isinstance(result, str) else None


def _index(letter: str, options: int) -> int | None:
    index = LETTERS.find(letter) if len(letter) == 1 else -1
    return index if 0 <= index < options else None
