"""Connectionist temporal classification (Graves et al., 2006): its loss, and decoding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.checks import one_of
from ..core.op import floating, namespace
from ..core.types import Index, Tensor
from ..engines import current as engine
from ._activations import log_softmax
from ._bodies import constant, differ, expand, rank_of

op = namespace("nn")

#: The logarithm that stands for probability zero: finite, so that gradients are.
LOG_ZERO = -1e5

# ------------------------------------------------------------------------- loss


@op(promote=floating)
def ctc_loss(
    target: Index,
    output: Tensor,
    target_length: Index,
    output_length: Index,
    mask_index: int = 0,
) -> Tensor:
    """-log of the probability of the labels, over all their alignments with the output.

    Args:
        target: Labels (batch, label positions).
        output: Logits (batch, time, classes).
        target_length: How many labels count, (batch,).
        output_length: How many time steps count, (batch,).
        mask_index: The class that stands for no label.

    Returns:
        (batch,).

    >>> import numpy as np
    >>> ctc_loss([[1]], np.zeros((1, 2, 2)), [1], [2]).shape
    (1,)
    """
    _check_ctc(target, output, target_length, output_length)
    if engine().dtype_of(output) in ("float16", "bfloat16"):
        output = engine().cast(output, "float32")
    blank = constant(mask_index, target)
    states, may_skip = _alignment_states(target, blank)
    emissions = _time_major(_emissions(log_softmax(output, -1), states))
    length = engine().shape_of(states)[1]
    zero = constant(LOG_ZERO, output)
    positions = engine().arange(0, length, 1, "int32")
    first = engine().less(positions, constant(2, positions))
    alpha = engine().where(first, engine().slice_axis(emissions, 0, 0, 1), zero)
    alpha = engine().reshape(alpha, engine().shape_of(states))

    def step(alpha: Tensor, x: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        emission, active = x
        skipped = engine().where(may_skip, _delayed(alpha, 2), zero)
        total = _log_sum([alpha, _delayed(alpha, 1), skipped]) + emission
        return engine().where(active, total, alpha), active

    steps = engine().shape_of(output)[1]
    times = engine().reshape(engine().arange(0, steps, 1, "int32"), (steps, 1, 1))
    active = engine().less(times, expand(engine().cast(output_length, "int32"), 1))
    rest = tuple(engine().slice_axis(x, 0, 1, None) for x in (emissions, active))
    alpha, _ = engine().scan(step, alpha, rest, None, False)
    return engine().negative(_final(alpha, target_length))


def _check_ctc(target: Tensor, output: Tensor, *lengths: Tensor) -> None:
    ranks = [rank_of(x) for x in (target, output, *lengths)]
    batches = [engine().shape_of(x)[0] for x in (target, output, *lengths) if rank_of(x)]
    if ranks != [2, 3, 1, 1] or any(differ(batches[0], batch) for batch in batches):
        shapes = [engine().shape_of(x) for x in (target, output, *lengths)]
        raise ValueError(
            "`ctc_loss` takes target (batch, labels), output (batch, time, classes) and lengths "
            f"(batch,). Received: target.shape={shapes[0]}, output.shape={shapes[1]}, "
            f"target_length.shape={shapes[2]}, output_length.shape={shapes[3]}."
        )


def _alignment_states(target: Tensor, blank: Tensor) -> tuple[Tensor, Tensor]:
    """Labels with blanks around them (batch, 2 labels + 1), and which may follow a label."""
    batch, labels = engine().shape_of(target)
    dtype = engine().dtype_of(target)
    pair = [engine().full((batch, labels, 1), blank, dtype), expand(target, 2)]
    pairs = engine().reshape(engine().concatenate(pair, 2), (batch, labels * 2))
    states = engine().concatenate([pairs, engine().full((batch, 1), blank, dtype)], 1)
    two_before = engine().slice_axis(engine().pad(states, ((0, 0), (2, 0)), 0), 1, 0, -2)
    may_skip = engine().logical_and(
        engine().not_equal(states, blank), engine().not_equal(states, two_before)
    )
    positions = engine().arange(0, labels * 2 + 1, 1, "int32")
    inside = engine().less(engine().full((), 2, "int32"), positions)
    return states, engine().logical_and(may_skip, inside)


def _emissions(log_probabilities: Tensor, states: Tensor) -> Tensor:
    """(batch, time, states): the log-probability of each state's class."""
    batch, steps, _ = engine().shape_of(log_probabilities)
    shape = (batch, steps, engine().shape_of(states)[1])
    return engine().take_along_axis(
        log_probabilities, engine().broadcast_to(expand(states, 1), shape), 2
    )


def _time_major(x: Tensor) -> Tensor:
    return engine().transpose(x, (1, 0, 2))


def _delayed(alpha: Tensor, count: int) -> Tensor:
    """alpha (batch, states) moved `count` states on."""
    padded = engine().pad(alpha, ((0, 0), (count, 0)), LOG_ZERO)
    return engine().slice_axis(padded, 1, 0, -count)


def _log_sum(terms: Sequence[Tensor]) -> Tensor:
    """log(sum(exp(terms)))."""
    largest = terms[0]
    for term in terms[1:]:
        largest = engine().maximum(largest, term)
    largest = engine().stop_gradient(largest)
    total = engine().exp(terms[0] - largest)
    for term in terms[1:]:
        total = total + engine().exp(term - largest)
    return largest + engine().log(total)


def _final(alpha: Tensor, target_length: Tensor) -> Tensor:
    """The log-probability of having seen all labels: in the last label or the blank after it."""
    last = expand(engine().cast(target_length, "int32"), 1) * engine().full((), 2, "int32")
    before = engine().maximum(last - constant(1, last), constant(0, last))
    in_blank = engine().take_along_axis(alpha, last, 1)
    in_label = engine().take_along_axis(alpha, before, 1)
    no_label = engine().equal(last, constant(0, last))
    in_label = engine().where(no_label, constant(LOG_ZERO, alpha), in_label)
    (batch, _) = engine().shape_of(in_blank)
    return engine().reshape(_log_sum([in_blank, in_label]), (batch,))


# --------------------------------------------------------------------- decoding


@op(promote=floating)
def ctc_decode(
    inputs: Tensor,
    sequence_lengths: Index,
    strategy: str = "greedy",
    beam_width: int = 100,
    top_paths: int = 1,
    merge_repeated: bool = True,
    mask_index: int | None = 0,
) -> tuple[Tensor, Tensor]:
    """Labels from logits.

    Args:
        inputs: Logits (batch, time, classes).
        sequence_lengths: How many time steps count, (batch,).
        strategy: `greedy` takes the best class at each time; `beam_search` looks for the labels of
            the highest probability.
        beam_width: How many candidates the beam search keeps.
        top_paths: How many results the beam search gives.
        merge_repeated: Whether `greedy` joins repeated classes.
        mask_index: The class that stands for no label; the last one for None.

    Returns:
        Labels (paths, batch, time), int32, filled up with -1, and scores (batch, paths): for
        `greedy` the negative sum of the logits taken, for `beam_search` the log-probability.

    >>> import numpy as np
    >>> labels, _ = ctc_decode(np.eye(3)[None, [1, 1, 0, 1]], [4])
    >>> labels.tolist()
    [[[1, 1, -1, -1]]]
    """
    one_of(("greedy", "beam_search"), strategy=strategy)
    classes = engine().shape_of(inputs)[2]
    blank = classes - 1 if mask_index is None else mask_index
    lengths = engine().cast(sequence_lengths, "int32")
    if strategy == "greedy":
        return _greedy(inputs, lengths, blank, merge_repeated)
    return _beam_search(inputs, lengths, blank, beam_width, top_paths)


def _greedy(
    inputs: Tensor, lengths: Tensor, blank: Any, merge_repeated: bool
) -> tuple[Tensor, Tensor]:
    batch, steps, _ = engine().shape_of(inputs)
    best = engine().argmax(inputs, 2)
    score = engine().max(inputs, (2,), False)
    active = engine().less(engine().arange(0, steps, 1, "int32"), expand(lengths, 1))
    score = engine().sum(engine().where(active, score, constant(0, score)), (1,), True)
    kept = engine().logical_and(active, engine().not_equal(best, constant(blank, best)))
    if merge_repeated:
        before = engine().slice_axis(engine().pad(best, ((0, 0), (1, 0)), -1), 1, 0, -1)
        kept = engine().logical_and(kept, engine().not_equal(best, before))
    # Sorting by "left out", stably, moves what is kept to the front.
    order = engine().argsort(engine().cast(engine().logical_not(kept), "int32"), 1)
    labels = engine().where(kept, best, constant(-1, best))
    labels = engine().take_along_axis(labels, order, 1)
    return engine().reshape(labels, (1, batch, steps)), engine().negative(score)


def _beam_search(
    inputs: Tensor, lengths: Tensor, blank: Any, beam_width: int, top_paths: int
) -> tuple[Tensor, Tensor]:
    """The prefix beam search of Graves (2012): a beam is a prefix of labels, with the
    log-probabilities of the alignments that end in a blank and of those that end in its last label.
    """
    log_probabilities = log_softmax(inputs, -1)
    batch, steps, _ = engine().shape_of(inputs)
    dtype = engine().dtype_of(log_probabilities)
    prefixes = engine().full((batch, beam_width, steps), -1, "int32")
    counts = engine().full((batch, beam_width), 0, "int32")
    zero = engine().full((batch, beam_width - 1), LOG_ZERO, dtype)
    in_blank = engine().concatenate([engine().full((batch, 1), 0, dtype), zero], 1)
    in_label = engine().full((batch, beam_width), LOG_ZERO, dtype)
    times = engine().reshape(engine().arange(0, steps, 1, "int32"), (steps, 1))
    xs = (_time_major(log_probabilities), engine().less(times, lengths))

    def step(beams: Any, x: tuple[Tensor, Tensor]) -> tuple[Any, Tensor]:
        emission, active = x
        new = _advance(beams, emission, blank)
        return tuple(_where_active(active, *pair) for pair in zip(new, beams, strict=True)), active

    beams, _ = engine().scan(step, (prefixes, counts, in_blank, in_label), xs, None, False)
    scores, places = engine().top_k(_log_sum([beams[2], beams[3]]), top_paths)
    paths = _chosen(beams[0], places)
    return engine().transpose(paths, (1, 0, 2)), scores


def _where_active(active: Tensor, new: Tensor, old: Tensor) -> Tensor:
    (batch,) = engine().shape_of(active)
    ones = (1,) * (rank_of(new) - 1)
    return engine().where(engine().reshape(active, (batch, *ones)), new, old)


def _chosen(rows: Tensor, places: Tensor) -> Tensor:
    """Rows (batch, beams, time) at places (batch, k)."""
    (batch, count), steps = engine().shape_of(places), engine().shape_of(rows)[2]
    return engine().take_along_axis(
        rows, engine().broadcast_to(expand(places, 2), (batch, count, steps)), 1
    )


def _advance(beams: Any, emission: Tensor, blank: Any) -> tuple[Tensor, ...]:
    """The beams after one more time step with log-probabilities `emission` (batch, classes)."""
    prefixes, counts, in_blank, in_label = beams
    batch, width, steps = engine().shape_of(prefixes)
    classes = engine().shape_of(emission)[1]
    total = _log_sum([in_blank, in_label])
    last = _last_label(prefixes, counts)
    numbers = engine().arange(0, classes, 1, "int32")
    is_last = engine().equal(expand(last, 2), numbers)
    # A prefix grows by a label; by its own last label only after a blank.
    grown = engine().where(is_last, expand(in_blank, 2), expand(total, 2)) + expand(emission, 1)
    zero = constant(LOG_ZERO, grown)
    grown = engine().where(engine().equal(numbers, constant(blank, numbers)), zero, grown)
    # Where the grown prefix is a beam already, its probability goes there.
    known = _is_child(prefixes, counts, last)  # (batch, child, parent)
    label = engine().broadcast_to(
        expand(engine().maximum(last, constant(0, last)), 1), (batch, width, width)
    )
    arriving = engine().transpose(engine().take_along_axis(grown, label, 2), (0, 2, 1))
    arriving = engine().max(engine().where(known, arriving, zero), (2,), False)
    hit = engine().logical_and(expand(known, 3), expand(is_last, 2))
    grown = engine().where(engine().any(hit, (1,), False), zero, grown)
    own = engine().take_along_axis(emission, engine().maximum(last, constant(0, last)), 1)
    stay_label = _log_sum([in_label + own, arriving])
    stay_blank = total + engine().slice_axis(emission, 1, blank, blank + 1)
    scores = engine().concatenate(
        [_log_sum([stay_blank, stay_label]), engine().reshape(grown, (batch, width * classes))], 1
    )
    best, places = engine().top_k(scores, width)
    size, one = constant(width, places), constant(1, places)
    stays = engine().less(places, size)
    offset = engine().maximum(places - size, constant(0, places))
    number = constant(classes, places)
    source = engine().where(stays, places, engine().floor_divide(offset, number))
    added = engine().mod(offset, number)
    counts = engine().take_along_axis(counts, source, 1)
    prefixes = _chosen(prefixes, source)
    positions = engine().arange(0, steps, 1, "int32")
    at_end = engine().equal(positions, expand(counts, 2))
    grows = engine().logical_and(at_end, expand(engine().logical_not(stays), 2))
    return (
        engine().where(grows, expand(added, 2), prefixes),
        engine().where(stays, counts, counts + one),
        engine().where(stays, engine().take_along_axis(stay_blank, source, 1), zero),
        engine().where(stays, engine().take_along_axis(stay_label, source, 1), best),
    )


def _last_label(prefixes: Tensor, counts: Tensor) -> Tensor:
    """(batch, beams): the last label of each prefix, -1 for the empty one."""
    batch, width, _ = engine().shape_of(prefixes)
    place = expand(engine().maximum(counts - constant(1, counts), constant(0, counts)), 2)
    return engine().reshape(engine().take_along_axis(prefixes, place, 2), (batch, width))


def _is_child(prefixes: Tensor, counts: Tensor, last: Tensor) -> Tensor:
    """(batch, child, parent): whether the child's prefix is the parent's with one more label."""
    steps = engine().shape_of(prefixes)[2]
    positions = engine().arange(0, steps, 1, "int32")
    at_end = engine().equal(positions, expand(counts - constant(1, counts), 2))
    shortened = engine().where(at_end, constant(-1, prefixes), prefixes)
    same = engine().all(engine().equal(expand(shortened, 2), expand(prefixes, 1)), (3,), False)
    longer = engine().equal(expand(counts, 2), expand(counts + constant(1, counts), 1))
    return engine().logical_and(same, longer)
