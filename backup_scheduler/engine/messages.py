"""What the engine says to people: in English, and ready to be said in another language.

``_("The server has no database %(name)r.", name=name)`` is a :class:`Message`: a text in English
that carries its template and its values. Odoo's exporter finds the templates by the name of the
function, and the screen or mail that shows the text renders it in the language of the reader
(``models/backup_message.py``). Logs and scripts read the English.

What another program said (a server's own message, a line of its log) is a value, never a template.
"""

import re

HOME = "backup_scheduler"
# Characters of a message, and of what it quotes where it is longer: names in an archive, what a
# server says.
MESSAGE_LIMIT, QUOTED = 4000, 200
# No width and no precision: a template says where a value goes, and not how long the text gets.
_PLACE = re.compile(r"%(?:(%)|\((\w+)\)([srd]))")


class Message(str):
    """A text in English that can be rendered in another language.

    :ivar template: with ``%(name)s``, ``%(name)r`` or ``%(name)d`` for each value, and ``%%`` for
        a percent sign where there are values
    :ivar values: by name: texts, numbers, other messages, and lists of these
    :ivar addon: the technical name of the addon that has the translations
    """

    __slots__ = ("addon", "template", "values")

    def __new__(cls, template, values=None, addon=HOME):
        values = {name: _plain(value) for name, value in (values or {}).items()}
        self = super().__new__(cls, _formatted(template, values, _english))
        self.template, self.values, self.addon = template, values, addon
        return self

    def __reduce__(self):
        return type(self), (self.template, self.values, self.addon)

    def rendered(self, template_of):
        """Return the plain text, with the templates that ``template_of(message)`` returns.

        A template that the values do not fit (a faulty translation) gives way to the English one.
        """
        try:
            return _formatted(template_of(self), self.values, template_of)
        except (KeyError, ValueError):
            return _formatted(self.template, self.values, template_of)

    def changed(self, change):
        """Return the message with ``change(text)`` applied to each text among its values."""
        values = {name: _changed(value, change) for name, value in self.values.items()}
        return type(self)(self.template, values, self.addon)


class Translations:
    """Makes the messages of one addon: ``_ = Translations("my_addon")``."""

    def __init__(self, addon):
        self._addon = addon

    def __call__(self, template, /, **values):
        return Message(template, values, self._addon)


_ = Translations(HOME)


def joined(separator, texts, end=""):
    """Return the texts in a row as one message; a plain text where none of them is a message."""
    texts = list(texts)
    if not any(isinstance(text, Message) for text in texts):
        return separator.join(texts) + end
    names = [f"part{number}" for number, _text in enumerate(texts)]
    template = separator.replace("%", "%%").join(f"%({name})s" for name in names)
    template += end.replace("%", "%%")
    return Message(template, dict(zip(names, texts, strict=True)))


# --- rendering ----------------------------------------------------------------------------------


def _english(message):
    return message.template


def _formatted(template, values, template_of):
    """Raises :class:`KeyError` or :class:`ValueError` where the values do not fit the template."""
    if not values:
        return template

    def value_at(place):
        percent, name, conversion = place.groups()
        return percent or _said(values[name], conversion, template_of)

    if "%" in _PLACE.sub("", template):
        raise ValueError(f"not a template of names and values: {template!r}")
    return _PLACE.sub(value_at, template)


def _said(value, conversion, template_of):
    if isinstance(value, list):
        return ", ".join(_said(item, conversion, template_of) for item in value)
    if isinstance(value, Message):
        value = value.rendered(template_of)
    return repr(value) if conversion == "r" else str(value)


def _plain(value):
    """Return a value as JSON can carry it: whatever else it is, its text."""
    if value is None or isinstance(value, (Message, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value)


def _changed(value, change):
    if isinstance(value, Message):
        return value.changed(change)
    if isinstance(value, list):
        return [_changed(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


def bounded(text):
    """Return a message, with what it quotes cut where it is too long to be recorded and read."""
    if len(text) <= MESSAGE_LIMIT:
        return text
    if isinstance(text, Message):
        text = text.changed(lambda quoted: quoted[:QUOTED])
    return text if len(text) <= MESSAGE_LIMIT else str(text)[:MESSAGE_LIMIT]


# --- as JSON ------------------------------------------------------------------------------------


def packed(message):
    """Return a message as plain values; :func:`unpacked` makes it again."""
    kept = {"text": message.template, "values": _packed_value(message.values)}
    return kept if message.addon == HOME else {**kept, "addon": message.addon}


def unpacked(kept):
    values = {name: _unpacked_value(value) for name, value in kept["values"].items()}
    return Message(kept["text"], values, kept.get("addon", HOME))


def extracted(node, path=()):
    """Yield ``[path, packed message]`` for each message in plain values.

    They go beside the values, and are not written into them: what a remote says may look like
    anything, and the values stay readable in English.
    """
    if isinstance(node, Message):
        yield [list(path), packed(node)]
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from extracted(value, (*path, key))
    elif isinstance(node, (list, tuple)):
        for position, value in enumerate(node):
            yield from extracted(value, (*path, position))


def carried(event):
    """Return an event as one line of JSON can carry it; :func:`received` makes it again."""
    return {**event, "messages": list(extracted(event))}


def received(event):
    """Return an event with its messages; one that has not been through JSON as it is."""
    return restored(
        {key: value for key, value in event.items() if key != "messages"},
        event.get("messages", ()),
    )


def restored(node, kept, make=lambda message, _english: unpacked(message)):
    """Return the values with ``make(packed message, what is there)`` at each path of ``kept``.

    A path that leads nowhere is left out.
    """
    for path, message in kept:
        node = _with(node, path, message, make)
    return node


def _with(node, path, message, make):
    """Return ``node`` with what ``path`` leads to exchanged; ``node`` itself is not changed."""
    if not path:
        return make(message, node)
    key, rest = path[0], path[1:]
    if isinstance(node, dict) and key in node:
        return {**node, key: _with(node[key], rest, message, make)}
    if isinstance(node, list) and isinstance(key, int) and key < len(node):
        return [*node[:key], _with(node[key], rest, message, make), *node[key + 1 :]]
    return node


def _packed_value(value):
    if isinstance(value, Message):
        return packed(value)
    if isinstance(value, dict):
        return {name: _packed_value(item) for name, item in value.items()}
    return [_packed_value(item) for item in value] if isinstance(value, list) else value


def _unpacked_value(value):
    # No value is a dict of its own, so this one is a message.
    if isinstance(value, dict):
        return unpacked(value)
    return [_unpacked_value(item) for item in value] if isinstance(value, list) else value
