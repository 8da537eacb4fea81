"""Kinds that are known by name, and loaded when they are used."""

import subprocess
import sys
import textwrap

import pytest
from engine import destinations, errors, kinds, sources
from engine.kinds import Registry
from orders import backup_order, carry_out, copy_order, run_here

SHELF = """
    import sys

    from backup_engine.destinations.local import LocalDestination
    from backup_engine.errors import DestinationDenied

    from .labels import LABEL


    class Shelf(LocalDestination):
        LABEL = LABEL

        def begin(self, path, owner, token, spool=None):
            if "odoo" in sys.modules:
                raise AssertionError("Odoo was imported")
            if "closed" in self.path:
                raise DestinationDenied("The shelf is closed.")
            return super().begin(path, owner, token, spool)
"""


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A kind of another addon, whose package could only be imported with Odoo."""
    addon = tmp_path / "addons" / "shelf_addon"
    addon.mkdir(parents=True)
    (addon / "__init__.py").write_text("import an_odoo_that_is_not_here\n")
    (addon / "labels.py").write_text("LABEL = 'Shelf'\n")
    (addon / "shelf.py").write_text(textwrap.dedent(SHELF))
    return {"folder": str(addon), "module": "shelf", "class": "Shelf"}


def shelf_order(folder, name, shelf, number=1):
    return copy_order(folder, name, number, kind="shelf", code=shelf)


def test_a_module_is_imported_when_its_kind_is_used_and_not_before():
    program = "import sys, engine.transfer; print([m for m in sys.modules if 'destinations.' in m])"
    command = [sys.executable, "-c", program]
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=path_of_tests())
    assert "local" not in found.stdout
    assert "s3" not in found.stdout


def path_of_tests():
    return {"PYTHONPATH": ":".join(sys.path)}


def test_each_kind_of_the_product_is_a_class_with_a_label():
    for registry in (destinations.KINDS, sources.KINDS):
        for name in registry.names():
            assert registry.load(name).LABEL
            assert "code" not in registry.order(name), "an engine knows it by itself"


@pytest.mark.parametrize("code", [None, {}])
def test_a_kind_that_nothing_provides_is_an_error_that_says_so(code):
    with pytest.raises(errors.KindMissing, match="kind “tape” is not available") as raised:
        destinations.open_destination("tape", {}, code)
    assert (raised.value.code, raised.value.retryable) == ("kind_missing", False)
    assert "Install the addon" in raised.value.hint


def test_a_kind_whose_addon_is_gone_is_missing_although_this_process_still_knows_it(monkeypatch):
    monkeypatch.setitem(destinations.KINDS.targets, "distant", "kinds:DistantDestination")
    with pytest.raises(errors.KindMissing):
        destinations.KINDS.load("distant", {})


@pytest.mark.parametrize("target", ["no_such:Tape", "engine.naming:Tape", "broken_kind:Tape"])
def test_a_kind_that_cannot_be_loaded_says_why(target, tmp_path, monkeypatch):
    (tmp_path / "broken_kind.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry("destination")
    registry.register("tape", target)
    with pytest.raises(errors.KindMissing, match="kind “tape” cannot be loaded: .*Error"):
        registry.load("tape")


def test_a_name_belongs_to_one_class():
    registry = Registry("destination")
    registry.register("tape", "one:Tape")
    registry.register("tape", "one:Tape")
    with pytest.raises(ValueError, match="is one:Tape already"):
        registry.register("tape", "other:Tape")
    assert registry.names() == ["tape"]


def test_what_is_imported_by_the_alias_is_the_very_same():
    import backup_engine
    import backup_engine.destinations.local
    import engine
    from backup_engine import errors as aliased
    from engine.destinations import local

    assert backup_engine is engine
    assert aliased is errors
    assert backup_engine.destinations.local is local
    assert local.__spec__.name == local.__name__ == "engine.destinations.local"
    with pytest.raises(ModuleNotFoundError, match="backup_engine.tape"):
        import backup_engine.tape  # noqa: F401


def test_an_order_says_where_another_process_finds_a_kind_of_another_addon(shelf, monkeypatch):
    registry = Registry("destination")
    monkeypatch.syspath_prepend(shelf["folder"])
    monkeypatch.setitem(sys.modules, "labels", None)
    registry.register("distant", "kinds:DistantDestination")
    code = registry.order("distant")["code"]
    assert kinds.import_from(code["folder"], code["module"]).DistantDestination
    assert destinations.KINDS.order("sftp")["secrets"] == ["password", "private_key", "passphrase"]


def test_an_engine_process_stores_in_a_kind_of_another_addon(odoo, folder, shelf):
    last = carry_out(backup_order(odoo, folder, [shelf_order(folder, "first", shelf)]))
    assert last["event"] == "done", last
    assert last["copies"][0]["stored"]


def test_an_error_of_such_a_kind_is_one_of_the_engine(odoo, folder, shelf):
    order = backup_order(odoo, folder, ["first", shelf_order(folder, "closed", shelf, 2)])
    for last in (carry_out(order), run_here({**order, "token": "again"})):
        stored, refused = last["copies"]
        assert stored["stored"]
        assert refused["error_code"] == "destination_denied"


def test_a_copy_of_a_missing_kind_costs_the_others_nothing(odoo, folder):
    missing = copy_order(folder, "second", 2, kind="tape", code={})
    last = carry_out(backup_order(odoo, folder, ["first", missing]))
    assert [copy.get("error_code") for copy in last["copies"]] == [None, "kind_missing"]
