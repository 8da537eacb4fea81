"""What is secret in an order, and is blotted out of whatever is told about it."""

import html
import json
import urllib.parse

import psycopg2
import pytest
from engine import destinations, sources
from engine.errors import InternalError, RemoteError
from engine.kinds import Setting
from engine.masking import MASK, masked, secrets_of, traceback_of
from engine.messages import _

SETTINGS = (
    Setting("apikey", "Key", secret=True),
    Setting("config_name", "Configuration"),
    Setting("password_file", "File of the Password"),
)
VALUES = {"apikey": "hush-hush", "config_name": "nightly", "password_file": "/etc/pass"}
SECRETS = [setting.name for setting in SETTINGS if setting.secret]


@pytest.mark.parametrize(
    "order",
    [
        {"destinations": [{"kind": "x", "settings": VALUES, "secrets": SECRETS}]},
        {"copies": [{"kind": "x", "settings": VALUES, "secrets": SECRETS}]},
        {"source": {"connection": "x", "secrets": SECRETS, **VALUES}},
        {"target": {"kind": "x", "connection": "x", "secrets": SECRETS, **VALUES}},
    ],
    ids=["destination", "copy", "source", "target"],
)
def test_a_setting_is_masked_by_what_its_kind_says_of_it_and_not_by_its_name(order):
    told = masked({"error": " ".join(VALUES.values())}, secrets_of(order))
    assert told["error"] == f"{MASK} nightly /etc/pass"


@pytest.mark.parametrize(
    "order",
    [
        {"scratch_server": {"password": "hush-hush"}},
        {"servers": [{"server": {"password": "hush-hush"}}]},
        {"target": {"kind": "postgres", "server": {"password": "hush-hush"}}},
        {"identity": "hush-hush"},
        {"candidates": [{"kind": "x", "settings": {}, "identity": "hush-hush"}]},
        {"notices": [{"secret_url": "hush-hush"}]},
        {"notices": [{"secret_path": "hush-hush"}]},
    ],
    ids=json.dumps,
)
def test_what_is_no_setting_of_a_kind_and_secret_is_masked(order):
    assert masked({"error": "hush-hush"}, secrets_of(order)) == {"error": MASK}


def test_each_secret_of_each_kind_is_masked():
    for registry in (destinations.KINDS, sources.KINDS):
        for name in registry.names():
            secrets = [setting for setting in registry.load(name).SETTINGS if setting.secret]
            values = {setting.name: f"secret of {setting.name}" for setting in secrets}
            order = {"copies": [{"settings": values, **registry.order(name)}]}
            assert set(values.values()) <= set(secrets_of(order))


ADDRESS = "/services/T0AA/zzSecretToken"


@pytest.mark.parametrize(
    "quote",
    [
        ADDRESS, ADDRESS.upper(), ADDRESS.lower(), ADDRESS.replace("/", r"\/"),
        ADDRESS.replace("/", "%2f"), ADDRESS.replace("/", "%2F"), ADDRESS.replace("/", "&#x2F;"),
        ADDRESS.replace("/", "&#x2f;"), f"{'x' * 280} {ADDRESS[:-2]}", f"{ADDRESS[:12]}…",
        f"{ADDRESS[:12]}...",
    ],
)  # fmt: skip
def test_a_secret_is_masked_in_every_spelling_and_where_it_was_cut(quote):
    secrets = secrets_of({"notices": [{"secret_path": ADDRESS}]})
    told = masked({"error": f"no route: {quote}"}, secrets)["error"]
    assert told.endswith(MASK)
    assert "services" not in told.lower()
    assert "secret" not in told.lower()


def test_a_word_that_begins_like_a_secret_stays():
    secrets = secrets_of({"identity": "database-42"})
    assert masked({"error": "database-9 and databases"}, secrets)["error"] == (
        "database-9 and databases"
    )


def test_a_secret_is_masked_where_a_quote_of_it_is_quoted_again():
    secret = 'hush "hush" <ü>/\\'
    quotes = (
        json.dumps({"key": secret}),
        urllib.parse.quote(json.dumps({"key": secret})),
        html.escape(json.dumps({"key": secret})),
        repr(json.dumps({"key": secret})),
        urllib.parse.quote(urllib.parse.quote(secret)),
    )
    secrets = secrets_of({"password": secret})
    for quote in quotes:
        assert "hush" not in masked({"error": quote}, secrets)["error"], quote


ODOO_SAYS = (
    'duplicate key value violates unique constraint "res_users_login_key" '
    "DETAIL: Key (login)=(jane@example.com) already exists."
)


@pytest.mark.parametrize(
    "told",
    [
        ODOO_SAYS,
        ODOO_SAYS.replace(" DETAIL: ", "\nDETAIL:  "),
        "it failed LINE 1: INSERT INTO res_users VALUES ('jane@example.com')",
        'bad value CONTEXT:  COPY res_users, line 3: "jane@example.com"',
    ],
)
def test_what_a_server_passes_on_of_its_postgresql_quotes_no_row(told):
    for error in (RemoteError(told), RemoteError(_("The server says: %(text)s", text=told))):
        assert "jane" not in str(error)
        assert "jane" not in error.message
        assert "jane" not in str(error.as_dict())
    kept = "The server says: DETAILS: 3 of 4, see the CONTEXT."
    assert RemoteError(kept).message == kept


def test_a_traceback_quotes_no_row_of_a_database():
    failed = psycopg2.errors.CheckViolation("new row\nDETAIL:  Failing row contains (Jane Roe).")
    for error in (raised(failed), raised(KeyError("x"), failed), raised(KeyError("x"), by=failed)):
        told = traceback_of(error)
        assert "Jane" not in told
        assert "in raised" in told
        assert type(error).__name__ in told
        assert "Jane" not in InternalError.of(error).message
    assert "Jane" in traceback_of(raised(ValueError("Jane")))


def raised(error, during=None, by=None):
    """Return the exception once it was raised, from another or while one was handled."""
    try:
        if during:
            try:
                raise during
            except psycopg2.Error:
                raise error  # noqa: B904 - that is what it is about
        raise error from by
    except Exception as caught:  # noqa: BLE001 - to be looked at
        return caught
