"""Growth of a trained model that keeps its function: more tokens, and layers that add nothing at first."""

import copy
from collections.abc import Sequence

import torch
from torch import nn
from transformers import PreTrainedModel


def grow(model: PreTrainedModel, vocabulary_size: int, seed: int) -> None:
    """Give `model` embeddings for new tokens: random ones with the spread of the old."""
    old = _embeddings(model)
    count, spread = len(old), old.std().item()
    model.resize_token_embeddings(vocabulary_size, mean_resizing=False)
    new = _embeddings(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        new[count:] = spread * torch.randn(new[count:].shape, generator=generator)


def _embeddings(model: PreTrainedModel) -> torch.Tensor:
    embeddings = model.get_input_embeddings()
    assert isinstance(embeddings, nn.Embedding)
    return embeddings.weight


def deepened(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    """Copy of `model` with one more layer after each half of its layers; the new ones add zero until trained."""
    config = copy.deepcopy(model.config)
    count = config.num_hidden_layers
    new = (count // 2, count + 1)
    config.num_hidden_layers = count + len(new)
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[0]] * config.num_hidden_layers
    torch.manual_seed(seed)
    deeper = type(model)(config)
    places = [place for place in range(config.num_hidden_layers) if place not in new]
    state = {_moved(name, places): weight for name, weight in model.state_dict().items()}
    for name, weight in deeper.state_dict().items():
        adds = name.endswith(("o_proj.weight", "down_proj.weight"))
        state.setdefault(name, torch.zeros_like(weight) if adds else weight)
    deeper.load_state_dict(state)
    return deeper


def _moved(name: str, places: Sequence[int]) -> str:
    """Name of a weight after its layer has moved; `places[n]`: the new number of layer n."""
    start, found, rest = name.partition("layers.")
    if not found:
        return name
    number, _, tail = rest.partition(".")
    return f"{start}layers.{places[int(number)]}.{tail}"
