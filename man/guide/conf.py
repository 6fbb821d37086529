"""Sphinx: the guide and the references of the languages.  See prepare.py."""

import re
from pathlib import Path

import gipc
import gipc.aio

header = (Path(__file__).parent / "../../include/gipc.h").read_text()
release = ".".join(
    re.search(rf"define GIPC_VERSION_{part} (\d+)", header)[1]
    for part in ("MAJOR", "MINOR", "PATCH"))
project = "libgipc"
copyright = "the libgipc authors"
html_title = f"libgipc {release}"
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["guide.css"]
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
extensions = ["myst_parser", "sphinx_design", "sphinx.ext.autodoc"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["generated"]
# The pages of the manual use names that Sphinx would link to Python.
default_role = "literal"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
add_module_names = False
python_use_unqualified_type_names = True
# A name of an upstream alias is the same object as that of an annotation.
suppress_warnings = ["ref.python", "myst.header"]
highlight_language = "none"


def setup(app):
    """What two modules have in common is described once."""
    seen = set()
    # Classes that have the names of upstream are shown with those for annotations.
    for module in gipc, gipc.aio:
        for name in module.__all__:
            thing = getattr(module, name)
            if isinstance(thing, type) and thing.__name__.startswith("_"):
                thing.__name__ = thing.__qualname__ = name

    def skip(app, what, name, thing, skipped, options):
        if what == "module" and isinstance(thing, type):
            if thing in seen:
                return True
            seen.add(thing)
        return None

    app.connect("autodoc-skip-member", skip)
