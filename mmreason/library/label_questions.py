"""Questions about what is to be seen, reduced to the things that they name.

A label is a word or two ("espresso, drink, food"), and a question has four or five that only say
that something is looked for: beside these one thing that is found would count for little.
"""

from __future__ import annotations

import re

from mmreason.memory.terms import extract_query_terms

_SEEING_TEXT = """
show shows shown showing see sees seen seeing visible appear appears appearing look looks looking
find watch view views picture pictures photo photos image images video videos clip clips film
footage scene scenes shot shots frame frames part parts moment moments time times point second
minute place screen camera can could may any some one please me us my here now first last next
"""
_SEEING = frozenset(_SEEING_TEXT.split())
_WORD = re.compile(r"[^\W_]+")


def reduce_to_things(text: str) -> str:
    """`text` without the words that only ask to be shown something; as it is where nothing else is
    left.

    Example:
        >>> reduce_to_things("In which part of the video is a coffee visible?")
        'In which of the is a coffee'
        >>> reduce_to_things("Show me the picture")
        'Show me the picture'
    """
    words = _WORD.findall(text)
    things = [word for word in words if word.lower() not in _SEEING]
    reduced = " ".join(things)
    return reduced if extract_query_terms(reduced) else text
