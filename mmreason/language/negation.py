"""Whether a clause denies what it names: "not blue", "B is wrong", "rather than red", "不是红色".

Small lists of words in a dozen languages; what they do not know is taken as said.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

_BREAK = re.compile(
    r"[;!?\n。；！？、，|]|[.,:](?!\d)|\s[-\u2013\u2014]\s|而是|并且"
    r"|(?<!anything )(?<!everything )(?<!all )\bbut\b"
    r"|\b(?:however|sondern|aber|mais|sino|pero|mas|ma|но|а|then|so|while|whereas|although"
    r"|and (?:it|that)(?:'s| is))\b",
    re.IGNORECASE,
)
_NEUTRAL = re.compile(
    r"\bnot only\b|\bno doubt\b|\bwithout (?:a |any )?doubt\b|\bbeyond (?:a |any )?doubt\b"
    r"|\bno question\b|\bwhy not\b"
    r"|\bzweifellos\b|\bsans (?:aucun )?doute\b|\bsin duda\b|\bsem dúvida\b",
    re.IGNORECASE,
)
_DENIES_BEFORE = re.compile(
    r"n't\b|\b(?:not|no|never|neither|nor|without|cannot|except|excluding|isnt|rather than"
    r"|instead of|other than|(?:anything|everything|all) but|far from|rul(?:es?|ed|ing) out"
    r"|exclud\w+|eliminat\w+"
    r"|reject\w*|wrong|incorrect|false|different from|unlike"
    r"|doubt|doubtful|hardly|scarcely|unlikely"
    r"|nicht|kein\w*|weder|noch nie|niemals|anstatt|statt|ohne"
    r"|n'|pas|jamais|plutôt que|au lieu d[eu]|sans|nunca|tampoco|en (?:lugar|vez) de"
    r"|não|nem|em vez de|sem|non|né|invece di|niet|geen"
    r"|не|ни|нет|вместо|кроме|ليس\w*|لا|لن|غير|नहीं)(?!\w)"
    r"|不|[没沒](?!错|錯)|并非|並非|除了",
    re.IGNORECASE,
)
_DENIES_AFTER = re.compile(
    r"^[\s\"')\].]*(?:(?:one|1|option|answer|choice)[\s\"')\]]*)?(?:"
    r"(?:is|are|was|were|can|could|would|does|do|seems?)\s*(?:also |clearly |definitely )*"
    r"(?:not\b|n't\b)(?:\s+(?:be\b|the\b|correct|right|it\b|possible|shown|visible|mentioned"
    r"|present"
    r"|true|there|supported|what|an?\b|fit|match|apply)|\W*$)"
    r"|cannot be\b|(?:is|are|was|were|seems?|would be|can be)\s+(?:also |clearly )*"
    r"(?:wrong|incorrect|false|ruled out|excluded|eliminated|impossible|out\b|unlikely)"
    r"|(?:ist|sind|wäre)\s+(?:nicht|falsch|ausgeschlossen)|(?:n'est|est) (?:pas|faux|fausse"
    r"|incorrecte?)"
    r"|(?:es|é|è) (?:incorrect[ao]|fals[ao]|errad[ao]|sbagliat[ao])|no es\b|não é\b"
    r"|(?:не подходит|не верн|неверн|неправильн)|(?:是)?(?:错|錯|不对|不正确|不正確)"
    r"|\S{0,3}(?:ではな|じゃな|ではあり|じゃあり|くな)|(?:가|이|은|는)?\s?(?:아니|아닙|아닌)"
    r"|नहीं|değil)",
    re.IGNORECASE,
)


_ANSWERED_NO = re.compile(
    r"[^.!?\n？]*[?？]\W*(?:no|nope|nein|non|não|нет|不|いいえ|아니)(?![^\W_])", re.IGNORECASE
)
"""A question and its answer: "Is it blue? No."."""
_CLOSING = " \t\n\"')].:"
"""What may stand between a thing and what denies it, such as the full stop of "B. is wrong"."""


def is_denied_by(text_after: str) -> bool:
    """Whether what follows a thing denies it: " is wrong.", "ではない"."""
    return _DENIES_AFTER.match(text_after) is not None


@dataclass(frozen=True, slots=True)
class Clauses:
    """A text, and where its clauses part: a denial reaches no further."""

    text: str
    starts: list[int]
    ends: list[int]

    @classmethod
    def of(cls, text: str) -> Clauses:
        """The clauses of a text, in which "no doubt" and the like deny nothing."""
        text = _NEUTRAL.sub(lambda match: " " * len(match[0]), text)
        breaks = list(_BREAK.finditer(text))
        return cls(text, [b.end() for b in breaks], [b.start() for b in breaks])

    def denies(self, start: int, end: int) -> bool:
        """Whether the clause denies what stands from `start` to `end`."""
        index = bisect_right(self.starts, start)
        first = self.starts[index - 1] if index else 0
        text_after = self.text[end:]
        index = bisect_left(self.ends, end + len(text_after) - len(text_after.lstrip(_CLOSING)))
        last = self.ends[index] if index < len(self.ends) else len(self.text)
        before, after = self.text[first:start], self.text[end:last]
        return bool(
            _DENIES_BEFORE.search(before[-200:])
            or is_denied_by(after[:100])
            or _ANSWERED_NO.match(self.text[end : end + 200])
        )
