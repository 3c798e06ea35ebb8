"""The guide's sessions and the examples do what the guide says."""

import doctest
import os
import pathlib
import re
import subprocess
import sys

import pytest

import nablabragg as nb

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
GUIDE = (REPOSITORY / "docs" / "python.md").read_text()
EXAMPLES = sorted(path.name for path in (REPOSITORY / "examples" / "python").glob("*.py"))


def test_the_sessions_of_the_guide_give_what_it_shows(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    test = doctest.DocTestParser().get_doctest(
        re.sub(r"^```.*$", "", GUIDE, flags=re.M), {"nb": nb}, "docs/python.md", None, 0
    )
    report = []
    result = doctest.DocTestRunner(optionflags=flags).run(test, out=report.append)
    assert result.attempted > 10
    assert result.failed == 0, "".join(report)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_prints_what_the_guide_shows(name, tmp_path):
    if "import torch" in (REPOSITORY / "examples" / "python" / name).read_text():
        pytest.importorskip("torch", reason="torch is not installed (Debian: python3-torch)")
    ran = subprocess.run(
        [sys.executable, REPOSITORY / "examples" / "python" / name],
        cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(pathlib.Path(nb.__file__).parents[1].resolve())},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    shown = re.search(rf"examples/python/{re.escape(name)}\).*?```text\n(.*?)```", GUIDE, re.S)
    assert shown, f"docs/python.md does not show what {name} prints"
    assert ran.stdout == shown[1]
