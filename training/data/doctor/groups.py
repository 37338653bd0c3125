"""Which files show the same: one file under several names, copies, and the same pictures encoded
again. What is of one group belongs into one split.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

from mmreason.engines import Job, Work, make_job_key, name_file_content
from mmreason.training.data.doctor.media import MediaFacts, MediaReading

WORKER = "mmreason.training.data.doctor.media_worker:read_thumbnails"
MOST_HASH_BITS = 6
"""Of 64 by which two first frames may differ before more of the files is looked at."""
LENGTH_SLACK_S = 0.25
LENGTH_SLACK = 0.02
"""By which the lengths of two encodings of one video may differ: seconds, and of the length."""
MOST_MEAN_LEVELS = 4.0
MOST_LEVELS = 24.0
"""By which grey levels of small pictures may differ, on the whole and in one of 16 x 16 areas:
encoding again stays below, another object anywhere does not."""
LEAST_SPREAD_LEVELS = 4.0
"""Of a small picture that tells something: flat ones are all alike."""
_CELLS_PER_BLOCK = 2_000_000
_FIRST_ROOM = 64


class FileGroups:
    """Files that show the same, by union of what was found out.

    Example:
        >>> groups = FileGroups(["a.mp4", "b.mp4", "c.mp4"])
        >>> groups.join("a.mp4", "c.mp4")
        >>> groups.name("c.mp4"), groups.name("b.mp4")
        ('a.mp4', 'b.mp4')
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._order = {path: index for index, path in enumerate(paths)}
        self._parents = {path: path for path in paths}

    def name(self, path: str) -> str:
        """The first file of its group; itself for one that is not known (an address)."""
        if path not in self._parents:
            return path
        root = path
        while self._parents[root] != root:
            root = self._parents[root]
        while self._parents[path] != root:
            self._parents[path], path = root, self._parents[path]
        return root

    def join(self, first: str, second: str) -> None:
        """Two files show the same."""
        roots = sorted((self.name(first), self.name(second)), key=self._order.__getitem__)
        self._parents[roots[1]] = roots[0]


def group_copies(media: Mapping[str, MediaFacts]) -> FileGroups:
    """Groups of names of one file (links among them), and of files with the very same content."""
    groups = FileGroups(list(media))
    first_of: dict[tuple[str, object], str] = {}
    for path, facts in media.items():
        # A path that names no file may be no path at all.
        is_file = facts.problem is None
        keys: list[tuple[str, object]] = [("path", os.path.realpath(path) if is_file else path)]
        if facts.content_hash:
            keys.append(("content", (facts.size_bytes, facts.content_hash)))
        for key in keys:
            first = first_of.setdefault(key, path)
            if first != path:
                groups.join(first, path)
    return groups


def find_similar(
    media: Mapping[str, MediaFacts], groups: FileGroups, reading: MediaReading
) -> list[tuple[str, str]]:
    """Files that are no copies and show the same pictures: each with the first one that shows them.
    First frames tell which files may; pictures from all over them tell whether they do."""
    paths = [
        path
        for path, facts in media.items()
        if facts.frame_hash and facts.problem is None and groups.name(path) == path
    ]
    hashes = np.array([int(media[path].frame_hash, 16) for path in paths], dtype=np.uint64)
    candidates = _with_neighbours(hashes)
    thumbnails = _read_thumbnails({paths[index] for index in candidates}, media, reading)
    pairs: list[tuple[str, str]] = []
    # Each file is compared with the first of each group alone: of a thousand copies all are like
    # the first, and need not be told to be like each other.
    firsts = _FirstFiles()
    for index in candidates:
        path = paths[index]
        first = firsts.find_alike(media[path], hashes[index], thumbnails[path])
        if first is not None:
            pairs.append((first, path))
    return pairs


def _with_neighbours(hashes: np.ndarray) -> list[int]:
    """Places of those that are near another one, ascending."""
    step = max(1, _CELLS_PER_BLOCK // max(1, len(hashes)))
    near: list[int] = []
    for start in range(0, len(hashes), step):
        block = hashes[start : start + step]
        distances = np.bitwise_count(block[:, None] ^ hashes[None, :])
        # Each is near itself.
        counts = (distances <= MOST_HASH_BITS).sum(axis=1)
        near += (start + np.flatnonzero(counts > 1)).tolist()
    return near


class _FirstFiles:
    """The first file of each group that shows the same, and what it shows."""

    def __init__(self) -> None:
        self._facts: list[MediaFacts] = []
        self._pictures: list[np.ndarray] = []
        self._hashes = np.empty(_FIRST_ROOM, np.uint64)
        self._levels = np.empty((_FIRST_ROOM, 2), np.float32)

    def find_alike(
        self, facts: MediaFacts, frame_hash: np.uint64, pictures: np.ndarray
    ) -> str | None:
        """The first file that shows the same; None where there is none, and this one is the first
        of another group. `pictures` are float32 (N, 256), of no file that could not be read."""
        if not len(pictures):
            return None
        count = len(self._facts)
        levels = np.array([pictures[0].mean(), pictures[-1].mean()], np.float32)
        # What differs in its mean level differs in its areas too: most are passed over by that.
        is_near = np.bitwise_count(self._hashes[:count] ^ frame_hash) <= MOST_HASH_BITS
        is_near &= (np.abs(self._levels[:count] - levels) <= MOST_MEAN_LEVELS).all(axis=1)
        for index in np.flatnonzero(is_near):
            first = self._facts[index]
            if _may_be_alike(first, facts) and _look_alike(self._pictures[index], pictures):
                return first.path
        self._add(facts, frame_hash, levels, pictures)
        return None

    def _add(
        self, facts: MediaFacts, frame_hash: np.uint64, levels: np.ndarray, pictures: np.ndarray
    ) -> None:
        count = len(self._facts)
        if count == len(self._hashes):
            self._hashes = np.resize(self._hashes, 2 * count)
            self._levels = np.resize(self._levels, (2 * count, 2))
        self._hashes[count], self._levels[count] = frame_hash, levels
        self._facts.append(facts)
        self._pictures.append(pictures)


def _may_be_alike(first: MediaFacts, second: MediaFacts) -> bool:
    if first.kind != second.kind:
        return False
    if first.duration_s is None or second.duration_s is None:
        return True
    slack_s = max(LENGTH_SLACK_S, LENGTH_SLACK * first.duration_s)
    return abs(first.duration_s - second.duration_s) <= slack_s


def _read_thumbnails(
    paths: set[str], media: Mapping[str, MediaFacts], reading: MediaReading
) -> dict[str, np.ndarray]:
    jobs = []
    for path in sorted(paths):
        settings = {"kind": media[path].kind}
        key = make_job_key("data thumbnails", f"{path}|{name_file_content(path)}", settings)
        jobs.append(Job(key=key, address=path, settings=settings))
    thumbnails = {path: np.empty((0, 0), np.float32) for path in paths}
    for result in reading.engine.run(jobs, Work(function=WORKER), reading.ledger):
        if result.error is None and result.value:
            pictures = [np.frombuffer(bytes.fromhex(text), np.uint8) for text in result.value]
            thumbnails[result.address] = np.stack(pictures).astype(np.float32)
    return thumbnails


def _look_alike(first: np.ndarray, second: np.ndarray) -> bool:
    if first.shape != second.shape:
        return False
    differences = np.abs(first - second)
    if differences.mean(axis=1).max() > MOST_MEAN_LEVELS or differences.max() > MOST_LEVELS:
        return False
    return bool((first.std(axis=1) >= LEAST_SPREAD_LEVELS).any())
