"""All that the engine says to people can be translated: read in its source."""

import ast
import re
from pathlib import Path

import pytest
from engine import messages

ENGINE = Path(messages.__file__).parent
MODULES = {
    str(path.relative_to(ENGINE)): ast.parse(path.read_text())
    for path in sorted(ENGINE.rglob("*.py"))
}
PLACE = re.compile(r"%\((\w+)\)[srd]")


def name_of(node):
    """Return the last name of what is called or inherited: ``errors.NoSpace`` is NoSpace."""
    return getattr(node, "id", None) or getattr(node, "attr", None)


def error_kinds():
    """Return the names of all classes of the engine that are told to people."""
    classes = [node for tree in MODULES.values() for node in ast.walk(tree)
               if isinstance(node, ast.ClassDef)]  # fmt: skip
    kinds, found = {"BackupError"}, set()
    while found != kinds:
        found = set(kinds)
        kinds |= {node.name for node in classes if kinds & {name_of(base) for base in node.bases}}
    return kinds


KINDS = error_kinds()


def calls_in(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def told_in(tree):
    """Yield each expression whose value is told: messages, hints, and hints of classes."""
    for call in calls_in(tree):
        if name_of(call.func) in KINDS:
            yield from call.args[:2]
        yield from (keyword.value for keyword in call.keywords if keyword.arg == "hint")
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name in KINDS:
            yield from (
                statement.value
                for statement in node.body
                if isinstance(statement, ast.Assign) and name_of(statement.targets[0]) == "hint"
            )


def texts_in(node):
    """Yield the texts that an expression may have as its value, and that are no message."""
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and node.value):
        yield node
    elif isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from texts_in(value)
    elif isinstance(node, ast.IfExp):
        yield from (*texts_in(node.body), *texts_in(node.orelse))
    elif isinstance(node, ast.BinOp):
        yield node


def messages_in(tree):
    return [call for call in calls_in(tree) if name_of(call.func) == "_"]


@pytest.mark.parametrize("module", MODULES)
def test_errors_and_hints_are_messages_and_no_bare_texts(module):
    bare = [
        f"{module}:{text.lineno}: {ast.unparse(text)}"
        for told in told_in(MODULES[module])
        for text in texts_in(told)
    ]
    assert not bare, "write _(…) around them"


@pytest.mark.parametrize("module", MODULES)
def test_each_template_stands_as_it_is_and_has_exactly_its_values(module):
    """The exporter reads templates in the source: one that is put together it does not find."""
    for call in messages_in(MODULES[module]):
        where = f"{module}:{call.lineno}: {ast.unparse(call)}"
        assert len(call.args) == 1, where
        assert isinstance(call.args[0], ast.Constant), where
        names = [keyword.arg for keyword in call.keywords]
        assert None not in names, where
        assert set(names) == set(PLACE.findall(call.args[0].value)), where
        assert len(names) == len(set(names)), where


def test_the_check_itself_finds_what_it_looks_for():
    source = "raise NoSpace(f'{path} is full', hint='a' if x else _('b'))"
    told = [text for told in told_in(ast.parse(source)) for text in texts_in(told)]
    assert [ast.unparse(text) for text in told] == ["f'{path} is full'", "'a'"]
    assert {"Truncated", "NoticeRefused", "Denied", "NotOurs"} <= KINDS
