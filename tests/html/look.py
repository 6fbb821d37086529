#!/usr/bin/env python3
"""Opens pages in a browser: on a narrow screen nothing is wider than the screen, and
no text is tiny.  With a second folder: pictures of them, narrow and wide, light and dark.

usage: look.py FOLDER [PICTURES]

PAGES: the names of pages; by default one of each kind.
"""

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

PAGES = """index about first tasks moving handles messages children limits recipes compare
performance python ruby lua parity manual/index manual/gipc.3 manual/gipc_get.3
manual/gipc_frame.5 manual/gipc_recipes.7 api_python promises hazards results targets
search lua/index ruby/index ruby/Gipc/Handle"""
WIDTHS = {"narrow": 390, "wide": 1280}

# What is cut off or makes the page wider than the window, and text that nobody can
# read.  A part that scrolls by itself is no harm.
SEEN = """() => {
  const wide = [], tiny = [];
  const width = document.documentElement.clientWidth;
  const text = document.querySelector('article') || document.body;
  const scrolls = one => text.contains(one) && one != text && (
    /auto|scroll/.test(getComputedStyle(one).overflowX) || scrolls(one.parentElement));
  for (const one of text.querySelectorAll('*'))
    if (one.getBoundingClientRect().right > width + 1 && !scrolls(one.parentElement))
      wide.push(one.tagName + '.' + one.className);
  for (const svg of document.querySelectorAll('.picture svg')) {
    const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    for (const text of svg.querySelectorAll('text'))
      if (scale * parseFloat(text.getAttribute('font-size')) < 8)
        tiny.push(text.textContent);
  }
  return [wide.slice(0, 4), tiny.slice(0, 4)];
}"""


def main():
    folder = Path(sys.argv[1]).resolve()
    pictures = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser_path:
        print("skipped: there is no chromium")
        return 0
    bad = looked = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path, args=["--no-sandbox"])
        for name, width in WIDTHS.items():
            for scheme in ("light", "dark") if pictures else ("light",):
                view = browser.new_context(color_scheme=scheme, viewport={
                    "width": width, "height": 844 if width < 800 else 900})
                page = view.new_page()
                for path in os.environ.get("PAGES", PAGES).split():
                    page.goto((folder / f"{path}.html").as_uri())
                    looked += 1
                    wide, tiny = page.evaluate(SEEN)
                    if wide or tiny:
                        bad += 1
                        print(f"{path}, {name}: too wide: {wide}, too small: {tiny}")
                    if pictures:
                        file = f"{path.replace('/', '-')}-{name}-{scheme}.png"
                        page.screenshot(path=pictures / file, full_page=False)
                view.close()
        browser.close()
    print(f"looked at {looked} pages, {bad} of them bad")
    return bad != 0


if __name__ == "__main__":
    sys.exit(main())
