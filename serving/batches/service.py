"""Parts of the store that belong to batches, shared by the API and the worker."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from serving.batches.settings import FILES_FOLDER, BatchSettings
from serving.store.batch_contents import BatchContents
from serving.store.batch_files import BatchFiles
from serving.store.batch_results import BatchResults
from serving.store.batch_rows import BatchRows
from serving.store.settings import StoreSettings
from serving.store.store import Store


class Batches:
    """Files, batches and results in one store.

    Attributes:
        works: lines are answered by this process, too; else only by the worker's.
    """

    def __init__(self, settings: BatchSettings, place: StoreSettings, store: Store, *, works: bool) -> None:
        """`place`: settings of `store`. Raises `ConfigError` if `settings.files` cannot be used."""
        self.settings, self.store, self.works = settings, store, works
        folder = Path(place.file()).absolute().parent / FILES_FOLDER
        contents = BatchContents(settings.files or folder.as_uri())
        self.files = BatchFiles(store.database, contents)
        self.rows = BatchRows(store.database)
        self.results = BatchResults(store.database)
        self._uploads = 0

    @contextmanager
    def upload(self) -> Iterator[bool]:
        """Count a file that is being received while the block runs. Yields False if there are too many."""
        self._uploads += 1
        try:
            yield self._uploads <= self.settings.max_uploads
        finally:
            self._uploads -= 1
