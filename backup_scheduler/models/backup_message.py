"""The engine's messages in the language of who reads them."""

from odoo.tools.translate import code_translations

from ..engine.messages import Message

SOURCE_LANGUAGE = "en_US"


def translated(text, lang):
    """Return a message of the engine as a plain text in a language; other texts as they are."""
    if not isinstance(text, Message):
        return text
    return text.rendered(lambda message: template_in(lang, message))


def template_in(lang, message):
    """Return the template of a message in a language, in English where it has no translation."""
    if not lang or lang == SOURCE_LANGUAGE:
        return message.template
    known = code_translations.get_python_translations(message.addon, lang)
    return known.get(message.template, message.template)
