"""A teacher that plays `LongVideoR1` by its captions, and by hints where these are silent.

It writes the shortest turns that say why: the thing wanted, what was read of it (or "no" and the
word it goes by), then one call or the answer. With `hints` = 0 it knows no more than the model that
learns from it; 1 to 3 add the parts of the tree that hold the answer, level by level (high, medium,
leaf); 4 lets it look at such a leaf although no caption tells of the thing. A hint is never said.
Which plays are worth keeping is decided in `demonstrations`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mmreason.language.question import order_of
from mmreason.language.refusals import says_absent
from mmreason.memory.tree import NodeId, Tree
from mmreason.models.base import GenerateRequest, Message, Reply, TextPart, Tier
from mmreason.needle.items import Item
from mmreason.needle.words import VALUES, split_word_clause
from mmreason.policies.longvideo_r1_text import LAST_TURN
from mmreason.training.navigation.observer import CLIP
from mmreason.types import Note
from mmreason.video.world.truth import add_article

HINTS = 5
"""Rungs of the ladder: none, high, medium, leaf, look."""
OPENS_LIMIT = 6
"""Nodes opened without a matching caption before the thing is said not to be there."""

_THING = re.compile(
    r"\b(?:(?:small|large) )?(?:{}) (?:(?:striped|dotted) )?(?:{})\b".format(
        "|".join(VALUES["colour"]), "|".join(VALUES["shape"])
    )
)
_FORMS = (
    r"^What (?:colour|shape) is the (.+)\?$",
    r"^What pattern does the (.+) have\?$",
    r"^Is the (.+) small or large\?$",
    r"^How does the (.+) move\?$",
    r"^How many (.+) are there\?$",
)
_INFORMATION = re.compile(r"<information>(.*?)</information>", re.DOTALL)
_TIME = re.compile(r"^(?:\d+:)?\d+:\d\d\.\d\d ")

ReadNotes = Callable[[NodeId], Sequence[Note]]
"""The notes of a node's caption."""


def find_things_asked(question: str) -> tuple[str, ...]:
    """What a question is about: "small star", "red object"; several for an order; none for
    questions about the whole video.

    Example:
        >>> find_things_asked("What colour is the small star?")
        ('small star',)
    """
    plain, _ = split_word_clause(question)
    order = order_of(plain)
    if order is not None:
        return tuple(thing.removeprefix("the ") for thing in order[1])
    for form in _FORMS:
        if (match := re.match(form, plain)) is not None:
            # The one shape whose plural is not a mere s.
            single = {"crosses": "cross"}
            singular = [single.get(w, w.removesuffix("s")) for w in match[1].split()]
            return (" ".join(singular) if plain.startswith("How many") else match[1],)
    return ()


def find_things_told(text: str, thing: str) -> list[str]:
    """The names in a caption that `thing` fits; captions of a cut tell no sizes.

    Example:
        >>> find_things_told("a small red star and a large blue ring.", "small star")
        ['small red star']
    """
    words_wanted = {word for word in thing.split() if word != "object"}
    names = [(name, set(name.split())) for name in _THING.findall(text)]
    sizes = set(VALUES["size"])
    return [
        name
        for name, name_words in names
        if words_wanted - (set() if name_words & sizes else sizes) <= name_words
    ]


@dataclass
class Teacher:
    """Meets `ChatModel` as the reasoner of one question; knows the item and its answer."""

    item: Item
    tree: Tree
    read: ReadNotes
    hints: int
    read_nodes: list[NodeId] = field(default_factory=list)
    """Nodes whose captions were read, in order."""
    opened: set[NodeId] = field(default_factory=set)
    looked: set[tuple[str, NodeId]] = field(default_factory=set)
    leaf_of: dict[str, NodeId] = field(default_factory=dict)
    """Where each thing was seen."""
    silent: int = 0
    """Opened without a matching caption or a hint."""
    name: str = "teacher"
    fingerprint: str = "teacher"
    lineage: str = "teacher"
    calibrated: bool = False
    tier: Tier = "nano"
    takes_tools: bool = False
    clip = CLIP
    notes = ()

    def __post_init__(self) -> None:
        self.things = find_things_asked(self.item.question)
        self.word = split_word_clause(self.item.question)[1]
        # A hint is the way down to a leaf that shows the answer, as far as the rung goes.
        gold = [self.tree.leaf_at(span.middle_s).id for span in self.item.gold_spans]
        self.hinted = {leaf[:d] for leaf in gold for d in range(1, min(self.hints, 3) + 1)}
        # The policy opens with the captions of the top level.
        self.read_nodes += [node.id for node in self.tree.children()]
        self._pending_look: tuple[str, NodeId] | None = None

    def generate(self, request: GenerateRequest) -> list[Reply]:
        """See `ChatModel`; one conversation at a time."""
        request.refuse_constraint(self.name)
        request.refuse_tools(self.name)
        (conversation,) = request.conversations
        text = self._turn(conversation[-1])
        reply = Reply(text=text, token_ids=(), logprobs=(), tokens_in=1, tokens_out=1)
        return [reply.cut_at(request.stop)]

    def _turn(self, last: Message) -> str:
        text = "".join(p.text for p in last.parts if isinstance(p, TextPart))
        if not self.things:
            return self._overview()
        # 1. What the look that was asked for last turn has shown.
        if self._pending_look is not None:
            thing, leaf = self._pending_look
            self._pending_look = None
            sight = _first_sight(text)
            if sight is not None:
                self.leaf_of[thing] = leaf
                if len(self.things) == 1:
                    return write_answer_turn(thing, sight)
        # 2. Counts need every place, not the first.
        if self.item.kind == "count":
            return self._count(text)
        # 3. Each thing is searched for in turn; an order is told when all were seen.
        for thing in self.things:
            if thing not in self.leaf_of:
                return self._search(thing, last=LAST_TURN in text)
        return self._order()

    def _search(self, thing: str, *, last: bool) -> str:
        """The next step towards one thing."""
        # A caption that tells of the thing is followed first: this is what is to be learnt.
        match = None if last else self._match(thing)
        if match is not None:
            node, name = match
            if self.tree.is_leaf(node):
                return self._look(thing, node, name)
            return self._open(thing, node, name)
        clue = f"no, {self.word}" if self.word else "no"
        # Without one, the top rung of hints looks where the answer is,
        hidden = None if last or self.hints < 4 else self._unlooked_leaf(thing)
        if hidden is not None:
            return self._look(thing, hidden, clue)
        # and the lower ones read on.
        node = None if last else self._silent_node()
        if node is not None:
            return self._open(thing, node, clue)
        return f"<think>{thing}: no</think><answer>there is no {thing}</answer>"

    def _match(self, thing: str) -> tuple[NodeId, str] | None:
        """The deepest, then earliest node whose caption tells of the thing (beside the word)."""
        fits = [
            (node, names[0])
            for node in self.read_nodes
            if node not in self.opened and (thing, node) not in self.looked
            if (names := self._names(node, thing))
        ]
        # Node ids sort by their place in time.
        # The deepest tells most: what was found on the way down is not left for another branch.
        return min(fits, key=lambda fit: (-len(fit[0]), fit[0]), default=None)

    def _names(self, node: NodeId, thing: str) -> list[str]:
        lines = [n.text for n in self.read(node) if self.word is None or self.word in n.text]
        return [name for line in lines for name in find_things_told(line, thing)]

    def _silent_node(self) -> NodeId | None:
        """Where to read on without a match: hinted nodes first, else those with the word, level by
        level in order of time."""
        free = [n for n in self.read_nodes if n not in self.opened and not self.tree.is_leaf(n)]
        hinted = sorted(n for n in free if n in self.hinted)
        if hinted:
            # In order of time on the top level; below it the latest first.
            return hinted[-1] if len(hinted[-1]) > 1 else hinted[0]
        if self.silent >= OPENS_LIMIT:
            return None
        inside = [n for n in free if self._is_inside_hint(n) and self._has_word(n)]
        # Opening in silence is bounded, or a thing that is not there would open the whole tree.
        self.silent += bool(inside)
        return min(inside, key=lambda n: (len(n), n), default=None)

    def _is_inside_hint(self, node: NodeId) -> bool:
        """Whether no hint speaks against the node."""
        # A hint speaks of its own level and those above: deeper down nothing is known.
        levels = {len(hint) for hint in self.hinted if len(hint) <= len(node)}
        return all(node[:level] in self.hinted for level in levels)

    def _has_word(self, node: NodeId) -> bool:
        return self.word is None or any(self.word in note.text for note in self.read(node))

    def _unlooked_leaf(self, thing: str) -> NodeId | None:
        leaves = [n for n in self.read_nodes if self.tree.is_leaf(n) and n in self.hinted]
        return next((n for n in leaves if (thing, n) not in self.looked), None)

    def _open(self, thing: str, node: NodeId, clue: str) -> str:
        self.opened.add(node)
        # Opening a node is what shows the captions of its children.
        self.read_nodes += [child.id for child in self.tree.children(node)]
        return write_open_turn(thing, clue, node)

    def _look(self, thing: str, leaf: NodeId, clue: str) -> str:
        self.looked.add((thing, leaf))
        self._pending_look = (thing, leaf)
        question = split_word_clause(self.item.question)[0]
        if len(self.things) > 1:
            # An order is settled by where each thing is, not by asking for it.
            question = f"Is there {add_article(thing)}?"
        return write_look_turn(thing, clue, leaf, question)

    def _order(self) -> str:
        order = order_of(split_word_clause(self.item.question)[0])
        assert order is not None, self.item.question
        thing = (min if order[0] else max)(self.things, key=lambda t: self.leaf_of[t])
        return f"<think>{thing}</think><answer>the {thing}</answer>"

    def _count(self, text: str) -> str:
        """Read until every place is known, then count the different things that were told."""
        (thing,) = self.things
        fits = dict.fromkeys(n for node in self.read_nodes for n in self._names(node, thing))
        # "red star" and "small red star" are one thing.
        names = [n for n in fits if not any(set(n.split()) < set(m.split()) for m in fits)]
        # With hints the teacher knows how many there are to be found.
        enough = self.hints and len(names) >= len(self.item.gold_spans)
        node = None if enough or LAST_TURN in text else self._silent_node()
        if node is not None:
            return self._open(thing, node, f"{', '.join(names) or 'no'}, {self.word}")
        listed = ", ".join(names) or "no"
        return f"<think>{thing}: {listed}</think><answer>{len(names)}</answer>"

    def _overview(self) -> str:
        """The word that is on the screen first, last, longest or shortest, by the top level."""
        screen_words = [
            match[1]
            for node in self.tree.children()
            for note in self.read(node.id)
            if (match := re.search(r"the word (\w+) is on the screen", note.text))
        ]
        if not screen_words:
            return "<think>no word</think><answer>there is no word</answer>"
        question = self.item.question
        # A word that stands in more captions of the top level was longer on the screen.
        by_count = sorted(dict.fromkeys(screen_words), key=screen_words.count)
        best = {"last": screen_words[-1], "first": screen_words[0], "shortest": by_count[0]}
        kind = next((kind for kind in best if kind in question), "longest")
        word = best.get(kind, by_count[-1])
        return f"<think>{kind}: {word}</think><answer>{word}</answer>"


def _first_sight(text: str) -> str | None:
    """The first line of a look that says more than "it is not there"."""
    match = _INFORMATION.search(text)
    sights = [] if match is None else [_TIME.sub("", line) for line in match[1].split(" / ")]
    # A look may be at several frames, of which some miss the thing.
    return next((x for x in sights if not says_absent(x) and x.split()[:1] != ["no"]), None)


def write_open_turn(thing: str, clue: str, node: NodeId) -> str:
    """Reads on below a node, where `clue` tells of the thing.

    Example:
        >>> write_open_turn("star", "red star", (1, 4))
        '<think>star: red star</think><tool>open((1, 4))</tool>'
    """
    return f"<think>{thing}: {clue}</think><tool>open({format_node(node)})</tool>"


def write_look_turn(thing: str, clue: str, leaf: NodeId, question: str) -> str:
    """Asks the observer about a leaf."""
    return f'<think>{thing}: {clue}</think><tool>video_qa({format_node(leaf)}, "{question}")</tool>'


def write_answer_turn(thing: str, answer: str) -> str:
    """Answers with what a look showed.

    Example:
        >>> write_answer_turn("star", "red")
        '<think>star: red</think><answer>red</answer>'
    """
    return f"<think>{thing}: {answer}</think><answer>{answer}</answer>"


def format_node(node: NodeId) -> str:
    """As turns and captions write it.

    Example:
        >>> format_node((1, 4))
        '(1, 4)'
    """
    return f"({', '.join(map(str, node))})"
