"""Items from seeds: the same seed and knobs always give the same item, on every machine."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import get_args

from mmreason.grounding.refadv.certifier import CertificateError, prove
from mmreason.grounding.refadv.drafts import Answer, Draft, Knobs, allows_knobs, find_limit
from mmreason.grounding.refadv.image_families import IMAGE_DRAFTS
from mmreason.grounding.refadv.items import (
    GENERATOR_VERSION,
    Certificate,
    Item,
    ItemKind,
)
from mmreason.grounding.refadv.places import find_places
from mmreason.grounding.refadv.programs import (
    Program,
    delete_descriptor,
    list_descriptors,
    list_needed,
    strip_negation,
    swap_bindings,
)
from mmreason.grounding.refadv.scenes import cut_out_things, make_like, shuffle_draft, write_world
from mmreason.grounding.refadv.texts import TEMPLATES, Wording, join_tokens, write_tokens
from mmreason.grounding.refadv.things import denote
from mmreason.grounding.refadv.variants import write_variants
from mmreason.grounding.refadv.video_families import VIDEO_DRAFTS

TRAINING_SEEDS = 1_000_000
"""Seeds from here on are for training; those below are for tests, and never trained on."""
DEFAULT_KNOBS = Knobs()
_TRIES = 400
_UNPROVED = Certificate(
    answer="none", unique=False, irredundant=False, global_min=None, witnesses=(), hardest_id="",
    shared_k=0, k=0, order_critical=False, negation_matters=False, reversal_ids=None,
    single_frame_bound=1.0,
)  # fmt: skip


def generate(
    *, kind: ItemKind, seed: int, count: int, knobs: Knobs = DEFAULT_KNOBS
) -> Iterator[Item]:
    """Items of the seeds `seed`, `seed + 1`, and so on, `count` of them, one at a time.

    Raises ValueError where the knobs allow no family, such as two descriptors among three objects
    with an order in time.

    Example:
        >>> knobs = Knobs(k=4, families=("order",))
        >>> item = next(generate(kind="video", seed=3, count=1, knobs=knobs))
        >>> item.kind, item.tags[0], item.certificate.shared_k
        ('video', 'order', 3)
    """
    if kind not in get_args(ItemKind):
        raise ValueError(f"kind must be image or video, got {kind!r}")
    families = list_families(kind, knobs)
    for item_seed in range(seed, seed + count):
        yield _generate_item(kind, item_seed, families, knobs)


def list_families(kind: ItemKind, knobs: Knobs) -> list[str]:
    """Families that the knobs ask for and allow. Raises ValueError where there is none."""
    drafts = IMAGE_DRAFTS if kind == "image" else VIDEO_DRAFTS
    asked = [name for name in knobs.families or drafts if name in drafts]
    families = [name for name in asked if allows_knobs(name, knobs)]
    if not families:
        limits = [(name, find_limit(name, knobs)) for name in asked or drafts]
        possible = "; ".join(
            f"{name} k {limit.least_k} to {limit.most_k}, n k + {limit.more_n} to "
            f"{limit.most_n(knobs.k)}"
            for name, limit in limits
        )
        raise ValueError(
            f"no family makes {kind} items of k={knobs.k}, n={knobs.n}, hops={knobs.hops} and "
            f"families={knobs.families}; possible are {possible}"
        )
    return families


def _generate_item(kind: ItemKind, seed: int, families: Sequence[str], knobs: Knobs) -> Item:
    rng = random.Random(f"refadv/{GENERATOR_VERSION}/{kind}/{seed}/{knobs}")
    family = rng.choice(families)
    answer = _draw_answer(rng, knobs)
    for _ in range(_TRIES):
        draft = _change_answer(rng, (IMAGE_DRAFTS | VIDEO_DRAFTS)[family](rng, knobs), answer)
        if len(draft.things) != knobs.n:
            continue
        things = find_places(rng, draft.things)
        if things is None:
            continue
        draft = replace(draft, things=things)
        if not _keeps_promises(draft, answer):
            continue
        try:
            return _write_item(rng, kind, seed, family, answer, draft, knobs)
        except CertificateError as error:
            # Drawn again where two things stand too close to tell; anything else is a mistake of
            # the generator or of the certifier, and must come out.
            if not error.only_margins:
                raise
    raise RuntimeError(f"no {family} scene of {knobs} was found for seed {seed}")


def _draw_answer(rng: random.Random, knobs: Knobs) -> Answer:
    draw = rng.random()
    if draw < knobs.none_rate:
        return "none"
    return "many" if draw < knobs.none_rate + knobs.multi_rate else "one"


def _change_answer(rng: random.Random, draft: Draft, answer: Answer) -> Draft:
    """The same scene with an expression that means nothing, or several."""
    if answer == "one":
        return draft
    program = draft.program
    if answer == "many" and len(program.clauses) == 1 and program.pick is None:
        # The only descriptor must stay: another thing comes to fit it.
        partners = {thing.partner for thing in draft.things}
        index = rng.choice([i for i in range(1, len(draft.things)) if i not in partners])
        things = [*draft.things]
        things[index] = make_like(things[index], things[0])
        if draft.things[index].event != things[0].event:
            times = {"onset_s": things[0].onset_s, "length_s": things[0].length_s}
            things[index] = replace(things[index], **times)
        return replace(draft, things=things, program=replace(program, quantifier="every"))
    if answer == "many":
        # What is picked by rank is always one.
        names = [name for name in list_descriptors(program) if "." not in name]
        name = "pick" if program.pick is not None else rng.choice(names)
        return replace(draft, program=replace(delete_descriptor(program, name), quantifier="every"))
    # The target looks and does as one of its witnesses: every clause is still true of some. So do
    # others that fit until there are fewer than the rank, which stays: a text never tells that
    # nothing fits.
    members, going = {0}, 1
    if program.pick is not None:
        members = set(denote(replace(program, pick=None), draft.things))
        going = len(members) - program.pick.rank + 1
    witnesses = [thing for index, thing in enumerate(draft.things) if index not in members]
    things = [*draft.things]
    for index in rng.sample(sorted(members), going):
        things[index] = make_like(things[index], rng.choice(witnesses))
    return replace(draft, things=things)


def _keeps_promises(draft: Draft, answer: Answer) -> bool:
    """Whether the draft means what it should, and every descriptor is needed."""
    program, things = draft.program, draft.things
    meant = denote(program, things)
    if answer == "one" and meant != (0,):
        return False
    if answer == "none" and meant:
        return False
    if answer == "many" and (len(meant) < 2 or 0 not in meant or len(meant) == len(things)):
        return False
    needed = list_needed(program, any_fits=bool(meant))
    if any(denote(delete_descriptor(program, name), things) == meant for name in needed):
        return False
    stripped = strip_negation(program)
    if stripped is not None and answer == "one":
        twin = denote(stripped, things)
        if len(twin) != 1 or twin == meant:
            return False
    if draft.needs_swap and answer == "one":
        twins = [denote(swapped, things) for swapped in swap_bindings(program)]
        if not any(len(twin) == 1 and twin != meant for twin in twins):
            return False
    return True


def _write_item(
    rng: random.Random,
    kind: ItemKind,
    seed: int,
    family: str,
    answer: Answer,
    draft: Draft,
    knobs: Knobs,
) -> Item:
    draft = shuffle_draft(rng, cut_out_things(draft) if knobs.look == "cutouts" else draft)
    program, things = draft.program, draft.things
    wording = Wording()
    if knobs.wording == "varied":
        wording = Wording(rng.randrange(TEMPLATES), rng.randrange(1 << 30))
    world = write_world(rng, kind, seed, draft, knobs)
    ids = tuple(actor.id for actor in world.scenes[0].actors)
    targets = tuple(ids[index] for index in denote(program, things))
    tokens = write_tokens(program, wording)
    expression = join_tokens(tokens)
    words = [name for word, name in tokens if word != ","]
    item = Item(
        id=f"{kind}-{seed}",
        kind=kind,
        world=world,
        frame_time_s=0.0 if kind == "image" else None,
        expression=expression,
        word_descriptors=tuple(words),
        program=program,
        target_ids=targets,
        candidate_ids=ids,
        certificate=_UNPROVED,
        variants=(),
        tags=tuple(_write_tags(family, answer, program, knobs)),
    )
    item = replace(item, variants=write_variants(rng, item, draft, wording))
    # Solved by the certifier, who reads the scene and nothing of the draft. It raises where the
    # two do not agree.
    return replace(item, certificate=prove(item))


def _write_tags(family: str, answer: Answer, program: Program, knobs: Knobs) -> Iterator[str]:
    yield family
    if answer != "one":
        yield answer
    if strip_negation(program) is not None:
        yield "negation"
    if any(name.count(".") == 2 for name in list_descriptors(program)):
        yield "two hops"
    if knobs.ground != "plain":
        yield knobs.ground
    if knobs.look != "shapes":
        yield knobs.look
