"""Rankings as the JSON that Jina's and Cohere's clients read."""

from typing import Any

from serving.api.dialects.embeddings_answers import pooling_usage
from serving.api.errors import encodable
from serving.pooling import RerankRequest, Scores


def ranking_json(
    answer_id: str, model: str, request: RerankRequest, scores: Scores, top_n: int | None, with_documents: bool
) -> dict[str, Any]:
    """The answer: the best `top_n` documents (None: all), best first; equal ones keep their order."""
    ranked = sorted(enumerate(scores.values), key=lambda place: -place[1])[:top_n]
    results: list[dict[str, Any]] = [{"index": index, "relevance_score": score} for index, score in ranked]
    if with_documents:
        for result in results:
            result["document"] = {"text": encodable(request.documents[result["index"]])}
    return {"id": answer_id, "model": model, "results": results, "usage": pooling_usage(scores.prompt_tokens)}
