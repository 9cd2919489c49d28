"""Sources of weights: a folder, a Hugging Face id, or the URL of an object store."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

ROOT = Path(__file__).parent.parent


def _written_out(source: str) -> str:
    if source.startswith("~") or "${" in source:
        raise ValueError("write the whole path; '~' and variables are not replaced")
    return source


Source = Annotated[str, AfterValidator(_written_out)]


class WeightsSource:
    """Properties of a spec whose field `source` says where weights are."""

    source: Source

    @property
    def names_folder(self) -> bool:
        """True if the source can only be a folder of the machine that loads the weights."""
        return self.source.startswith((".", "/", "models/"))

    @property
    def folder(self) -> Path:
        """The source as an absolute path, which need not exist here."""
        return Path(self.source) if Path(self.source).is_absolute() else ROOT / self.source

    @property
    def path(self) -> Path | None:
        """Directory of the weights if it is on this machine."""
        return self.folder if self.folder.is_dir() else None
