"""The whole loop on scripted engines, with tiny-qwen's own weights: three steps of training, resumed at any step."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from deployments.config import load_profile
from evaluation.errors import EvaluationError
from evaluation.sandbox import SandboxLimits
from evaluation.store import read_rows
from serving.types import GenerateRequest
from tests.support.dataset_rows import HUMAN_EVAL
from tests.support.training import SPECS, scripted_trio, transport_of
from training import optima as loop
from training.access import Access
from training.errors import TrainingError
from training.generation import GenerationSettings
from training.job import TrainingJob, load_job, read_examples, read_pairs, run_job
from training.job import main as job_main
from training.optima import Optima
from training.settings import OptimaSettings
from training.state import read_state
from training.trainer_settings import TrainerSettings
from training.trajectory import Trajectory

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:.*pin_memory.*")
QUESTIONS = 6


def debating(request: GenerateRequest) -> str:
    """Right in every second sample, and short where it is right."""
    text = request.messages[-1].content
    if "You check answers" in text:
        return "ACCEPT" if "   12" in text else "Add again."
    right = (request.sampling.seed or 0) % 2
    return "1200" if right else "It is surely 7 or so"


@pytest.fixture
def settings(tmp_path: Path) -> OptimaSettings:
    rows = [
        {"id": f"q{number}", "skill": "sums", "question": f"What is 1{number}00 + 0?", "answer": "1200"}
        for number in range(QUESTIONS)
    ]
    data = tmp_path / "questions.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return OptimaSettings(
        recipe="debate",
        dataset=str(data),
        profile="tiny",
        out=tmp_path / "run",
        iterations=1,
        branches=2,
        generation=GenerationSettings(samples=4),
        trainer=TrainerSettings(max_steps=3, batch_size=2, learning_rate=1e-3, dpo_learning_rate=1e-3),
    )


def access(profile: str = "tiny") -> Access:
    return Access("http://s", transport=transport_of(scripted_trio({"tiny-qwen": debating}), profile))


def said(
    settings: OptimaSettings, server: Access, launch: Callable[[TrainingJob], dict[str, float]] = run_job
) -> list[str]:
    lines: list[str] = []
    Optima(settings, server, lines.append).run(launch)
    return lines


def weights(folder: str | Path) -> dict[str, torch.Tensor]:
    return load_file(Path(folder) / "model.safetensors")


def test_two_iterations_train_and_serve_new_weights(settings: OptimaSettings) -> None:
    said(settings, access())
    [first] = read_state(settings.out).iterations
    assert first.finished
    assert first.steps["train"]["tiny-qwen"]["steps"] == 3
    assert first.steps["generate"]["answers"] == 4 * QUESTIONS
    assert 0 < first.steps["generate"]["mean_task"] < 1
    assert not torch.equal(
        weights(first.weights["tiny-qwen"])["model.embed_tokens.weight"],
        weights(str(SPECS["tiny-qwen"].path))["model.embed_tokens.weight"],
    )
    profile = settings.out / "iteration-1" / "profile.yaml"
    served = {model.id: model for model in load_profile(str(profile)).models}
    assert served["tiny-qwen"].source == first.weights["tiny-qwen"]
    assert served["tiny-llama"].source == SPECS["tiny-llama"].source

    # The selected examples are right answers only, and the loss is on them alone.
    rows = read_examples(settings.out / "iteration-1" / "models" / "tiny-qwen" / "data.jsonl")
    assert rows
    assert all(sum(row.row["completion_mask"]) == len(row.completion) for row in rows)

    # A second iteration asks a server that has the new weights.
    more = replace(settings, iterations=2, method="isft")
    with pytest.raises(TrainingError, match=r"does not serve training '\w+/1' \(it reports 'none'\)"):
        said(more, access())
    said(more, access(str(profile)))
    second = read_state(settings.out).iterations[1]
    assert second.finished
    job = load_job(settings.out / "iteration-2" / "models" / "tiny-qwen" / "job.json")
    assert job.base == first.weights["tiny-qwen"]


def test_each_iteration_may_start_from_the_untrained_weights(settings: OptimaSettings) -> None:
    chosen = replace(settings, start="initial", trainer=replace(settings.trainer, max_steps=1))
    said(chosen, access())
    first = settings.out / "iteration-1"
    said(replace(chosen, iterations=2), access(str(first / "profile.yaml")))
    jobs = [load_job(settings.out / f"iteration-{n}" / "models" / "tiny-qwen" / "job.json") for n in (1, 2)]
    assert [job.base for job in jobs] == [str(SPECS["tiny-qwen"].path)] * 2
    served = {model.id: model for model in load_profile(str(settings.out / "iteration-2" / "profile.yaml")).models}
    assert served["tiny-qwen"].source == str(settings.out / "iteration-2" / "models" / "tiny-qwen" / "weights")


def test_dpo_trains_on_pairs_of_a_search_tree(settings: OptimaSettings) -> None:
    said(replace(settings, method="idpo", formats=False), access())
    [one] = read_state(settings.out).iterations
    assert one.method == "dpo"
    assert one.finished
    found = read_pairs(settings.out / "iteration-1" / "models" / "tiny-qwen" / "data.jsonl")
    assert found
    assert all(row.chosen != row.rejected for row in found)
    branches = read_rows(settings.out / "iteration-1" / "branches.jsonl", Trajectory)
    assert branches
    assert all(one.usable and one.kept_turns for one in branches)


def test_lora_adapters_take_the_models_id(settings: OptimaSettings) -> None:
    trainer = replace(settings.trainer, lora_rank=4)
    said(replace(settings, trainer=trainer), access())
    profile = load_profile(str(settings.out / "iteration-1" / "profile.yaml"))
    assert profile.parents == {"tiny-qwen": "tiny-qwen-base"}
    assert "tiny-qwen" in {model.id for model in profile.generating}


def test_a_run_stopped_at_any_step_is_resumed_there(settings: OptimaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "score_losses", stop)
        with pytest.raises(KeyboardInterrupt):
            said(settings, access())
    assert read_state(settings.out).iterations == ()
    answers = (settings.out / "iteration-1" / "trajectories.jsonl").read_bytes()
    assert answers.count(b"\n") == 4 * QUESTIONS

    with monkeypatch.context() as patch:
        patch.setattr(loop, "write_examples", stop)
        with pytest.raises(KeyboardInterrupt):
            said(settings, access())
    assert (settings.out / "iteration-1" / "trajectories.jsonl").read_bytes() == answers
    [one] = read_state(settings.out).iterations
    assert set(one.steps) == {"generate"}

    with pytest.raises(KeyboardInterrupt):
        said(settings, Access("http://nobody.invalid"), stop)  # nothing is asked again
    # A training that was launched by hand, or whose result was not recorded, is not done again.
    job = settings.out / "iteration-1" / "models" / "tiny-qwen" / "job.json"
    assert job_main([str(job)]) == 0
    lines = said(settings, Access("http://nobody.invalid"), stop)
    assert [line.split(":")[0] for line in lines] == ["iteration 1", "iteration 1, profile"]
    assert said(settings, Access("http://nobody.invalid")) == []


def test_a_training_that_was_interrupted_continues_at_its_checkpoint(settings: OptimaSettings, tmp_path: Path) -> None:
    """The weights are those of a training without an interruption."""
    from training.trainer import SFTTrainer

    said(settings, access(), lambda job: {"steps": 0.0})
    job = load_job(settings.out / "iteration-1" / "models" / "tiny-qwen" / "job.json")
    whole = job.model_copy(update={"out": str(tmp_path / "whole"), "settings": {**job.settings, "save_steps": 1}})
    run_job(whole)
    cut = whole.model_copy(update={"out": str(tmp_path / "cut")})
    steps: list[int] = []
    step = SFTTrainer.training_step

    def counted(trainer: Any, *given: Any, **named: Any) -> Any:
        steps.append(trainer.state.global_step)
        if steps == [0, 1, 2]:
            raise KeyboardInterrupt
        return step(trainer, *given, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SFTTrainer, "training_step", counted)
        with pytest.raises(KeyboardInterrupt):
            run_job(cut)
        assert not (tmp_path / "cut" / "weights").exists()
        run_job(cut)
    assert steps == [0, 1, 2, 2]
    left, right = weights(tmp_path / "whole" / "weights"), weights(tmp_path / "cut" / "weights")
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_other_settings_are_refused_in_the_same_folder(settings: OptimaSettings) -> None:
    Optima(settings, access())
    other = replace(settings, generation=replace(settings.generation, samples=5))
    with pytest.raises(TrainingError, match="holds a run with other settings: generation was"):
        Optima(other, access())
    Optima(replace(settings, iterations=9), access())  # a longer run is the same run


def test_nothing_to_train_on_is_one_sentence(settings: OptimaSettings) -> None:
    strict = replace(settings, selection=replace(settings.selection, threshold=9.0))
    with pytest.raises(TrainingError, match="Iteration 1 has nothing to train on; lower --threshold"):
        said(strict, access())


def test_programs_run_only_if_that_is_allowed(settings: OptimaSettings, tmp_path: Path) -> None:
    data = tmp_path / "code.jsonl"
    data.write_text(json.dumps(HUMAN_EVAL) + "\n")
    for reward in ("code", "dataset"):
        with pytest.raises(EvaluationError, match="allow it with --run-programs"):
            Optima(replace(settings, dataset=str(data), task_reward=reward), access())
        assert not settings.out.exists()
    Optima(replace(settings, dataset=str(data), programs=SandboxLimits()), access())
    with pytest.raises(EvaluationError, match="leave out --run-programs"):
        Optima(replace(settings, programs=SandboxLimits()), access())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"recipe": "cascade"}, r"The recipe 'cascade' \(strategy cascade\) cannot be trained; choose one with"),
        ({"recipe": "nope"}, "The profile 'tiny' has no recipe 'nope'; its recipes are: moa"),
        ({"profile": "nope"}, "There is no profile 'nope'"),
        ({"models": ("tiny-llama",)}, "The recipe 'debate' has no model 'tiny-llama'; its models are: tiny-qwen."),
        ({"dataset": "tiny"}, "The dataset 'tiny' is held out"),
        (
            {"recipe": "rank", "trainer": TrainerSettings(lora_rank=4)},
            "'tiny-mixtral' has experts, whose adapters vLLM does not serve on CPUs; leave out --lora-rank, or the",
        ),
    ],
)
def test_wrong_settings_are_one_sentence(settings: OptimaSettings, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TrainingError, match=sentence):
        Optima(replace(settings, **changes), access())


@pytest.mark.parametrize(
    ("method", "formats", "expected"),
    [
        ("isft", True, ["sft", "sft", "sft"]),
        ("idpo", True, ["sft", "dpo", "dpo"]),
        ("idpo", False, ["dpo", "dpo", "dpo"]),
        ("hybrid", True, ["sft", "dpo", "sft"]),
    ],
)
def test_trainings_of_each_method(settings: OptimaSettings, method: str, formats: bool, expected: list[str]) -> None:
    chosen = replace(settings, method=method, formats=formats)  # type: ignore[arg-type]
    assert [chosen.method_of(number) for number in (1, 2, 3)] == expected
