"""Growth of a trained model's vocabulary."""

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
