"""What the samples of a program say."""

from itertools import combinations
from statistics import median

from program import COUNTS, WARM_UP

#: Bytes and objects that may be more for each round trip and each child, if there are
#: more in all, too.
HEAP = {"trips": 1, "ended": 16}
OBJECTS = {"trips": 0.01, "ended": 0.5}
#: Less than this in all is not called growth: caches and tables of an interpreter
#: reach their size late, and one kind of batch leaves what the next one frees.
SLACK = {"heap": 128 << 10, "objects": 500}
#: KiB by which the most memory of the last third may exceed that of the second, where
#: there are enough samples: a collector's heap varies by some MiB.
PEAK = 8192
ENOUGH = 20
#: Mappings may be split and joined by the allocators; one for each ring may not stay.
MAPS = 40
UNITS = {"trips": "round trip", "ended": "child"}


def growth(samples, what, kind):
    """How much more there was after each batch of this kind, summed: points to draw
    a line through.  A batch is of one kind alone."""
    points, total = [(0, 0)], 0
    for before, after in zip(samples, samples[1:]):
        if after[kind] != before[kind]:
            total += after[what] - before[what]
            points.append((after[kind] - samples[0][kind], total))
    return points


def slope(points):
    """The median of the slopes between all pairs (Theil-Sen): a batch that stands
    out does not move it."""
    return median((y - b) / (x - a) for (a, b), (x, y) in combinations(points, 2))


def whole(samples, what):
    """The growth in all, by the samples after batches of children alone."""
    points = [(s["ended"], s[what]) for s in samples[WARM_UP[-1] - 1 :: 2]]
    return slope(points) * (points[-1][0] - points[0][0])


def slopes(samples):
    for what, limits in (("heap", HEAP), ("objects", OBJECTS)):
        if samples[0][what] is None:
            continue
        for kind, limit in limits.items():
            points = growth(samples[WARM_UP[-1] - 1 :], what, kind)
            yield what, kind, slope(points), limit, whole(samples, what)


def peaks(samples, what):
    """The most in the second third, and in the last."""
    third = len(samples) // 3
    values = [sample[what] for sample in samples]
    return max(values[third : 2 * third]), max(values[-third:])


def problems(samples):
    found = []
    warm = [samples[i - 1] for i in WARM_UP]
    for name in (*COUNTS, "maps"):
        if warm[0][name] is None:
            continue
        least = min(sample[name] for sample in warm)
        most = max(sample[name] for sample in samples[WARM_UP[-1] :])
        if most > least + (MAPS if name == "maps" else 0):
            found.append(f"{name}: {least} after the warm-up, {most} later")
    for what, kind, got, limit, total in slopes(samples):
        if got > limit and total > SLACK[what]:
            found.append(f"{what} grows by {got:.3f} for each {UNITS[kind]}, over {limit}")
    if samples[0]["rss"] is not None and len(samples) >= ENOUGH:
        before, after = peaks(samples, "rss")
        if after > before + PEAK:
            found.append(f"memory: {before} KiB at most in the second third, then {after}")
    return found


def figures(samples):
    first, last = samples[WARM_UP[-1] - 1], samples[-1]
    yield (
        f"{last['trips']} round trips, {last['ended']} children in "
        f"{last['seconds']:.0f} s, {len(samples)} samples"
    )
    yield ", ".join(
        f"{name} {'not measured' if first[name] is None else f'{first[name]} to {last[name]}'}"
        for name in (*COUNTS, "maps")
    )
    rates = {(what, kind): got for what, kind, got, _, _ in slopes(samples)}
    for what, unit in (("heap", "bytes"), ("objects", "objects")):
        if (what, "trips") in rates:
            yield (
                f"{unit} {first[what]} to {last[what]}, {rates[what, 'trips']:+.4f} for each "
                f"round trip, {rates[what, 'ended']:+.3f} for each child"
            )
    yield ", ".join(
        f"{what.upper()} {first[what]} to {last[what]} KiB, most in thirds "
        f"{' and '.join(map(str, peaks(samples, what)))}"
        if first[what] is not None
        else f"{what.upper()} not measured"
        for what in ("rss", "pss")
    )
