"""One model that embeds or ranks, behind a Serve handle: texts in, vectors or scores out."""

from typing import Any

from ray.serve.llm import LLMConfig
from vllm.entrypoints.chat_utils import ChatTemplateConfig
from vllm.entrypoints.pooling.scoring.io_processor import CrossEncoderIOProcessor

from deployments.model.engine_server import EngineServer
from deployments.model.pooling_adapter import PoolingAdapter
from deployments.model.pooling_prompts import PoolingPrompts
from deployments.model_spec import ModelSpec
from serving.errors import ConfigError
from serving.pooling import TO_CONTEXT, EmbedRequest, PoolingTask, RerankRequest, Scores, Vectors

WARM_UP = "What is 1 + 2?"


class PoolingServer(EngineServer):
    """Replica of a model that embeds or ranks."""

    async def __init__(self, llm_config: LLMConfig, spec: ModelSpec) -> None:  # type: ignore[misc]  # Serve awaits it
        """Start the engine.

        Raises:
            ConfigError: the weights are not on this node, or the model, as vLLM has loaded it, does not do the task
                of its spec.
        """
        await super().__init__(llm_config, spec, PoolingAdapter.engine_class())
        self._model = llm_config.model_id
        self._task: PoolingTask = "embed" if spec.task == "embed" else "rerank"
        engine = PoolingAdapter(self._model, self._task, self.engine)  # type: ignore[arg-type]  # typed as a protocol
        await engine.check_task()
        self._prompts = prompts_of(engine, spec)
        self._engine: PoolingAdapter = engine
        await self._warm_up()

    async def _warm_up(self) -> None:
        """Run what a first request would wait for, and check its result."""
        if self._task == "embed":
            await self.embed(EmbedRequest("warm-up", (WARM_UP,), truncate_tokens=TO_CONTEXT))
        await self.rerank(RerankRequest("warm-up", WARM_UP, (WARM_UP, "3"), truncate_tokens=TO_CONTEXT))

    async def embed(self, request: EmbedRequest) -> Vectors:
        """Embed each input.

        Raises:
            InputTooLong: an input does not fit the model's context.
            UnsupportedField: other dimensions are asked for, and the model has none.
            MoaError: as `PoolingAdapter.pool`.
        """
        dimensions = self._engine.own_dimensions(request.dimensions)
        # A single input is "input", not "input[0]", but its list of one cannot be told from it here.
        names = [f"input[{index}]" for index in range(len(request.inputs))] if len(request.inputs) > 1 else ["input"]
        prompts = await self._prompts.alone(request.inputs, names, request.truncate_tokens, tenant=request.tenant.id)
        tensors = await self._engine.pool(
            request.request_id, prompts, dimensions=dimensions, priority=request.priority, tenant=request.tenant
        )
        return Vectors(tuple(_float32(tensor) for tensor in tensors), sum(len(one.token_ids) for one in prompts))

    async def rerank(self, request: RerankRequest) -> Scores:
        """Score each document: by the cross-encoder, or by the cosine of the vectors of a model that embeds.

        Raises:
            InputTooLong: a document, with the query for a cross-encoder, does not fit the model's context.
            MoaError: as `PoolingAdapter.pool`.
        """
        if self._task == "embed":
            return await self._rerank_by_cosine(request)
        prompts = await self._prompts.pairs(
            request.query,
            request.documents,
            request.truncate_tokens,
            request.document_tokens,
            tenant=request.tenant.id,
        )
        tensors = await self._engine.pool(request.request_id, prompts, priority=request.priority, tenant=request.tenant)
        if tensors[0].numel() != 1:
            raise ConfigError(
                f"'{self._model}' computes {tensors[0].numel()} scores for a pair; task: rerank needs a model with one"
                " (num_labels: 1)."
            )
        return Scores(tuple(float(tensor.item()) for tensor in tensors), sum(len(one.token_ids) for one in prompts))

    async def _rerank_by_cosine(self, request: RerankRequest) -> Scores:
        """Cosine of the query's vector and each document's; every text is computed once."""
        names = [f"documents[{index}]" for index in range(len(request.documents))]
        asked = await self._prompts.alone(
            (request.query,), ["query"], request.truncate_tokens, tenant=request.tenant.id
        )
        given = await self._prompts.alone(
            request.documents,
            names,
            request.truncate_tokens,
            text_tokens=request.document_tokens,
            tenant=request.tenant.id,
        )
        query, *documents = await self._engine.pool(
            request.request_id, [*asked, *given], priority=request.priority, tenant=request.tenant
        )
        scores = tuple(float(query @ document / (query.norm() * document.norm())) for document in documents)
        return Scores(scores, sum(len(one.token_ids) for one in (*asked, *given)))


def prompts_of(engine: PoolingAdapter, spec: ModelSpec) -> PoolingPrompts:
    """Writer of the model's prompts, as vLLM has loaded it."""
    client = engine.client
    config = client.model_config
    tokenizer: Any = client.renderer.get_tokenizer()
    pairs = None
    if spec.task == "rerank":
        processor: Any = CrossEncoderIOProcessor  # untyped
        pairs = processor(client.vllm_config, client.renderer, ChatTemplateConfig()).get_score_prompt
    return PoolingPrompts(
        engine.model,
        tokenizer,
        engine.context_tokens,
        config.get_vocab_size(),
        lower_case=bool((config.encoder_config or {}).get("do_lower_case")),
        score_prompt=pairs,
        score_template=spec.chat_template,
    )


def _float32(tensor: Any) -> bytes:
    """Values of a CPU tensor as little-endian float32."""
    return bytes(tensor.numpy().astype("<f4", copy=False).tobytes())
