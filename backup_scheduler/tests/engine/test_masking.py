"""What is secret in an order, and is blotted out of whatever is told about it."""

import html
import json
import urllib.parse

import pytest
from engine import destinations, sources
from engine.kinds import Setting
from engine.masking import MASK, masked, secrets_of

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
