"""python -m corpus_table FOLDER: what each level finds in the archives of a real server.

The folder holds ``few.zip few.dump many.zip many.dump``, backups that an Odoo made of its databases
``corpus`` and ``corpus_many``. Exits 1 when a kind of damage is not found at its level or called
another thing, or a good archive is called bad.
"""

import sys
from pathlib import Path

import corpus
from corpus_samples import DATABASE

MESSAGE = 110
HEAD = ("archive", "level", "1", "ms", "2", "ms", "3", "ms", "what level 3 says")


def main(folder):
    folder = Path(folder)
    kinds = corpus.kinds(*((folder / f"few.{name}").read_bytes() for name in ("zip", "dump")))
    place = folder / "damaged"
    wrong, rows = [], [HEAD]
    for kind in kinds:
        looks = corpus.look_at_kind(kind, place, DATABASE)
        if fault := corpus.wrong_with(kind, looks):
            wrong.append(f"{kind.archive_format}: {kind.name}: {fault}")
        rows.append(row(f"{kind.archive_format}: {kind.name}", kind.level, looks))
    place.unlink()
    rows.append(("",) * len(HEAD))
    for name, looks in good_ones(folder):
        bad = [str(look.error) for look in looks if look.error]
        wrong += [f"good archive {name}: {fault}" for fault in bad[:1]]
        rows.append(row(name, "", looks))
    show(rows)
    for fault in wrong:
        sys.stdout.write(f"MISSED {fault}\n")
    good = len(corpus.GOOD) + 4
    sys.stdout.write(
        f"\n{len(kinds)} kinds of damage, {good} good archives: "
        f"{f'{len(wrong)} wrong' if wrong else 'all as promised'}\n"
    )
    return 1 if wrong else 0


def good_ones(folder):
    """Yield the name of each good archive, and what each level says about it."""
    for name, database in (("few", DATABASE), ("many", f"{DATABASE}_many")):
        for kind in ("zip", "dump"):
            place = folder / f"{name}.{kind}"
            looks = [corpus.look(place, kind, at, database=database) for at in corpus.LEVELS]
            yield f"good {kind}: a real server, {name} attachments", looks
    place = folder / "good"
    for name, kind, write, options in corpus.GOOD:
        write(place)
        yield f"good {kind}: {name}", [
            corpus.look(place, kind, at, database=DATABASE, **options) for at in corpus.LEVELS
        ]
        place.unlink()


def row(name, level, looks):
    cells = [name, str(level)]
    for look in looks:
        cells += ["found" if look.error else "-", f"{look.seconds * 1000:.0f}"]
    error = looks[-1].error
    text = " ".join(str(error).split()) if error else "good"
    return (*cells, text if len(text) <= MESSAGE else f"{text[:MESSAGE]}…")


def show(rows):
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        sys.stdout.write(f"{line.rstrip()}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
