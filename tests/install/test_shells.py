"""Man pages as man and mandoc see them; completion in the shells themselves."""

import os
import re
import shutil
import subprocess

import pytest

PROGRAM = os.environ.get("NABLA_PROGRAM", "nablabragg")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    subprocess.run([PROGRAM, "docs", "pages", folder], check=True, stdout=subprocess.DEVNULL)
    return folder


def needs(program):
    return pytest.mark.skipif(not shutil.which(program), reason=f"{program} is not installed")


@needs("man")
def test_man_shows_every_page_without_a_warning(pages):
    manuals = sorted(pages.glob("man/man1/*.1"))
    assert len(manuals) > 8
    for page in manuals:
        shown = subprocess.run(
            ["man", "--warnings", "-E", "UTF-8", "-l", page], capture_output=True, text=True,
            env={"PATH": os.environ["PATH"], "MANWIDTH": "80", "LANG": "C.UTF-8", "MANROFFOPT": "-ww"},
        )  # fmt: skip
        assert shown.stderr == "", page
        assert "SYNOPSIS" in shown.stdout


@needs("mandoc")
def test_mandoc_has_no_warning(pages):
    for page in sorted(pages.glob("man/man1/*.1")):
        said = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True)
        assert said.stdout == ""


def long_options(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))


@pytest.mark.parametrize("command", ["show", "refine", "ensemble", "view", "compare", "bench", "detectors"])
def test_a_page_has_the_options_that_help_has(command, pages):
    asked = subprocess.run([PROGRAM, command, "--help"], capture_output=True, text=True)
    if f"was built without {command}" in asked.stderr:
        pytest.skip(f"this program was built without {command}")
    text = asked.stdout
    page = (pages / f"man/man1/nablabragg-{command}.1").read_text()
    page = re.sub(r"\\f[BIR]", " ", page.replace("\\-", "-"))
    assert len(long_options(text)) > 1
    assert long_options(text) <= long_options(page)


def bash(pages, *words):
    """What bash would offer for the last word, by the function that `complete -p` names."""
    script = """
        source "$1"; shift
        complete -p nablabragg | grep -q -- '-F _nablabragg' || exit 1
        compopt() { echo "(files)"; }
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _nablabragg
        printf '%s\n' "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "-euc", script, "bash", pages / "bash-completion/completions/nablabragg", "nablabragg", *words],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.split()


def zsh(pages, *words):
    script = """
        compadd() { shift; print -l -- ${(P)1}; }
        _describe() { local list=${@[-1]}; print -l -- ${(P)list%%:*}; }
        _files() { print -- "(files)"; }
        _message() { }
        compset() { PREFIX=${PREFIX#*=}; }
        body() { source "$1"; }
        file=$1; shift
        words=("$@") CURRENT=$#
        PREFIX=$words[CURRENT]
        body $file
    """
    done = subprocess.run(
        ["zsh", "-fc", script, "zsh", pages / "zsh/vendor-completions/_nablabragg", "nablabragg", *words],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stderr == ""
    found = done.stdout.split()
    # The completion system keeps what begins as the word does.
    begin = words[-1].split("=")[-1]
    return [word for word in found if word.startswith(begin) or word == "(files)"]


def fish(pages, *words):
    script = "source $argv[1]; complete -C (string join ' ' -- $argv[2..])"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script, pages / "fish/vendor_completions.d/nablabragg.fish", "nablabragg", *words],
        capture_output=True, text=True, check=True, cwd=pages,
    )  # fmt: skip
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


@pytest.mark.parametrize("shell", [pytest.param(s, marks=needs(s.__name__)) for s in (bash, zsh, fish)])
class TestCompletion:
    def test_knows_subcommands_and_flags(self, shell, pages):
        assert "show" in shell(pages, "sh")
        assert "-default_F" in shell(pages, "-def")
        assert shell(pages, "-corrected", "-mosaic_d")[:1] == ["-mosaic_dom"]

    def test_knows_the_options_of_subcommands_and_no_others_there(self, shell, pages):
        assert shell(pages, "show", "--ri") == ["--rings"]
        assert "-dmin" in shell(pages, "fcalc", "-d")
        assert "-detpixels" not in shell(pages, "fcalc", "-d")

    def test_knows_the_words_that_a_value_may_be(self, shell, pages):
        assert sorted(shell(pages, "show", "--scale", "")) == ["linear", "log", "sqrt"]
        assert shell(pages, "-cell", "40", "-pivot", "s") == ["sample"]
        assert "EIGER2-16M" in shell(pages, "-detector", "EIGER2-1")
        assert "zsh" not in shell(pages, "-pivot", "")

    def test_offers_flags_of_the_simulator_behind_two_dashes(self, shell, pages):
        assert "-misset" in shell(pages, "refine", "--image", "a.cbf", "--", "-mis")
        assert "--image" not in shell(pages, "refine", "--image", "a.cbf", "--", "--im")

    def test_takes_a_value_behind_an_equals_sign(self, shell, pages):
        typed = ["--scale", "=", "sq"] if shell is bash else ["--scale=sq"]
        assert [word.split("=")[-1] for word in shell(pages, "show", *typed)] == ["sqrt"]


def test_files_are_left_to_bash(pages):
    assert bash(pages, "-hkl", "") == ["(files)"]
    assert bash(pages, "show", "") == ["(files)"]
    assert bash(pages, "-lambda", "") == []
