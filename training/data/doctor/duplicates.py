"""Rows that say the same, rows that contradict each other, and what splits share."""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence

import numpy as np

from mmreason.training.data.doctor.findings import Finding, FindingKind
from mmreason.training.data.doctor.groups import FileGroups
from mmreason.training.data.doctor.rows import name_file
from mmreason.training.data.doctor.sample_file import split_of
from mmreason.training.data.sample import MediaRef, Sample, SourceLine

SHORT_WORDS = 5
"""Of an answer that leaves no room for another right one."""
LEAST_WORDS = 8
"""Of a text that can be told to be like another one."""
SHINGLE_WORDS = 3
LEAST_SIMILARITY = 0.8
"""Of the sets of neighbouring words of two texts: what both have over what either has."""
MOST_COMPARED = 200
"""Rows about one file that are each compared with all others of it."""
_HASHES, _BANDS = 64, 16
_WORD = re.compile(r"\w+", re.UNICODE)


def find_repeated_rows(samples: Sequence[Sample], groups: FileGroups) -> Iterator[Finding]:
    """Rows that are equal, that answer one question about the same files in several ways, and
    whose texts are alike. Of equal rows the first is not told. Splits are `find_shared`'s."""
    by_question: defaultdict[Hashable, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_question[split_of(sample), _question_key(sample, groups)].append(sample)
    repeated: set[int] = set()
    for same_question in by_question.values():
        if len(same_question) > 1:
            repeated.update(map(id, same_question))
            yield from _compare_answers(same_question)
    remaining = [sample for sample in samples if id(sample) not in repeated]
    for first, second in _similar_texts(remaining, groups, are_splits_mixed=False):
        yield Finding(
            FindingKind.SIMILAR_TEXT,
            second.source,
            f"says nearly what row {first.source.row} says: {_quote(second.question)}",
        )


def find_copied_files(groups: FileGroups, samples: Sequence[Sample]) -> Iterator[Finding]:
    """Files that are copies of another one, told at the first row that names them."""
    named: dict[str, Sample] = {}
    for sample in samples:
        for path in (path for medium in sample.media for path in medium.paths):
            if path not in named and (first := groups.name(path)) != path:
                reason = f"{name_file(path)} has the content of {name_file(first)}"
                yield Finding(FindingKind.COPIED_FILE, sample.source, reason)
            named.setdefault(path, sample)


def find_similar_files(
    pairs: Iterable[tuple[str, str]], samples: Sequence[Sample]
) -> Iterator[Finding]:
    """Files that show what another one shows, told at the first row that names them."""
    first_row: dict[str, SourceLine] = {}
    for sample in samples:
        for medium in sample.media:
            for path in medium.paths:
                first_row.setdefault(path, sample.source)
    for first, second in pairs:
        reason = f"{name_file(second)} shows what {name_file(first)} shows"
        yield Finding(FindingKind.SIMILAR_FILE, first_row[second], reason)


def find_shared(samples: Sequence[Sample], groups: FileGroups) -> Iterator[Finding]:
    """Rows of one split about a file of another split, and rows without files that say nearly what
    a row of another split says. Told at the later split's rows."""
    first_of: dict[str, Sample] = {}
    for sample in samples:
        for medium in sample.media:
            name = groups.name(medium.path)
            first = first_of.setdefault(name, sample)
            if split_of(first) != split_of(sample):
                reason = f"{name_file(medium.path)} is also shown in {_split_row(first)}"
                yield Finding(FindingKind.SHARED_FILE, sample.source, reason)
                break
    texts = [sample for sample in samples if not sample.media]
    for first, second in _similar_texts(texts, groups, are_splits_mixed=True):
        reason = f"says nearly what {_split_row(first)} says: {_quote(second.question)}"
        yield Finding(FindingKind.SHARED_TEXT, second.source, reason)


def normal_answer(sample: Sample) -> str:
    """What a row takes to be right, as a text that can be compared: the truth where there is one,
    else the last answer of the assistant."""
    truth = sample.truth
    if truth.choice is not None:
        return normal_text(truth.options[truth.choice])
    if truth.number is not None:
        return f"{truth.number:g}"
    if truth.answer is not None:
        return " / ".join(
            sorted({normal_text(text) for text in (truth.answers or (truth.answer,))})
        )
    return normal_text(sample.target)


def _compare_answers(same_question: Sequence[Sample]) -> Iterator[Finding]:
    """Of rows about the same files with the same prompt."""
    first_by_row: dict[Hashable, Sample] = {}
    distinct: list[Sample] = []
    for sample in same_question:
        key = _answer_key(sample)
        if (first := first_by_row.setdefault(key, sample)) is not sample:
            reason = f"is row {first.source.row} once more: {_quote(sample.question)}"
            yield Finding(FindingKind.DUPLICATE_ROW, sample.source, reason)
        else:
            distinct.append(sample)
    answers = {normal_answer(sample) for sample in distinct}
    if len(answers) < 2:
        return
    first, *following = distinct
    are_closed = all(_is_closed(sample) for sample in distinct)
    kind = FindingKind.CONTRADICTION if are_closed else FindingKind.SEVERAL_ANSWERS
    for sample in following:
        if normal_answer(sample) != normal_answer(first):
            reason = (
                f"{_quote(sample.question)} is answered {_quote(normal_answer(sample))} here and "
                f"{_quote(normal_answer(first))} in row {first.source.row}"
            )
            yield Finding(kind, sample.source, reason)


def _is_closed(sample: Sample) -> bool:
    """Whether another answer would be wrong: a choice, a number, one or few words."""
    truth = sample.truth
    if len(truth.answers) > 1:
        return False
    is_chosen = truth.choice is not None or truth.number is not None
    return is_chosen or len(_words(normal_answer(sample))) <= SHORT_WORDS


def _question_key(sample: Sample, groups: FileGroups) -> Hashable:
    prompt = tuple(
        (
            message.role,
            tuple(
                _medium_key(item, groups) if isinstance(item, MediaRef) else normal_text(item)
                for item in message.parts
            ),
        )
        for message in sample.prompt
    )
    options = tuple(sorted(map(normal_text, sample.truth.options)))
    return prompt, options, normal_text(sample.transcript)


def _answer_key(sample: Sample) -> Hashable:
    """All that a row takes to be right."""
    truth = sample.truth
    places = (truth.spans, truth.boxes, truth.marks, truth.tube)
    rejected = "".join(message.text for message in sample.rejected)
    return normal_answer(sample), normal_text(sample.target), repr(places), rejected


def _medium_key(medium: MediaRef, groups: FileGroups) -> Hashable:
    return medium.kind, tuple(map(groups.name, medium.paths)), repr(medium.span)


def _similar_texts(
    samples: Sequence[Sample], groups: FileGroups, *, are_splits_mixed: bool
) -> Iterator[tuple[Sample, Sample]]:
    """Pairs of rows about the same file (or about none) whose texts are alike; each row is second
    in one pair at most."""
    by_media: defaultdict[Hashable, list[tuple[Sample, frozenset[int]]]] = defaultdict(list)
    for sample in samples:
        words = _words(_whole_text(sample))
        if len(words) < LEAST_WORDS:
            continue
        media = tuple(_medium_key(medium, groups) for medium in sample.media)
        split = None if are_splits_mixed else split_of(sample)
        by_media[split, media].append((sample, _shingles(words)))
    for rows in by_media.values():
        second_rows: set[int] = set()
        for i, j in _candidate_pairs([shingles for _, shingles in rows]):
            (first, a), (second, b) = rows[i], rows[j]
            if j in second_rows or (are_splits_mixed and split_of(first) == split_of(second)):
                continue
            if len(a & b) >= LEAST_SIMILARITY * len(a | b):
                second_rows.add(j)
                yield first, second


def _candidate_pairs(sets: Sequence[frozenset[int]]) -> Iterator[tuple[int, int]]:
    """Pairs (i < j) that may be alike: all of them of a few sets, else those that share a band of
    their minimal hashes (Broder 1997)."""
    if len(sets) <= MOST_COMPARED:
        yield from ((i, j) for j in range(len(sets)) for i in range(j))
        return
    draws = np.random.default_rng(0)
    factors = draws.integers(1, 2**32, size=_HASHES, dtype=np.uint64) | np.uint64(1)
    offsets = draws.integers(0, 2**32, size=_HASHES, dtype=np.uint64)
    buckets: defaultdict[tuple[int, bytes], list[int]] = defaultdict(list)
    for j, shingles in enumerate(sets):
        codes = np.fromiter(shingles, np.uint64, len(shingles))
        hashed = (codes[:, None] * factors + offsets) >> np.uint64(32)
        minima = hashed.min(axis=0).reshape(_BANDS, -1)
        earlier: dict[int, None] = {}
        for band, values in enumerate(minima):
            bucket = buckets[band, values.tobytes()]
            # Of many alike the first ones are enough to find each.
            earlier |= dict.fromkeys(bucket[:8])
            bucket.append(j)
        yield from ((i, j) for i in earlier)


def _shingles(words: Sequence[str]) -> frozenset[int]:
    ends = range(SHINGLE_WORDS, len(words) + 1)
    return frozenset(
        zlib.crc32(" ".join(words[end - SHINGLE_WORDS : end]).encode()) for end in ends
    )


def _whole_text(sample: Sample) -> str:
    texts = [message.text for message in sample.messages]
    return " ".join([*texts, *sample.truth.options, normal_answer(sample)])


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def normal_text(text: str) -> str:
    """A text without what does not change what is said: case, blanks, a full stop at the end.

    Example:
        >>> normal_text(" Yes. ")
        'yes'
    """
    return " ".join(text.casefold().split()).rstrip(".")


def _split_row(sample: Sample) -> str:
    return f"{split_of(sample)}, row {sample.source.row}"


def _quote(text: str) -> str:
    from mmreason.report.text import shorten_text

    return repr(shorten_text(text, 60))
