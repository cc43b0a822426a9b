"""Multiply-adds by formula: the poster's figures (METHOD.md 3.1)."""

import pytest

from everest.configuring import configure
from everest.cost import Cost, cost_of, reading_cost
from everest.recipe import FinetuneRecipe, PretrainRecipe, Recipe
from everest.vit import SIZES, VitConfig

CLASSES = {"label": tuple(str(number) for number in range(400))}


def cost(recipe: Recipe) -> Cost:
    return cost_of(configure(recipe, CLASSES if isinstance(recipe, FinetuneRecipe) else None))


def rule(model: str, frames: int, keep: float) -> float:
    """Fine-tuning with `keep`, METHOD.md 3.1 written out for a 224-pixel clip."""
    width, depth = {"vit-b": (768, 12)}[model]
    total = frames // 2 * 196
    read = int((1 - (1 - keep)) * total)
    linear = depth * (12 * read * width**2 + 2 * read**2 * width)
    norms = 5 * width * (2 * depth * read + 1)
    return (total * 1536 * width + linear + norms + width * 400) / 1e9


@pytest.mark.parametrize(("model", "figure"), [("vit-s", 11.6), ("vit-b", 35.5), ("vit-l", 83.1)])
def test_videomae_pretraining_costs_what_the_poster_says(model: str, figure: float) -> None:
    assert cost(PretrainRecipe(model=model, method="videomae")).total == pytest.approx(
        figure, rel=5e-3
    )


@pytest.mark.parametrize(("model", "figure"), [("vit-s", 5.75), ("vit-b", 19.81), ("vit-l", 57.97)])
def test_everest_pretraining_costs_what_was_counted_on_the_authors_code(
    model: str, figure: float
) -> None:
    assert cost(PretrainRecipe(model=model)).total == pytest.approx(figure, rel=1e-3)


@pytest.mark.parametrize(("model", "figure"), [("vit-s", 6.34), ("vit-b", 21.54), ("vit-l", 60.78)])
def test_keeping_four_tenths_costs_what_the_poster_prints(model: str, figure: float) -> None:
    assert cost(PretrainRecipe(model=model, keep=0.4)).total == pytest.approx(figure, rel=1e-3)


@pytest.mark.parametrize(
    ("model", "full", "kept"),
    [("vit-s", 57.0, 29.1), ("vit-b", 180.5, 98.1), ("vit-l", 597.2, 330.0)],
)
def test_finetuning_costs_what_the_poster_says(model: str, full: float, kept: float) -> None:
    every = cost(FinetuneRecipe(model=model, select="all", keep=1.0))
    assert every.total == pytest.approx(full, rel=5e-3)
    assert cost(FinetuneRecipe(model=model, keep=1.0)).total == pytest.approx(every.total)
    assert cost(FinetuneRecipe(model=model)).total == pytest.approx(kept, rel=5e-3)


@pytest.mark.parametrize(
    ("frames", "keep", "figure"),
    [(32, 1.0, 451.3), (32, 0.6, 228.7), (24, 1.0, 304.5), (24, 0.6, 159.3), (16, 0.2, 30.3)],
)
def test_longer_clips_and_fewer_tokens_cost_what_the_rule_gives(
    frames: int, keep: float, figure: float
) -> None:
    found = cost(FinetuneRecipe(frames=frames, keep=keep)).total
    assert found == pytest.approx(figure, rel=2e-3)  # one decimal, and some leave out norms
    assert found == pytest.approx(rule("vit-b", frames, keep), rel=1e-6)


def test_a_decoder_twelve_deep_costs_the_official_large_recipe() -> None:
    found = cost(PretrainRecipe(model="vit-l", method="videomae", decoder_depth=12)).total
    assert found == pytest.approx(142.8, rel=1e-3)


def test_the_total_is_the_sum_of_the_parts_and_embedding_reads_every_token() -> None:
    found = cost(PretrainRecipe())
    assert found.total == found.embed + found.encoder + found.decoder + found.head
    assert found.embed == pytest.approx(1568 * 1536 * 768 / 1e9)
    assert found.embed / found.total == pytest.approx(0.093, abs=1e-3)  # METHOD.md 3.1
    assert found.head == 0
    assert cost(FinetuneRecipe()).decoder == 0


def test_the_other_methods_cost_what_was_counted_on_their_authors_code() -> None:
    teachers = {"image_teacher": "a", "video_teacher": "b"}
    student = configure(
        PretrainRecipe(method="mvd", **teachers),  # type: ignore[arg-type]
        None,
        {"image_features": 768, "video_features": 768},
    )
    assert cost_of(student).total == pytest.approx(77.3, rel=2e-3)
    assert cost(PretrainRecipe(method="mme")).total == pytest.approx(48.0, rel=2e-3)
    cells = cost(PretrainRecipe(method="videomae", decoder_share=0.5)).total
    assert cells == pytest.approx(25.9, rel=2e-3)


@pytest.mark.parametrize(
    ("model", "image", "video"), [("vit-b", 140.5, 180.3), ("vit-l", 492.4, 596.8)]
)
def test_teachers_cost_what_was_counted_of_mvds(model: str, image: float, video: float) -> None:
    vit = VitConfig(*SIZES[model])
    assert reading_cost(vit, (8, 14, 14)) == pytest.approx(video, rel=2e-3)
    frame = VitConfig(*SIZES[model], tubelet=1, class_token=True)
    assert 8 * reading_cost(frame, (1, 14, 14)) == pytest.approx(image, rel=2e-3)
