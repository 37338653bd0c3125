"""Words of doubt, in the most spoken languages: "probably", "I think", "vielleicht", "可能"."""

from __future__ import annotations

import re

_DOUBT = re.compile(
    r"\b(?:probably|perhaps|maybe|likely|possibly|presumably|apparently|might be|could be|may be"
    r"|seems? to|appears? to|i (?:think|believe|guess|suppose|assume)"
    r"|not (?:\w+ )?(?:sure|certain)|unsure"
    r"|vielleicht|wahrscheinlich|vermutlich|möglicherweise|wohl|ich (?:glaube|denke|vermute)"
    r"|peut-être|probablement|sans doute|je (?:crois|pense)"
    r"|quizás?|tal vez|probablemente|posiblemente|creo que|puede que"
    r"|talvez|provavelmente|possivelmente|acho que|pode ser"
    r"|forse|probabilmente|credo che"
    r"|misschien|waarschijnlijk|ik denk"
    r"|возможно|вероятно|наверное|может быть|кажется|думаю"
    r"|mungkin|barangkali|kemungkinan|sepertinya|saya (?:kira|rasa|pikir)"
    r"|belki|muhtemelen|galiba|sanırım|olabilir)\b"
    r"|可能|也许|也許|大概|或许|或許|好像|似乎|我(?:觉得|认为|想|覺得|認為)"
    r"|おそらく|たぶん|多分|かもしれ|ようです|と思い?ます?"
    r"|아마|것 ?같|지도 ?모르|듯(?:합|하)"
    r"|ربما|لعل|على الأرجح|من المحتمل|أعتقد|أظن|قد يكون"
    r"|शायद|संभवतः|संभव है|लगता है|हो सकता है"
    r"|সম্ভবত|হয়তো|মনে হয়|হতে পারে"
    r"|شاید|غالباً|ممکن ہے|لگتا ہے|ہو سکتا ہے",
    re.IGNORECASE,
)
_CERTAIN = re.compile(r"\b(?:no|without(?: a| any)?|beyond(?: a| any)?) doubt\b", re.IGNORECASE)
MOST_CHARACTERS = 2_000
"""Of an answer that are looked at: doubt stands beside what it is about."""


def expresses_doubt(answer: str) -> bool:
    """Whether an answer is given with doubt.

    Example:
        >>> expresses_doubt("It is probably blue."), expresses_doubt("It is blue.")
        (True, False)
    """
    answer = answer[:MOST_CHARACTERS]
    return _CERTAIN.search(answer) is None and _DOUBT.search(answer) is not None
