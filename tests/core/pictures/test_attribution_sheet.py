"""The picture of attribution maps: what is where in it, and on which scale."""

from pathlib import Path

import numpy as np
from PIL import Image

from shapebias.core.attribution.choice import Choice
from shapebias.core.attribution.explained import AttributionResult, ExplainedImage, MethodMap
from shapebias.core.pictures.attribution_sheet import bands, label_height, labelled, sheet
from shapebias.core.pictures.heatmap import heat_tile
from shapebias.core.pictures.tiles import BACKGROUND

SIZE = 120
PROBLEM = "its class scores are not one linear layer behind global average pooling, nor anything like it"


def explained(images: int = 2, factor: float = 3.0) -> AttributionResult:
    """Return two models' maps of images; those of the second model are `factor` times as large."""
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(images, 8, 8)).astype(np.float32)

    def of(model: str, number: int, times: float) -> ExplainedImage:
        return ExplainedImage(
            model=model,
            image=Path(f"photo{number}.png"),
            pixels=np.full((32, 32, 3), 100, np.uint8),
            output=number,
            output_name="a class with a name that is far too long for a tile of the picture",
            probability=0.5,
            maps={
                "gradient": MethodMap(values=gradients[number] * np.float32(times)),
                "integrated-gradients": MethodMap(values=gradients[number] + 1, gap=0.0123),
                "cam": MethodMap(problem=PROBLEM),
            },
        )

    return AttributionResult(
        choices=[Choice.of(name) for name in ("gradient", "integrated-gradients", "cam")],
        target="predicted",
        seed=0,
        images=[of(model, number, times) for model, times in (("S", 1.0), ("R", factor)) for number in range(images)],
    )


def test_a_band_is_an_image_and_its_rows_are_the_models() -> None:
    result = bands(explained(), SIZE, 4)
    assert [band.title for band in result] == ["photo0.png", "photo1.png"]
    names = [[tile.name for tile in row] for row in result[0].rows]
    assert names == [[model, "Gradient", "Integrated Gradients", "CAM"] for model in ("S", "R")]
    assert result[0].rows[0][2].more == ("gap 1.23%",)
    assert result[0].rows[0][3].more == (PROBLEM,)


def test_rows_that_do_not_fit_are_gone_on_with_in_another_band() -> None:
    result = bands(explained(images=1), SIZE, 3)
    assert [[tile.name for tile in band.rows[1]] for band in result] == [
        ["R", "Gradient", "Integrated Gradients"],
        ["R", "CAM"],
    ]


def test_models_share_the_scale_of_a_method() -> None:
    question = explained(images=1, factor=3.0)
    (band,) = bands(question, SIZE, 4)
    small, large = (row[1].picture for row in band.rows)
    values = question.images[1].maps["gradient"].values
    scale = float(np.quantile(np.abs(values), 0.99))
    photo = Image.fromarray(question.images[1].pixels).resize((SIZE, SIZE))
    assert large.tobytes() == heat_tile(photo, values, scale=scale, signed=True).tobytes()
    assert small.tobytes() == heat_tile(photo, values / 3, scale=scale, signed=True).tobytes()


def test_a_map_that_is_faint_beside_the_other_is_said_to_be() -> None:
    (band,) = bands(explained(images=1, factor=50.0), SIZE, 4)
    assert band.rows[0][1].more == ("2.0% of R's",)
    assert band.rows[1][1].more == ()


def test_labels_stay_below_their_tile() -> None:
    for row in bands(explained(images=1), SIZE, 4)[0].rows:
        for tile in row:
            pixels = np.asarray(labelled(tile, SIZE + label_height(SIZE) + 9, SIZE + 30))
            assert (pixels[:SIZE, :SIZE] == np.asarray(tile.picture)).all()
            assert (pixels[:, SIZE:] == BACKGROUND).all()
            assert (pixels[SIZE + label_height(SIZE) :] == BACKGROUND).all()
            assert (pixels[SIZE:, :SIZE] != BACKGROUND).any()


def test_the_sheet_holds_every_labelled_tile() -> None:
    result = bands(explained(), SIZE, 4)
    pixels = np.asarray(sheet(result))
    for band in result:
        for row in band.rows:
            for column, tile in enumerate(row):
                wanted, left = np.asarray(labelled(tile)), 4 + column * (SIZE + 4)
                height, width = wanted.shape[:2]
                assert any(
                    (pixels[top : top + height, left : left + width] == wanted).all()
                    for top in range(len(pixels) - height)
                )
