"""Stamps: a step of the set-up that was done for the same input is not done again."""

import hashlib
from pathlib import Path


class Stamp:
    """Says whether `folder` was made from exactly these inputs (texts, or files by content)."""

    def __init__(self, folder, *inputs):
        self.path = Path(folder) / ".stamp"
        digest = hashlib.sha256()
        for item in inputs:
            content = item.read_bytes() if isinstance(item, Path) else str(item).encode()
            digest.update(len(content).to_bytes(8, "big") + content)
        self.digest = digest.hexdigest()

    def is_current(self):
        try:
            return self.path.read_text() == self.digest
        except FileNotFoundError:
            return False

    def write(self):
        """To be called last: a step that was interrupted is done again."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(self.digest)
