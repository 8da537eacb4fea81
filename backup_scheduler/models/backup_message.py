"""The engine's messages in the language of who reads them.

A field of messages is kept in English, which is what searches, Python and the log read. Beside it
its ``…_message`` keeps templates and values, and what leaves for a reader (``read``, an export) is
rendered in the reader's language.
"""

from odoo import api, fields, models
from odoo.tools.translate import code_translations

from ..engine.messages import Message, extracted, restored, unpacked

SOURCE_LANGUAGE = "en_US"


def is_source(lang):
    return not lang or lang == SOURCE_LANGUAGE


def translated(text, lang):
    """Return a message of the engine as a plain text in a language; other texts as they are."""
    if not isinstance(text, Message):
        return text
    return text.rendered(lambda message: template_in(lang, message))


def template_in(lang, message):
    """Return the template of a message in a language, in English where it has no translation."""
    if is_source(lang):
        return message.template
    known = code_translations.get_python_translations(message.addon, lang)
    return known.get(message.template, message.template)


def all_translated(node, lang):
    """Return plain values with each message among them as a plain text in a language."""
    return restored(node, extracted(node), lambda _kept, there: translated(there, lang))


def reason_of(error, lang):
    """Return ``error`` and ``hint`` of an error of the engine, in a language."""
    return {"error": translated(error.message, lang), "hint": translated(error.hint, lang)}


class Told:
    """Makes a field one of messages.

    :param limit: a text is cut after so many characters, and stands in one line
    """

    limit = None

    @property
    def beside(self):
        """Return the name of the field that keeps templates and values."""
        return f"{self.name}_message"

    def cut(self, text):
        return " ".join(text.split())[: self.limit] if text and self.limit else text

    def convert_to_read(self, value, record, use_display_name=True):
        value = super().convert_to_read(value, record, use_display_name)
        return record._in_language(self.name, value) if value else value

    def convert_to_export(self, value, record):
        value = super().convert_to_export(value, record)
        return record._in_language(self.name, value) if value else value


class MessageChar(Told, fields.Char):
    """A message in one line."""


class MessageText(Told, fields.Text):
    """A message."""


class MessageJson(Told, fields.Json):
    """Plain values with messages among them."""


class BackupMessageMixin(models.AbstractModel):
    """Keeps the messages of the engine so that each reader gets them in their language."""

    _name = "backup.message.mixin"
    _description = "Messages in the Reader's Language"

    @api.model_create_multi
    def create(self, vals_list):
        return super().create([self._with_templates(vals) for vals in vals_list])

    def write(self, vals):
        return super().write(self._with_templates(vals))

    def _with_templates(self, vals):
        """Return values to write: messages in English, and beside them how to translate them."""
        told = [field for name in vals if isinstance(field := self._fields.get(name), Told)]
        kept = {field: list(extracted(vals[field.name])) for field in told}
        return {
            **vals,
            **{field.name: field.cut(all_translated(vals[field.name], "")) for field in told},
            **{field.beside: kept[field] or False for field in told if field.beside not in vals},
        }

    def _message(self, name):
        """Return a field of messages with its messages: in English, to be kept or rendered."""
        self.ensure_one()
        return self._with_messages(name, self[name], lambda message: message)

    def _translated(self, name):
        """Return a field of messages in the language of the environment."""
        self.ensure_one()
        return self._in_language(name, self[name])

    def _in_language(self, name, value):
        """Return the value of a field of messages in the language of the environment.

        In English, nothing beside the value is looked at.
        """
        field, lang = self._fields[name], self.env.lang
        if is_source(lang):
            return value
        return self._with_messages(
            name, value, lambda message: field.cut(translated(message, lang))
        )

    def _with_messages(self, name, value, make):
        """Return the value with ``make(message)`` in place of each text that was a message.

        A text that is another one now was written by somebody who knows nothing of messages.
        """
        field = self._fields[name]

        def exchange(kept, there):
            message = unpacked(kept)
            return make(message) if field.cut(str(message)) == there else there

        return restored(value, self[field.beside] or [], exchange)
