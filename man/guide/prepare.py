#!/usr/bin/env python3
"""Prepares the sources of the guide for Sphinx: copies man/guide, and makes pages of
what has another source, so that each fact stands in one place.

usage: prepare.py FOLDER

FOLDER must be two levels below the top, as man/guide is, so that the paths to the
example programs are the same.
"""

import functools
import html
import re
import shutil
import subprocess
import sys
from pathlib import Path

GUIDE = Path(__file__).resolve().parent
TOP = GUIDE.parents[1]
SECTIONS = {"3": "functions of C", "5": "the bytes of a message", "7": "overviews"}
# Where the pages of the system can be read.
SYSTEM = "https://manpages.debian.org/%N.%S"
OURS = re.compile(r"`?\b(gipc\w*)\(([357])\)`?")


def man_pages():
    return sorted(p for p in (TOP / "man").glob("gipc*.[357]"))


def names_of(page):
    """The names in the NAME section of a page."""
    section = page.read_text().partition(".Sh NAME\n")[2].partition("\n.Sh")[0]
    return re.findall(r"^\.Nm (\w+)", section, re.MULTILINE)


def purpose_of(page):
    return re.search(r"^\.Nd (.*)", page.read_text(), re.MULTILINE)[1]


@functools.lru_cache(maxsize=None)
def by_mandoc(page):
    return subprocess.run(
        ["mandoc", "-Thtml", "-O", f"fragment,man={SYSTEM}", str(page)],
        check=True, stdout=subprocess.PIPE, text=True).stdout


def targets():
    """Where each name of a page is: gipc_put(3) -> gipc_get.3.html#gipc_put."""
    found = {}
    for page in man_pages():
        section = page.suffix[1:]
        for name in names_of(page):
            there = f'id="{name}"' in by_mandoc(page)
            found[f"{name}({section})"] = f"{page.name}.html" + f"#{name}" * there
        found[f"{page.stem}({section})"] = f"{page.name}.html"
    return found


def as_html(page, where):
    """What mandoc makes of a page, with links to our pages."""
    text = by_mandoc(page)

    def link(match):
        name = "%s(%s)" % (match[1], match[2])
        if name in where:
            return f'href="{where[name]}"'
        if name.startswith("gipc"):
            sys.exit(f"{page.name} refers to {name}, which is not there")
        return match[0]

    text = re.sub(r'href="https://manpages.debian.org/([^"]*)\.(\w+)"', link, text)
    # A display that is wider than a narrow screen is scrolled.
    return text.replace("<table", '<div class="wide"><table').replace(
        "</table>", "</table></div>")


def sections_of(text):
    """(title, HTML) of each section."""
    for part in text.split('<section class="Sh">')[1:]:
        title = re.search(r'<h1 class="Sh" id="[^"]*">(.*?)</h1>', part, re.DOTALL)
        name = html.unescape(" ".join(re.sub("<.*?>", "", title[1]).split()))
        anchor = re.search(r'id="([^"]*)"', part)[1]
        body = part[title.end():].rpartition("</section>")[0]
        yield name, anchor, body.replace("<h2", "<h3").replace("</h2>", "</h3>")


def write_pages(out, where):
    """One page of the guide for each manual page, and their index."""
    folder = out / "manual"
    folder.mkdir()
    index = ["# Manual pages\n", "The same pages as `man 3 gipc` shows.\n"]
    for section, what in SECTIONS.items():
        index += [f"## Section {section}: {what}\n", "| | |", "|---|---|"]
        listed = [p for p in man_pages() if p.suffix[1:] == section]
        index += [f"| [{p.stem}({section})]({p.name}.md) | {purpose_of(p)} |"
                  for p in listed]
        index += ["", "```{toctree}", ":hidden:", ""]
        index += [p.name for p in listed] + ["```", ""]
    (folder / "index.md").write_text("\n".join(index))
    for page in man_pages():
        text = [f"# {page.stem}({page.suffix[1:]})\n"]
        for name, anchor, body in sections_of(as_html(page, where)):
            text += [f"## {name.capitalize() if ' ' in name else name.title()}\n",
                     "```{raw} html", f'<span id="{anchor}"></span>',
                     f'<div class="manpage">{body}</div>', "```\n"]
        (folder / f"{page.name}.md").write_text("\n".join(text))


def write_fragment(out, where, page, title, name):
    """A section of a page, to be included in a page of the guide."""
    for found, _, body in sections_of(as_html(TOP / "man" / page, where)):
        if found == title:
            # Its anchors are in the page.
            body = re.sub(r' id="[^"]*"', "", body)
            body = re.sub(r'<a class="permalink"[^>]*>(.*?)</a>', r"\1", body, flags=re.S)
            body = re.sub(r'href="(?=gipc)', 'href="manual/', body)
            (out / "generated" / name).write_text(f'<div class="manpage">{body}</div>')
            return
    sys.exit(f"{page} has no section {title}")


def rules_of_header():
    """Rows of the members of gipc_rules, from the comments of the header."""
    header = (TOP / "include/gipc.h").read_text()
    body = re.search(r"typedef struct gipc_rules \{(.*?)\n\}", header, re.DOTALL)[1]
    rows, of = [], ""
    for line in re.sub(r"\n\s*\*(?!/)\s*", " ", body).splitlines():
        member = re.match(r"\s*\w+ (\w+);\s*/\* (.*?) \*/", line)
        heading = re.match(r"\s*/\* (.*?) \*/", line)
        if member and member[1] != "size":
            what, _, default = member[2].partition("default")
            rows.append((member[1], of, what.rstrip("; "), default.lstrip(": ")))
        elif heading:
            of = heading[1].lower()
    return rows


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def parity():
    """The table of what each language has, whose names the tests check."""
    rows = []
    for line in (TOP / "tests/bindings/surface.tsv").read_text().splitlines():
        if line.startswith("#"):
            continue
        c, *others = line.split("\t")
        cells = ["<br>".join(f"{name}(3)" for name in c.split())]
        for cell in others:
            if cell.startswith("- "):
                cells.append(cell[2:])
            else:
                names = re.sub(r"\boption ", "option\N{NO-BREAK SPACE}", cell).split(" ")
                cells.append("<br>".join(f"`{name}`" for name in names))
        rows.append(cells)
    return table(["C", "Python", "Ruby", "Lua"], rows)


def of_readme(title):
    """A section of README.md."""
    text = (TOP / "README.md").read_text()
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def guide_links(text):
    """Links of README.md to files as links to pages of the guide, or as names."""
    pages = {"tests/HAZARDS.md": "hazards.md",
             "README.md": "index.md",
             "bindings/python/README.md": "python.md",
             "bindings/ruby/README.md": "ruby.md",
             "bindings/lua/README.md": "lua.md",
             "tests/bench/results/results.md": "results.md",
             "tests/bench/results/targets.md": "targets.md"}

    def link(match):
        bang, words, path = match.groups()
        if path.startswith(("http", "#")):
            return match[0]
        path = re.sub(r"^(\.\./)*", "", path)
        if path.endswith(".svg"):
            return f"{bang}[{words}]({Path(path).name})"
        return f"[{words}]({pages[path]})" if path in pages else f"`{path}`"

    return re.sub(r"(!?)\[([^\]]*)\]\(([^)]*)\)", link, text)


def write_generated(out, where):
    generated = out / "generated"
    generated.mkdir()
    write_fragment(out, where, "gipc.3", "MESSAGES AND TIMEOUTS", "timeouts.html")
    write_fragment(out, where, "gipc.3", "DEFAULTS AND LIMITS", "defaults.html")
    promises = of_readme("What it promises, and where that is proved")
    results = TOP / "tests/bench/results"
    for svg in results.glob("*.svg"):
        shutil.copy(svg, out)
    texts = {
        "rules": table(["Member", "Of", "", "Default"],
                       [(f"`{a}`", b, c, d) for a, b, c, d in rules_of_header()]),
        "parity": parity(),
        "promises": guide_links(promises),
        "fast": guide_links(of_readme("How fast")),
        "hazards": (TOP / "tests/HAZARDS.md").read_text(),
        "results": (results / "results.md").read_text(),
        "targets": "# Targets\n\n" + (results / "targets.md").read_text(),
    }
    for language in "python", "ruby", "lua":
        texts[f"readme_{language}"] = guide_links(
            (TOP / f"bindings/{language}/README.md").read_text())
    for name, text in texts.items():
        (generated / f"{name}.md").write_text(link_pages(text, where))


def link_pages(text, where):
    """gipc_put(3) as a link, outside of displays of programs."""
    def link(match):
        name = f"{match[1]}({match[2]})"
        if name not in where:
            sys.exit(f"the guide refers to {name}, which is not there")
        return f'<a class="man" href="manual/{where[name]}">{name}</a>'

    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    # A directive has text with links, but its first line and options.
    return "".join(part if part.startswith("```") else OURS.sub(link, part)
                   for part in parts)


def write_pictures(out):
    for source in sorted((GUIDE / "pictures").glob("*.dot")):
        svg = subprocess.run(["dot", "-Tsvg", str(source)], check=True,
                             stdout=subprocess.PIPE, text=True).stdout
        svg = svg[svg.index("<svg"):]
        # As wide as the page allows, and in the colours of the page: guide.css.
        # Where that is too small to read, the picture is scrolled.
        width = int(re.search(r'width="(\d+)pt"', svg)[1])
        svg = re.sub(r'width="\d+pt" height="\d+pt"',
                     f'style="width: {width * 4 // 3}px; min-width: {width * 3 // 4}px"',
                     svg, count=1)
        svg = re.sub(r'(?<= id=")', source.stem + "-", svg)
        svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
        (out / "generated" / f"{source.stem}.svg").write_text(
            f'<div class="picture">{svg}</div>')


def main():
    out = Path(sys.argv[1]).resolve()
    if out.parents[1] != TOP:
        sys.exit(f"{out} is not two levels below {TOP}")
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(GUIDE, out, ignore=shutil.ignore_patterns("__pycache__"))
    where = targets()
    for page in out.glob("*.md"):
        page.write_text(link_pages(page.read_text(), where))
    write_pages(out, where)
    write_generated(out, where)
    write_pictures(out)


if __name__ == "__main__":
    main()
