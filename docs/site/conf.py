"""Sphinx's settings for the site.  docs/site/build.py stages the pages and says where the rest is."""

import ast
import os
import pathlib
import re

project = "nablaBragg"
html_title = "nablaBragg"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "index"
source_suffix = {".md": "markdown"}
exclude_patterns = ["files/**"]
suppress_warnings = ["config.cache"]

# GitHub's anchors, so that one link serves the repository and the site.
myst_heading_anchors = 4

html_theme = "furo"
html_show_sourcelink = False
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_favicon = "favicon.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
highlight_language = "text"
pygments_style = "friendly"

autodoc_member_order = "bysource"
autodoc_typehints = "none"
# torch is not needed to read about it.
autodoc_mock_imports = ["torch"]

STUBS = pathlib.Path(os.environ["NABLABRAGG_STUBS"])


def _signatures():
    """Of the functions and methods in the stubs, by their qualified names: (arguments, result)."""
    found = {}

    def visit(nodes, prefix):
        for node in nodes:
            if isinstance(node, ast.ClassDef):
                visit(node.body, f"{prefix}.{node.name}")
            elif isinstance(node, ast.FunctionDef):
                arguments = node.args
                for first in (arguments.posonlyargs, arguments.args):
                    if first and first[0].arg in ("self", "cls"):
                        del first[0]
                        break
                name = prefix if node.name == "__init__" else f"{prefix}.{node.name}"
                result = ast.unparse(node.returns) if node.returns and node.name != "__init__" else None
                found.setdefault(name, (f"({ast.unparse(arguments)})", result))

    visit(ast.parse(STUBS.read_text()).body, "nablabragg")
    return found


SIGNATURES = _signatures()


def signature_of_stub(app, what, name, obj, options, signature, return_annotation):
    return SIGNATURES.get(name, (signature, return_annotation))


TERM = re.compile(r"\S.*")


def docstring_as_rst(app, what, name, obj, options, lines):
    """Our docstrings are plain text: paragraphs, `name : type` above an indented line, indented code."""
    out, code = [], False
    for i, line in enumerate(lines):
        blank_above = i == 0 or not lines[i - 1].strip()
        if line.startswith("    ") and blank_above and i and not code:
            above = next((before for before in reversed(out) if before.strip()), "")
            if not above.startswith(" "):
                out += [".. code-block:: python", ""]
                code = True
        elif line.strip() and not line.startswith(" "):
            code = False
        if not code:
            line = re.sub(r"([*|\\])", r"\\\1", line)
            line = re.sub(r"(\w)_(?!\w)", r"\1\\_", line)
            line = re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", line)
        out.append(line)
        # RST wants a blank line where a definition ends, and behind a term that has none.
        ends = line.startswith(" ") or re.match(r"[\w, ]+ : ", line)
        if not code and ends and i + 1 < len(lines) and TERM.match(lines[i + 1]):
            out.append("")
    lines[:] = out


def setup(app):
    app.connect("autodoc-process-signature", signature_of_stub)
    app.connect("autodoc-process-docstring", docstring_as_rst)
