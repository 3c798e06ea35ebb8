#!/usr/bin/env python3
"""The documents as a site: stages docs/, the C++ and the Python reference, and runs Sphinx.

    docs/site/build.py PROGRAM_FOLDER OUT     (./dev docs does all of it)

PROGRAM_FOLDER has python/nablabragg of a build.  The pages are those of docs/, where links also work in the
repository; docs/site has what the site alone has.  Needs python3-sphinx, python3-myst-parser, furo
and doxygen.  Any warning is an error.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys

import cpp

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
# Pages of the repository that the site has under other names.
RENAMED = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
LONG_NAME = re.compile(r"(?<![`\w])(?:[A-Z][a-z]+){5,}\w*")
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")


def site_text(text, folder, stage):
    """A page with its links as the site has them: other pages, files that the site carries, or plain words."""

    def changed(match):
        picture, words, target = match.groups()
        path, hash_, anchor = target.partition("#")
        if "://" in target or not path:
            return match[0]
        file = (folder / path).resolve()
        name = str(file.relative_to(REPOSITORY))
        if name in RENAMED:
            return f"[{words}]({RENAMED[name]}{hash_}{anchor})"
        if name.startswith("docs/"):
            name = name.removeprefix("docs/")
            # In the repository a link shows the file, on the site the page's title.
            if words == name and name.endswith(".md"):
                words = title_of(file)
            return f"{picture}[{words}]({name}{hash_}{anchor})"
        if file.is_dir():
            return f"`{name}`"
        copy = stage / "files" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
        return f"[{words}](files/{name})"

    # What stands between ``` is no link.
    parts = re.split(r"(^```.*?^```$)", text, flags=re.M | re.S)
    return "".join(part if part.startswith("```") else names_in_pieces(LINK.sub(changed, part)) for part in parts)


def names_in_pieces(text):
    """Names of tests in tables may go on in the next line."""

    def pieces(row):
        return LONG_NAME.sub(lambda name: re.sub(r"(?<=[a-z])(?=[A-Z])", "<wbr>", name[0]), row[0])

    return re.sub(r"^\|.*$", pieces, text, flags=re.M)


def title_of(page):
    return page.read_text().partition("\n")[0].removeprefix("# ")


def write(path, text):
    """Only what changed, so that Sphinx reads only that again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def heading_of(header):
    """The first comment of a header, which says what it is for."""
    lines = []
    for line in header.read_text().splitlines():
        if line.startswith("//") and not line.startswith("///"):
            lines.append(line[2:].strip())
        elif lines or line.startswith("#include"):
            break
    return " ".join(lines)


def cpp_page(page, all_headers, entries):
    """The headers named in a page become their declarations; `rest` stands for those that no page names."""
    named = re.findall(r"^- `(\w+\.hpp)`$", page, flags=re.M)
    wrong = [name for name in named if name not in all_headers]
    if wrong:
        sys.exit(f"docs: docs/site/cpp-reference.md names {', '.join(wrong)}, which include/nablabragg has not")
    page = page.replace("- `rest`", "\n".join(f"- `{name}`" for name in all_headers if name not in named))

    def declarations(match):
        name = match[1]
        words = heading_of(all_headers[name])
        escaped = re.sub(r"([*_<>|\[\]])", r"\\\1", words)
        return f"### {name}\n\n{escaped}\n\n```{{eval-rst}}\n{cpp.reference(entries, name)}\n```\n"

    return re.sub(r"^- `(\w+\.hpp)`$", declarations, page, flags=re.M)


def python_page(page, public):
    """The names in a page become their documentation; `rest` stands for those that no page names."""
    named = re.findall(r"^- `(\w+)`$", page, flags=re.M)
    rest = [name for name in public if name not in named]
    page = page.replace("- `rest`", "\n".join(f"- `{name}`" for name in rest))

    def documentation(match):
        name = match[1]
        if name not in public:
            sys.exit(f"docs: docs/site/python-reference.md names {name}, which nablabragg has not")
        kind, options = public[name], ""
        if kind == "class":
            options = "\n   :members:\n   :undoc-members:"
        return f"```{{eval-rst}}\n.. auto{kind}:: nablabragg.{name}{options}\n```\n"

    return re.sub(r"^- `(\w+)`$", documentation, page, flags=re.M)


def public_names(folder):
    """What `import nablabragg` shows, and what Sphinx calls each."""
    script = (
        "import inspect, nablabragg as nb\n"
        "for n in nb.__all__:\n"
        "    x = getattr(nb, n)\n"
        "    kind = 'exception' if inspect.isclass(x) and issubclass(x, BaseException) else\\\n"
        "        'class' if inspect.isclass(x) else 'function' if callable(x) else 'data'\n"
        "    print(n, kind)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(folder)}
    printed = subprocess.run(
        ["/usr/bin/python3", "-B", "-c", script], env=environment, check=True, text=True, stdout=subprocess.PIPE
    )
    return dict(line.split() for line in printed.stdout.splitlines())


def stage_pages(stage, program, entries):
    docs = REPOSITORY / "docs"
    shutil.rmtree(stage / "files", ignore_errors=True)
    pages = {page.name: page.read_text() for page in docs.glob("*.md")}
    for name, text in pages.items():
        write(stage / name, site_text(text, docs, stage))
    for name in ("CONTRIBUTING.md", "CHANGELOG.md"):
        write(stage / RENAMED[name], site_text((REPOSITORY / name).read_text(), REPOSITORY, stage))
    for file in docs.rglob("*"):
        if file.suffix in (".png", ".svg", ".json") and "site" not in file.relative_to(docs).parts:
            copy = stage / file.relative_to(docs)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, copy)
    own = docs / "site"
    headers = {header.name: header for header in sorted((REPOSITORY / "include/nablabragg").glob("*.hpp"))}
    write(stage / "cpp-reference.md", cpp_page((own / "cpp-reference.md").read_text(), headers, entries))
    python = site_text((own / "python-reference.md").read_text(), docs, stage)
    write(stage / "python-reference.md", python_page(python, public_names(program / "python")))
    index = (own / "index.md").read_text()
    forgotten = sorted(name for name in pages if not re.search(rf"^{name.removesuffix('.md')}$", index, flags=re.M))
    for name in forgotten:
        print(f"docs: docs/site/index.md does not say where {name} belongs; it stands at the end", file=sys.stderr)
    rest = "\n".join(name.removesuffix(".md") for name in forgotten)
    if rest:
        index += f"\n```{{toctree}}\n:hidden:\n:caption: More\n\n{rest}\n```\n"
    write(stage / "index.md", index)
    for name in ("conf.py", "favicon.svg"):
        shutil.copy2(own / name, stage / name)
    (stage / "_static").mkdir(exist_ok=True)
    shutil.copy2(own / "site.css", stage / "_static/site.css")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path, help="folder of a build, with python/nablabragg in it")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--jobs", default="auto", help="Sphinx's processes")
    arguments = parser.parse_args()
    program, work = arguments.program.resolve(), arguments.out.resolve().parent
    stage = work / "source"
    stage.mkdir(parents=True, exist_ok=True)
    stage_pages(stage, program, cpp.entries_of(cpp.run_doxygen(REPOSITORY, work / "doxygen")))
    environment = os.environ | {
        "PYTHONPATH": str(program / "python"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "NABLABRAGG_STUBS": str(REPOSITORY / "python/nablabragg/__init__.pyi"),
    }
    command = ["/usr/bin/python3", "-m", "sphinx", "-W", "--keep-going", "-q", "-j", arguments.jobs, "-b", "html"]
    built = subprocess.run([*command, "-d", work / "doctrees", stage, arguments.out.resolve()], env=environment)
    if built.returncode:
        return built.returncode
    mend_theme(arguments.out.resolve() / "_static")
    outside = external_addresses(arguments.out.resolve())
    for place in outside:
        print(f"docs: {place} loads what the site does not have", file=sys.stderr)
    return 1 if outside else 0


NORMALIZE = "/javascript/normalize.css/normalize.css"
IMPORT = 'import Gumshoe from "./gumshoe-patched.js";\n'


def mend_theme(static):
    """Debian's furo (2022.12.07+dfsg-1) loads a script that is a module as one that is none, so that the switch between
    light and dark is dead, and asks a web server for normalize.css.  Both become files of the site."""
    script = static / "scripts/furo.js"
    text = script.read_text()
    if text.startswith(IMPORT):
        script.write_text((static / "scripts/gumshoe-patched.js").read_text() + text.removeprefix(IMPORT))
    style = static / "styles/furo.css"
    text = style.read_text()
    if f"url({NORMALIZE})" in text:
        shutil.copyfile(f"/usr/share{NORMALIZE}", static / "styles/normalize.css")
        style.write_text(text.replace(f"url({NORMALIZE})", "url(normalize.css)"))


def external_addresses(out):
    """What a browser would fetch from elsewhere: scripts, styles, fonts, pictures.  Links do not count."""
    loads = re.compile(
        r"<(?:script|img|link|iframe|source)\b[^>]*(?:src|href)=\"(?:https?:/)?/|@import\s+[^;]*https?:|url\(['\"]?(?:https?:/)?/"
    )
    files = [file for file in out.rglob("*") if file.suffix in (".html", ".css")]
    return [str(file.relative_to(out)) for file in sorted(files) if loads.search(file.read_text())]


if __name__ == "__main__":
    sys.exit(main())
