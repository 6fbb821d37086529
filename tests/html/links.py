#!/usr/bin/env python3
"""Checks HTML: each link leads to a file, and each fragment to an element of it.

usage: links.py FOLDER

Links to other servers are not followed: no test depends on the network.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.links, self.ids = [], set()
        self.feed(path.read_text(errors="replace"))

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id" or (name == "name" and tag == "a"):
                self.ids.add(value)
            elif name in ("href", "src", "data") and value is not None:
                self.links.append((self.getpos()[0], value))


def main():
    folder = Path(sys.argv[1]).resolve()
    pages = {path: Page(path) for path in folder.rglob("*.html")}
    bad = checked = 0
    for path, page in sorted(pages.items()):
        for line, link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link.startswith("//"):
                continue
            checked += 1
            target = path
            if parts.path:
                target = (path.parent / unquote(parts.path)).resolve()
            fragment = unquote(parts.fragment)
            why = None
            if not target.exists():
                why = "there is no such file"
            elif fragment and target in pages and fragment not in pages[target].ids:
                why = "there is no such element"
            if why:
                bad += 1
                print(f"{path.relative_to(folder)}:{line}: {link}: {why}")
    print(f"{checked} links of {len(pages)} pages, {bad} broken")
    return bad != 0 or not checked


if __name__ == "__main__":
    sys.exit(main())
