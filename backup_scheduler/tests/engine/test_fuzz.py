"""Fuzzing of the parsers of texts that others wrote: keys, configurations, schedules, addresses,
pages, events."""

import types

import pytest
from engine import encryption, messages, naming
from engine.archive import content, manifest
from engine.channels import base as channel
from engine.cron_expression import CronExpression, ScheduleError
from engine.destinations import rclone_config, rclone_words, sftp_keys
from engine.errors import BackupError
from engine.sources import http_answers, http_client
from fuzzing import LONG, TOKENS, ends_in_time, fuzzed, long_texts, outcome, texts
from hypothesis import example, given


def sftp_key(text):
    return sftp_keys.load_key(
        types.SimpleNamespace(private_key=text or "x", passphrase="", password="")
    )


def rclone(text):
    config = f"[a]\ntype = drive\n{text}"
    rclone_config.check_config(config, "a")
    return rclone_config.secrets_in(config)


def manifest_of(text):
    manifest.check_manifest(manifest.parse_manifest(text.encode("utf-8", "replace")), "db")


def head_of(text):
    content.require_magic(text.encode("utf-8", "replace")[: content.HEAD], [content.ZIP], "a zip")


def read_events(text):
    return messages.received({"event": "failed", "error": text, "messages": text})


# Name: (parser of a text, what it refuses with).
PARSERS = {
    "age identity": (encryption.parse_identity, BackupError),
    "age recipients": (encryption.parse_recipients, BackupError),
    "address of a server": (http_client.checked_url, BackupError),
    "address of a channel": (channel.checked_address, BackupError),
    "cron expression": (CronExpression, ScheduleError),
    "date of a server": (http_client.moment, ()),
    "first bytes": (head_of, BackupError),
    "host key": (sftp_keys.parse_host_key, BackupError),
    "manifest": (manifest_of, BackupError),
    "name of a path": (naming.safe_name, ()),
    "page": (http_answers.page_message, ()),
    "pause": (http_client.retry_after, ()),
    "private key": (sftp_key, BackupError),
    "rclone configuration": (rclone, BackupError),
    "words of rclone": (lambda text: rclone_words.said(text), ()),
}
# What was found to be slow, again and again.
UNITS = (
    '<div class="', "<div class='", "AAAAC3NzaC1lZDI1NTE5 ", "AAAABXZ1eHl6 ", "//x:", '"token":"',
)  # fmt: skip


@pytest.mark.parametrize("name", sorted(PARSERS))
@fuzzed()
@given(text=texts)
@example(text="0\n 0")
def test_a_parser_refuses_with_its_own_errors_and_within_its_memory(name, text):
    parse, refuses = PARSERS[name]
    outcome(parse, text, refuses=refuses or AssertionError)


@pytest.mark.parametrize("name", sorted(PARSERS))
def test_a_parser_is_linear_in_what_it_looks_for(name):
    parse, refuses = PARSERS[name]
    repeated = (unit * (LONG // len(unit)) for unit in (*TOKENS, *UNITS))
    ends_in_time(parse, repeated, refuses)


@pytest.mark.parametrize("name", sorted(PARSERS))
@fuzzed(few=2, share=100)
@given(text=long_texts)
def test_a_parser_is_linear(name, text):
    parse, refuses = PARSERS[name]
    ends_in_time(parse, [text], refuses)
