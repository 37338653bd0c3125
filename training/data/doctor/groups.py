"""Which files show the same: one file under several names, copies, and the same pictures encoded
again. What is of one group belongs into one split.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

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
_PAIRS_PER_BLOCK = 2_000_000


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
    """Pairs of files that are no copies and show the same pictures. First frames tell which files
    may; pictures from all over them tell whether they do."""
    paths = [
        path
        for path, facts in media.items()
        if facts.frame_hash and facts.problem is None and groups.name(path) == path
    ]
    pairs = [
        (paths[i], paths[j])
        for i, j in _near_pairs([int(media[path].frame_hash, 16) for path in paths])
        if _may_be_alike(media[paths[i]], media[paths[j]])
    ]
    thumbnails = _read_thumbnails({path for pair in pairs for path in pair}, media, reading)
    return [pair for pair in pairs if _look_alike(*(thumbnails[path] for path in pair))]


def _near_pairs(hashes: Sequence[int]) -> Iterator[tuple[int, int]]:
    codes = np.array(hashes, dtype=np.uint64)
    step = max(1, _PAIRS_PER_BLOCK // max(1, len(codes)))
    for start in range(0, len(codes), step):
        block = codes[start : start + step]
        distances = np.bitwise_count(block[:, None] ^ codes[None, :])
        for i, j in np.argwhere(distances <= MOST_HASH_BITS):
            if start + i < j:
                yield int(start + i), int(j)


def _may_be_alike(first: MediaFacts, second: MediaFacts) -> bool:
    if first.kind != second.kind:
        return False
    if first.duration_s is None or second.duration_s is None:
        return True
    slack_s = max(LENGTH_SLACK_S, LENGTH_SLACK * first.duration_s)
    return abs(first.duration_s - second.duration_s) <= slack_s


def _read_thumbnails(
    paths: set[str], media: Mapping[str, MediaFacts], reading: MediaReading
) -> dict[str, list[np.ndarray]]:
    jobs = []
    for path in sorted(paths):
        settings = {"kind": media[path].kind}
        key = make_job_key("data thumbnails", f"{path}|{name_file_content(path)}", settings)
        jobs.append(Job(key=key, address=path, settings=settings))
    thumbnails: dict[str, list[np.ndarray]] = {path: [] for path in paths}
    for result in reading.engine.run(jobs, Work(function=WORKER), reading.ledger):
        if result.error is None:
            pictures = [np.frombuffer(bytes.fromhex(text), np.uint8) for text in result.value]
            thumbnails[result.address] = [picture.astype(np.float32) for picture in pictures]
    return thumbnails


def _look_alike(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> bool:
    if not first or len(first) != len(second):
        return False
    telling = 0
    for picture, other in zip(first, second, strict=True):
        difference = np.abs(picture - other)
        if difference.mean() > MOST_MEAN_LEVELS or difference.max() > MOST_LEVELS:
            return False
        telling += bool(picture.std() >= LEAST_SPREAD_LEVELS)
    return telling > 0
