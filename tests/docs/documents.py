"""The code blocks of Markdown pages: run in order as a reader would, and compared with what the page shows.

A block runs unless an HTML comment on the line above says why not: ```sh and ```console in one shell for a page,
```python in one namespace.  ```text, and the lines of ```console without a prompt, are what is printed.
"""

import contextlib
import dataclasses
import doctest
import io
import os
import pathlib
import re
import signal
import subprocess
import threading

RUNNABLE = ("sh", "console", "python")
# Why a block does not run, always or where something is missing.
MARKERS = {
    "slow": "takes minutes: ./dev check docs runs it",
    "usage": "the form of a command, with words to be filled in",
    "excerpt": "part of a file or of a line, a formula or a drawing",
    "changes the machine": "installs packages",
    "needs nanoBragg": "which is not part of the repository",
    "needs the measured image": "which is not part of the repository",
    "needs the port": "the PyTorch port of nanoBragg, which is not part of the repository",
    "needs a browser": "and is served until it is stopped",
    "needs perf": "and a processor whose counters it may read",
    "needs torch": "runs where Python has it",
    "needs h5py": "and torch: runs where Python has both",
}


@dataclasses.dataclass
class Block:
    page: str
    line: int
    language: str
    text: str
    marker: str = ""

    @property
    def place(self):
        return f"{self.page}:{self.line}"


class Mistake(Exception):
    """What a page has that it should not have."""


def blocks_of(page, text):
    """The fenced blocks of a page.  Raises Mistake for code that is not fenced, and for unknown markers."""
    blocks, block, before = [], None, ""
    for number, line in enumerate(text.splitlines(), 1):
        if block is not None:
            if line == "```":
                blocks.append(block)
                block = None
            else:
                block.text += line + "\n"
        elif line.startswith("```"):
            marker = re.fullmatch(r"<!-- (.*) -->", before)
            block = Block(page, number, line[3:], "", marker[1] if marker else "")
            if block.marker and block.marker not in MARKERS:
                raise Mistake(f"{block.place}: no marker is called '{block.marker}'; there are {', '.join(MARKERS)}")
            if not block.marker and block.language not in (*RUNNABLE, "text"):
                raise Mistake(f"{block.place}: '{block.language}' does not run; it needs a marker")
        elif line.startswith("    ") and not before:
            raise Mistake(f"{page}:{number}: indented code; it belongs between ```")
        before = line
    if block is not None:
        raise Mistake(f"{block.place}: the block does not end")
    return blocks


NUMBER = re.compile(r"[-+]?\d+(\.\d*)?(e[-+]?\d+)?", re.I)


def same_word(shown, printed):
    """Equal, with numbers to the digits that are shown."""
    if shown == printed:
        return True
    rest_shown, rest_printed = NUMBER.sub("#", shown), NUMBER.sub("#", printed)
    if rest_shown != rest_printed:
        return False
    pairs = zip(NUMBER.finditer(shown), NUMBER.finditer(printed), strict=True)
    return all(a[0] == b[0] or same_number(a[0], b[0]) for a, b in pairs)


def same_number(shown, printed):
    mantissa, _, exponent = shown.lower().partition("e")
    decimals = len(mantissa.partition(".")[2])
    if not decimals and not exponent:
        return False  # A whole number is a count.
    return abs(float(shown) - float(printed)) <= 0.5001 * 10.0 ** (int(exponent or 0) - decimals)


def is_shown(shown, printed):
    """Is that what the page shows?  "..." stands for anything, blanks for any blanks."""
    parts = [part.split() for part in re.split(r"(?<!\S)\.\.\.(?!\S)", shown)]
    words = printed.split()

    def fits(part, at):
        return len(part) <= len(words) - at and all(map(same_word, part, words[at:]))

    if not fits(parts[0], 0):
        return False
    if len(parts) == 1:
        return len(words) == len(parts[0])
    at = len(parts[0])
    for part in parts[1:-1]:
        at = next((i for i in range(at, len(words) + 1) if fits(part, i)), None)
        if at is None:
            return False
        at += len(part)
    last = len(words) - len(parts[-1])
    return last >= at and fits(parts[-1], last)


class Shell:
    """One bash for all blocks of a page: what a block exports, the next one has."""

    def __init__(self, folder, environment):
        self.folder = folder
        self.process = subprocess.Popen(
            ["bash", "--norc", "-s"], cwd=folder, env=environment, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, place, command, seconds):
        """What the command prints on both channels.  Raises Mistake where it fails or takes too long."""
        script = self.folder / ".block"
        script.write_text(command)
        self.process.stdin.write(f"set -eo pipefail; source '{script}' </dev/null; echo; echo '@done@'\n")
        self.process.stdin.flush()
        late = []
        timer = threading.Timer(seconds, lambda: (late.append(True), os.killpg(self.process.pid, signal.SIGKILL)))
        timer.start()
        printed = ""
        for line in self.process.stdout:
            if line == "@done@\n":
                timer.cancel()
                return printed.removesuffix("\n")
            printed += line
        timer.cancel()
        how = f"takes more than {seconds} s" if late else f"ends with exit code {self.process.wait()}"
        raise Mistake(f"{place}: {how}:\n{command}{printed}")

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def commands_of(console):
    """Pairs of a command, which begins with "$ " and goes on with "> ", and what is shown below it."""
    pairs = []
    for line in console.splitlines():
        if line.startswith("$ "):
            pairs.append([line[2:] + "\n", ""])
        elif line.startswith("> ") and pairs and not pairs[-1][1]:
            pairs[-1][0] += line[2:] + "\n"
        elif pairs:
            pairs[-1][1] += line + "\n"
        else:
            raise Mistake(f"a console block begins with '$ ', not with '{line}'")
    return pairs


def compare(place, shown, printed):
    if not is_shown(shown, printed):
        raise Mistake(f"{place}: shows\n{shown}and the program prints\n{printed}")


def run_python(block, names):
    """What the block prints; a session is compared by doctest."""
    if ">>>" in block.text:
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        test = doctest.DocTestParser().get_doctest(block.text, names, block.place, block.page, block.line)
        report = []
        failed, _ = doctest.DocTestRunner(optionflags=flags).run(test, out=report.append, clear_globs=False)
        names.update(test.globs)
        if failed:
            raise Mistake(f"{block.place}:\n{''.join(report)}")
        return ""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block.text, block.place, "exec"), names)
    return printed.getvalue()


def run_page(blocks, folder, environment, markers=(), seconds=120):
    """Runs a page's blocks in order in a reader's folder, those with one of `markers`, too.

    Returns how many ran; raises Mistake where one fails, takes longer than `seconds` (hours, if it is slow) or prints
    something else than is shown.
    """
    shell, names, printed, ran = Shell(folder, environment), {}, None, 0
    back = os.getcwd()
    os.chdir(folder)
    try:
        for block in blocks:
            if block.marker and block.marker not in markers:
                if block.language != "text":
                    printed = None
                continue
            limit = 3 * 3600 if block.marker == "slow" else seconds
            if block.language == "text":
                if printed is None:
                    raise Mistake(f"{block.place}: shows what no block above prints")
                compare(block.place, block.text, printed)
                continue
            if block.language == "python":
                printed = run_python(block, names)
            elif block.language == "console":
                for command, shown in commands_of(block.text):
                    compare(block.place, shown, shell.run(block.place, command, limit))
            else:
                printed = shell.run(block.place, block.text, limit)
            ran += 1
    finally:
        os.chdir(back)
        shell.close()
    return ran


def pages_of(repository):
    """Every page that a reader finds, by its path."""
    files = [repository / "README.md", repository / "CONTRIBUTING.md", *sorted((repository / "docs").glob("*.md"))]
    files += sorted((repository / "examples").rglob("*.md"))
    return {str(file.relative_to(repository)): file.read_text() for file in files}


def broken_links(page, text, repository):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    here = (repository / page).parent
    return [link for link in links if "://" not in link and not (here / link).exists()]


def pictures_of(text):
    """The pictures that a page shows and its own commands draw: path to the name of the file that they write."""
    shown = re.findall(r"!\[[^\]]*\]\((pictures/(?:recipe-)?([\w-]+\.png))\)", text)
    return {path: name for path, name in shown}
