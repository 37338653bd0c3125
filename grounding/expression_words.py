"""Words that the rules for expressions know: looks, places, verbs of motion, small words.

A word that stands in no list here is taken for a noun.
"""

from __future__ import annotations


def split_words(text: str) -> frozenset[str]:
    """The words of a text.

    Example:
        >>> sorted(split_words("as than"))
        ['as', 'than']
    """
    return frozenset(text.split())


COLOURS = split_words(
    "red orange yellow green cyan blue purple pink white black grey gray brown beige tan gold "
    "golden silver maroon turquoise violet navy teal magenta blond blonde crimson scarlet"
)
SHADES = split_words("dark light bright pale deep")
SIZES = split_words(
    "small large big little tiny huge tall short long wide narrow thin thick fat giant medium "
    "smaller larger bigger taller shorter longer wider smallest largest biggest tallest shortest "
    "longest widest littlest tiniest"
)
PATTERNS = split_words(
    "striped dotted plain spotted checkered checked plaid floral patterned solid dots stripes "
    "spots checks pattern"
)
ORDERS = split_words(
    "first second third fourth fifth sixth last final earliest latest penultimate firstly lastly"
)
ADJECTIVES = split_words(
    "happy angry furry hairy shiny empty dirty muddy fluffy curly heavy rusty sunny blurry wooden "
    "metal plastic glass leather rubber broken open full new old young other same different bald "
    "round square-shaped flat male female left right upper lower front back middle top bottom "
    "leftmost rightmost topmost bottommost nearest closest farthest furthest only main whole"
)
NOUNS_TOO = split_words(
    "dots stripes spots checks pattern front back top bottom middle metal glass leather giant "
    "light orange"
)
"""Adjectives of the lists here that are nouns where no noun follows."""
SIDES = split_words(
    "left right top bottom middle centre center upper lower leftmost rightmost topmost bottommost "
    "front back nearest closest farthest furthest"
)
PLACES = split_words(
    "on in at near next beside behind under underneath above below between inside outside over "
    "against among around by of from to left right opposite beneath amid atop toward towards"
)
"""Words that open a phrase of place."""
MOVES = split_words(
    "move run walk jump go come enter leave exit turn spin rotate rise fall fly drive ride swim "
    "slide roll bounce hop climb dance throw kick catch cross pass stop start follow chase "
    "approach appear disappear circle stay score arrive hit touch hide sink drop pull push carry "
    "lift shake wave travel overtake collide orbit depart vanish occlude become change"
)
BEFORE_VERBS = split_words("to do does did will would can cannot not never must may")
OWN_FORMS = split_words(
    "ran went came left rose fell flew drove rode swam slid threw caught sank shook"
)
NO_PARTICIPLE = split_words(
    "ring king wing thing something anything nothing building painting ceiling string spring "
    "clothing railing swing morning evening sibling duckling drawing wedding"
)
COMPARES = split_words("as than like same")
RELATIVES = split_words("that who which whose whom")
OPENERS = split_words("with without wearing holding carrying except excluding")
COPULAS = split_words("is are was were be been being 's has have had does do did")
NEGATIONS = split_words("not never without no neither nor except excluding cannot non")
DETERMINERS = split_words("the a an this these those my your his her its their some any")
NUMBERS = split_words("two three four five six seven eight nine ten both several")
INTENSIFIERS = SHADES | split_words("very most least more less slightly fairly really")
PARTS_OF = split_words("pair group bunch piece kind sort type lot crowd set")
"""Nouns before "of" that only count what follows."""
PRONOUNS = split_words("one ones it something anything")
FILLERS = DETERMINERS | RELATIVES | COPULAS | split_words("and or but also as than very it of")
FOREIGN = split_words(
    "der die das den ein eine le la les un une el los las il lo gli het een den det ett os uma um"
)
"""Articles of other languages; none of them begins an English noun phrase."""


def is_noun(word: str) -> bool:
    """Whether a word may name a thing: `is_noun("dog")`."""
    return not is_adjective(word) and word.lower() not in (
        DETERMINERS | NUMBERS | INTENSIFIERS | NEGATIONS
    )


def is_adjective(word: str) -> bool:
    """Whether a word tells how a thing is, by the lists and by its ending."""
    word = word.lower()
    if word in COLOURS | SIZES | PATTERNS | ORDERS | ADJECTIVES | SHADES:
        return True
    if is_participle(word):
        return True
    return len(word) > 5 and word.endswith(("ful", "less", "ish", "ous", "est", "most", "-haired"))


def is_participle(word: str) -> bool:
    """Whether a word looks like a participle: `is_participle("parked")`, but not "ring"."""
    word = word.lower()
    is_ing = len(word) > 4 and word.endswith("ing") and word not in NO_PARTICIPLE
    return is_ing or (len(word) > 4 and word.endswith("ed") and word not in ("speed", "breed"))


def is_move(word: str) -> bool:
    """Whether a form of a verb of motion with an ending: `is_move("runs")`, but not "run", which is
    a noun as well."""
    return word.lower() in _MOVE_FORMS


def _list_forms(stem: str) -> frozenset[str]:
    short, last = stem.removesuffix("e"), stem[-1]
    third = {f"{stem}s", f"{stem}es", f"{stem.removesuffix('y')}ies"}
    return frozenset({*third, f"{short}ed", f"{short}ing", f"{stem}{last}ing", f"{stem}{last}ed"})


# "Left" is a side far more often than a form of "leave".
_MOVE_FORMS = (frozenset().union(*map(_list_forms, MOVES)) | (OWN_FORMS - {"left"})) - NO_PARTICIPLE
