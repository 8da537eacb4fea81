"""Messages: English for logs and scripts, template and values for everybody else."""

import copy
import json
import pickle

import pytest
from engine.masking import masked
from engine.messages import (
    Message,
    Translations,
    carried,
    extracted,
    joined,
    packed,
    received,
    restored,
    unpacked,
)
from engine.messages import _ as said  # Odoo exports what is called “_”, also in tests.

FRENCH = {
    "The server has no database %(name)r.": "Le serveur n'a pas de base %(name)r.",
    "Check %(count)d files: %(names)s": "%(names)s : %(count)d fichiers à vérifier",
    "%(what)s Nothing was sent.": "%(what)s Rien n'a été envoyé.",
    "Choose another name.": "Choisissez un autre nom.",
}


def in_french(message):
    return FRENCH.get(message.template, message.template)


@pytest.mark.parametrize(
    ("message", "english", "french"),
    [
        (said("Choose another name."), "Choose another name.", "Choisissez un autre nom."),
        (
            said("The server has no database %(name)r.", name="o'h"),
            'The server has no database "o\'h".',
            "Le serveur n'a pas de base \"o'h\".",
        ),
        (
            said("Check %(count)d files: %(names)s", count=2, names=["a", "b"]),
            "Check 2 files: a, b",
            "a, b : 2 fichiers à vérifier",
        ),
        (
            said("%(what)s Nothing was sent.", what=said("Choose another name.")),
            "Choose another name. Nothing was sent.",
            "Choisissez un autre nom. Rien n'a été envoyé.",
        ),
        (
            joined("\n", [said("Choose another name."), "plain"]),
            "Choose another name.\nplain",
            "Choisissez un autre nom.\nplain",
        ),
        (said("100%% of %(what)s", what="%s"), "100% of %s", "100% of %s"),
        (said("100 % is all"), "100 % is all", "100 % is all"),
        (said("It says: %(error)s", error=ValueError("no")), "It says: no", "It says: no"),
    ],
)
def test_a_message_reads_in_english_and_renders_in_another_language(message, english, french):
    assert message == english
    assert message.rendered(in_french) == french
    assert type(message.rendered(in_french)) is str


BROKEN = ["La base %(nom)r.", "100 % %(name)s", "%(name)999999999s", "%s", "%(name)s %"]


@pytest.mark.parametrize("translation", BROKEN)
def test_a_translation_that_does_not_fit_gives_way_to_the_english(translation):
    message = said("The server has no database %(name)r.", name="sales")
    assert message.rendered(lambda _message: translation) == message


@pytest.mark.parametrize("template", ["%(name)999999999s", "%s", "100 % of %(name)s"])
def test_a_template_that_values_cannot_fit_is_an_error_where_it_is_written(template):
    with pytest.raises(ValueError, match="not a template"):
        said(template, name="sales")


def test_a_message_survives_json_pickle_and_copies():
    inner = Translations("other_addon")("Choose another name.")
    message = said("%(what)s: %(names)s and %(count)d", what=inner, names=["a", inner], count=3)
    through_json = unpacked(json.loads(json.dumps(packed(message))))
    pickled = pickle.loads(pickle.dumps(message))  # noqa: S301 - our own
    for other in (through_json, pickled, copy.deepcopy(message)):
        assert isinstance(other, Message)
        assert (other, other.template, other.values) == (message, message.template, message.values)
        assert other.values["what"].addon == "other_addon"


def test_messages_go_beside_the_values_they_stand_in():
    hint = said("Choose another name.")
    event = {"error": hint, "copies": [{"id": 1}, {"notes": ["plain", hint]}], "size": 3}
    kept = json.loads(json.dumps(list(extracted(event))))
    assert [path for path, _message in kept] == [["error"], ["copies", 1, "notes", 1]]
    plain = json.loads(json.dumps(event))
    again = restored(plain, kept)
    assert again == event
    assert isinstance(again["copies"][1]["notes"][1], Message)
    assert type(plain["error"]) is str, "what was given is not changed"


def test_a_path_that_leads_nowhere_is_left_out():
    kept = packed(said("Choose another name."))
    for path in (["notes", 0], ["gone"], ["error", "deeper"], ["list", 7]):
        node = {"notes": "text", "error": "text", "list": []}
        assert restored(node, [[path, kept]]) == node


def test_what_a_remote_says_is_never_taken_for_a_message():
    forged = {"text": "%(a)s", "values": {"a": "forged"}}
    assert restored({"manifest": forged}, []) == {"manifest": forged}
    assert said("It said: %(said)s", said=forged).values == {"said": str(forged)}


def test_secrets_are_masked_in_the_values_and_so_in_every_language():
    inner = said("The server has no database %(name)r.", name="hush-hush")
    message = said("%(what)s Nothing was sent.", what=inner)
    notes = [said("Check %(count)d files: %(names)s", count=1, names=["hush-hush", "b"])]
    event = masked({"event": "done", "copies": [{"error": message}], "notes": notes}, ["hush-hush"])
    line = json.dumps(carried(event))
    assert "hush" not in line
    again = received(json.loads(line))
    told = again["copies"][0]["error"]
    assert told == "The server has no database '********'. Nothing was sent."
    assert told.rendered(in_french).startswith("Le serveur n'a pas de base '********'.")
    assert again["notes"][0].rendered(in_french) == "********, b : 1 fichiers à vérifier"


def test_an_event_that_has_not_been_through_json_keeps_its_messages():
    hint = said("Choose another name.")
    assert received({"event": "failed", "hint": hint})["hint"] is hint
