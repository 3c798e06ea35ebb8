"""The type stubs say what the module has."""

import ast
import pathlib

import pytest

import nablabragg as nb

STUB = ast.parse(pathlib.Path(nb.__file__).with_name("__init__.pyi").read_text())
CLASSES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}
FUNCTIONS = {node.name: node for node in STUB.body if isinstance(node, ast.FunctionDef)}


def test_every_public_name_has_a_stub_and_no_other_has():
    assert set(CLASSES) | set(FUNCTIONS) == set(nb.__all__)


@pytest.mark.parametrize("name", [name for name in CLASSES if hasattr(getattr(nb, name), "fields")])
def test_the_stub_of_a_part_has_its_fields(name):
    methods = {m.name: m for m in CLASSES[name].body if isinstance(m, ast.FunctionDef)}
    keywords = [argument.arg for argument in methods["__init__"].args.kwonlyargs]
    fields = getattr(nb, name).fields
    assert tuple(keywords) == fields
    assert set(fields) <= set(methods)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_documentation_of_a_function_begins_with_what_it_is_called_with(name):
    function = getattr(nb, name)
    assert function.__doc__
    arguments = FUNCTIONS[name].args
    if function.__doc__.startswith(name + "("):
        signature = function.__doc__.splitlines()[0]
        for argument in arguments.args + arguments.kwonlyargs:
            assert argument.arg in signature
