"""The results of `make bench-peers`: written as a table, as text and as plots, and
compared with the targets."""

import statistics
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent


class Row(NamedTuple):
    language: str
    work: str
    cores: str
    peer: str
    unit: str
    values: list

    @property
    def median(self):
        return statistics.median(self.values)

    @property
    def quartiles(self):
        ordered, last = sorted(self.values), len(self.values) - 1
        return ordered[last // 4], ordered[last - last // 4]


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


# ---- The table ----------------------------------------------------------------

def write_rows(path, rows, where):
    lines = [f"# {where}", "# language\twork\tcores\tpeer\tunit\tmedian\tlow"
             "\thigh\tthe figure of each round"]
    for row in rows:
        summary = ["not measured", "", ""] if not row.values else [
            f"{value:.6g}" for value in (row.median, *row.quartiles)]
        values = " ".join(f"{value:.6g}" for value in row.values)
        lines.append("\t".join([*row[:5], *summary, values]))
    path.write_text("\n".join(lines) + "\n")


def read_rows(path):
    return [Row(*words[:5], [float(value) for value in words[8].split()])
            for words in (line.split("\t") for line in path.read_text().splitlines()
                          if not line.startswith("#"))]


def write_text(path, rows, where):
    """Markdown: a row for a peer; the median and the quartiles."""
    lines = [f"# Measured by `make bench-peers`: {where}", "",
             "Medians (quartiles) of interleaved rounds; one core for both "
             "processes, and free.  Rates should be high, times low."]
    title = None
    by_key = {row[:4]: row for row in rows}
    for row in rows:
        if row.cores != "same":
            continue
        if title != row[:2]:
            title = row[:2]
            lines += ["", f"## {row.language}: {row.work}, {row.unit}", "",
                      "| peer | one core | free |", "|---|---|---|"]
        cells = [cell(by_key.get((*title, cores, row.peer)))
                 for cores in ("same", "free")]
        lines.append(f"| {row.peer} | {cells[0]} | {cells[1]} |")
    path.write_text("\n".join(lines) + "\n")


def cell(row):
    if row is None or not row.values:
        return "not measured"
    low, high = row.quartiles
    return f"{number(row.median)} ({number(low)}..{number(high)})"


# ---- The targets --------------------------------------------------------------

def read_lines(name):
    """The columns of each line of a table that is written by hand."""
    return [line.split("\t") for line in (HERE / name).read_text().splitlines()
            if line and not line.startswith("#")]


def seen(rows, language, work, peer, other):
    """The median over the rounds of the ratio, or of the figure where other is
    "-", or None.  other: a peer of the same work, or WORK: PEER."""
    keys = [(work, peer)]
    if other != "-":
        other_work, _, other_peer = other.rpartition(": ")
        keys.append((other_work or work, other_peer))
    found = [rows.get((language, key[0], "same", key[1])) for key in keys]
    if None in found or not all(row.values for row in found):
        return None
    if other == "-":
        return found[0].median
    return statistics.median(x / y for x, y in zip(*(row.values for row in found)))


def write_targets(path, rows):
    from work import tables
    peers = {(language, work): (unit, row) for language, work, unit, row
             in tables(False)}
    by_key = {row[:4]: row for row in rows}
    reasons = {tuple(row): reason for *row, reason in read_lines("reasons.tsv")}
    lines = ["| Figure | Compared with | Target | Seen | | Reason |",
             "|---|---|---|---|---|---|"]
    for language, work, peer, other, relation, bound in read_lines("targets.tsv"):
        unit, known = peers.get((language, work), ("", ()))
        figure = seen(by_key, language, work, peer, other)
        verdict = "not measured" if peer in known else "not there"
        if figure is not None:
            met = (figure >= float(bound) if relation == ">="
                   else figure <= float(bound))
            verdict = "met" if met else "missed"
        reason = reasons.pop((language, work, peer, other), "")
        if verdict == "met":
            reason = ""
        lines.append(f"| {language}, {work}: {peer} | {other} | {relation} {bound}"
                     f"{' ' + unit if other == '-' else ''} | "
                     f"{'' if figure is None else f'{figure:.2f}'} | {verdict} | "
                     f"{reason} |")
    for row in reasons:
        print(f"reasons.tsv: no such row in targets.tsv: {', '.join(row)}")
    path.write_text("\n".join(lines) + "\n")


# ---- Plots --------------------------------------------------------------------

def write_plots(folder, rows):
    try:
        import matplotlib
    except ImportError:
        print("no plots: matplotlib is not there")
        return
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "gipc"  # the same file for the same data
    rows = [row for row in rows if row.cores == "same" and row.values]
    for name, works in (("alone", ["one put alone, "]), ("batches", ["batches, "]),
                        ("latency", ["round trip", "start + join", "pipe + close"])):
        chosen = [row for row in rows if row.work.startswith(tuple(works))]
        if not chosen:
            continue
        draw = bars if name == "latency" else lines_by_size
        figure = draw(matplotlib, chosen)
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


def lines_by_size(matplotlib, rows):
    from work import SIZES
    from matplotlib import pyplot
    languages = list(dict.fromkeys(row.language for row in rows))
    figure, panels = pyplot.subplots(2, 2, figsize=(14, 10), layout="constrained")
    for language, panel in zip(languages, panels.flat):
        for peer in dict.fromkeys(r.peer for r in rows if r.language == language):
            mine = [r for r in rows if (r.language, r.peer) == (language, peer)]
            sizes = [SIZES[r.work.split(", ", 1)[1]] for r in mine]
            scale = [1 / size if r.unit == "MB/s" else 1e-3
                     for r, size in zip(mine, sizes)]
            middle = [r.median * k for r, k in zip(mine, scale)]
            spread = [[abs(r.quartiles[side] - r.median) * k
                       for r, k in zip(mine, scale)] for side in (0, 1)]
            ours = peer.startswith("gipc")
            panel.errorbar(sizes, middle, spread, label=peer, marker="o", ms=3,
                           linewidth=2 if ours else 1,
                           linestyle="-" if ours else "--")
        panel.set(xscale="log", yscale="log", title=language,
                  xlabel="bytes in a message", ylabel="million messages/s")
        panel.grid(alpha=0.3)
        panel.legend(fontsize=7)
    figure.suptitle(f"{rows[0].work.split(', ')[0]}, both processes on one core: "
                    "medians and quartiles")
    return figure


def bars(matplotlib, rows):
    from matplotlib import pyplot
    works = list(dict.fromkeys((r.language, r.work, r.unit) for r in rows))
    columns = 3
    figure, panels = pyplot.subplots(-(-len(works) // columns), columns,
                                     figsize=(16, 2.2 * len(works) / columns + 2),
                                     layout="constrained", squeeze=False)
    for panel in panels.flat[len(works):]:
        panel.remove()
    for key, panel in zip(works, panels.flat):
        mine = [r for r in rows if (r.language, r.work, r.unit) == key][::-1]
        spread = [[abs(r.quartiles[side] - r.median) for r in mine]
                  for side in (0, 1)]
        panel.barh([r.peer for r in mine], [r.median for r in mine], xerr=spread,
                   color=["C0" if r.peer.startswith("gipc") else "0.7"
                          for r in mine])
        panel.set_title(f"{key[0]}: {key[1]}, {key[2]}", fontsize=9)
        panel.tick_params(labelsize=8)
    figure.suptitle("Both processes on one core: medians and quartiles; less is "
                    "better")
    return figure


def write(folder, rows, where):
    write_rows(folder / "results.tsv", rows, where)
    write_text(folder / "results.md", rows, where)
    write_targets(folder / "targets.md", rows)
    write_plots(folder, rows)


if __name__ == "__main__":  # report.py FOLDER: the rest, from its results.tsv
    import sys
    given = Path(sys.argv[1])
    first = (given / "results.tsv").read_text().splitlines()[0]
    measured = read_rows(given / "results.tsv")
    write(given, measured, first.lstrip("# "))
