"""Files of LoRA adapters on the node of a replica: folders as they are, others fetched from the hub or a bucket."""

import asyncio
import shutil
import weakref
from pathlib import Path
from tempfile import mkdtemp

from huggingface_hub import snapshot_download
from ray.llm._internal.common.utils.cloud_utils import CloudFileSystem, is_remote_path

from deployments.adapter_files import CONFIG, TEMPLATE, TOKENIZER_CONFIG, WEIGHTS
from deployments.adapter_spec import AdapterSpec
from deployments.adapters import local_folders
from deployments.model_spec import ModelSpec
from serving.errors import ConfigError
from serving.failures import said

READ = (CONFIG, WEIGHTS, TEMPLATE, TOKENIZER_CONFIG)


class FetchedAdapters:
    """Folders of a model's adapters. What was fetched from a bucket is removed when the process ends."""

    def __init__(self) -> None:
        self._folder = Path(mkdtemp(prefix="moa-adapters-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    async def folders(self, model: ModelSpec) -> dict[str, Path]:
        """Folder of each adapter, by id; that of a folder's source may be missing.

        Raises:
            ConfigError: an adapter cannot be fetched.
        """
        known = local_folders(model)
        missing = [adapter for adapter in model.adapters if adapter.id not in known]
        fetched = await asyncio.gather(*(asyncio.to_thread(self._fetched, adapter) for adapter in missing))
        return {**known, **dict(zip([adapter.id for adapter in missing], fetched, strict=True))}

    def _fetched(self, adapter: AdapterSpec) -> Path:
        try:
            if not is_remote_path(adapter.source):
                return Path(snapshot_download(adapter.source, allow_patterns=[*READ]))
            folder = self._folder / adapter.id
            folder.mkdir()
            CloudFileSystem.download_files(str(folder), adapter.source)
        except Exception as error:  # of boto3, of clouds' clients, of the hub
            raise ConfigError(
                f"The adapter '{adapter.id}' cannot be fetched from '{adapter.source}' ({said(error)}); correct its"
                " source, or the access of the replica to it."
            ) from error
        return folder
