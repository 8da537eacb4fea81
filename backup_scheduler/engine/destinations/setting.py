"""What a kind of destination has to be told, as its form asks for it."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Setting:
    """One keyword of a kind's class.

    :ivar name: the keyword
    :ivar label: what people call it
    :ivar kind: ``char``, ``text``, ``integer``, ``boolean`` or ``selection``
    :ivar secret: it is kept encrypted, can be replaced, and is never read back
    :ivar server: it says whose server the secrets are for: those of the kind are forgotten where it
        changes
    :ivar required: the form insists on it
    :ivar location: it says where the archives are: another one is another place
    :ivar advanced: few need it: the form has it further down
    :ivar choices: of a selection, as pairs of value and label; the empty value is left out
    """

    name: str
    label: str
    kind: str = "char"
    help: str = ""
    placeholder: str = ""
    secret: bool = False
    server: bool = False
    required: bool = False
    location: bool = False
    advanced: bool = False
    default: Any = None
    choices: tuple = ()
