"""No test goes missing without a word: a decorator that makes a function of a class hides it."""

import ast
from pathlib import Path

TESTS = Path(__file__).parents[1]
# Those that return the class.
ALLOWED = {"freeze_time", "tagged", "users", "warmup", "skip", "skipIf", "skipUnless"}


def name_of(decorator):
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return called.attr if isinstance(called, ast.Attribute) else called.id


def test_classes_of_tests_are_decorated_only_by_what_returns_a_class():
    decorated = {
        (path.name, node.name, name_of(decorator))
        for path in TESTS.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
        for decorator in node.decorator_list
    }
    assert decorated, "It looks at something"
    hidden = {each for each in decorated if each[0].startswith("test_") and each[2] not in ALLOWED}
    assert not hidden
