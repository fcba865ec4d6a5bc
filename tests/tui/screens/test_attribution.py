"""Attribution maps on the image screen and by image: the walk over methods and images, what is said beside them."""

import shutil
from pathlib import Path

import pytest
import zarr
from textual.pilot import Pilot
from textual.widgets import Input

from shapebias.core.analysis.attribution import Attributions
from shapebias.core.pictures.tiles import AttributionMaps, Photo, UnitImage
from shapebias.core.store.joined import open_stores
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.tui.app import Explorer
from shapebias.tui.screens.by_image import ByImageScreen
from shapebias.tui.screens.image import ImageScreen
from shapebias.tui.settings import load_settings
from shapebias.tui.terminal.graphics import Graphics
from shapebias.tui.widgets.attribution_view import AttributionView
from tests.support.attribution_store import CONSTANT, IMAGES, UNMEASURED, add_attribution
from tests.support.explorer_pilot import exploring, frame

pytestmark = pytest.mark.slow

UNIT = "Tiny/block2/3"
WITH = 1, 4  # the ranks of this unit's images that have attribution maps


@pytest.fixture
def store(store_copy: Path) -> Store:
    """A store of two models, with maps of two of a unit's top images, the second and the fifth, and four others."""
    plain = open_store(store_copy)
    top = plain.top(plain.unit(UNIT)).image.tolist()
    others = [image for image in range(50) if image not in top and plain.find_thumbnail("Tiny", image) is not None]
    add_attribution(store_copy, sorted([*(top[rank] for rank in WITH), *others[:4]]))
    other = Path(shutil.copytree(store_copy, store_copy.parent / "other.zarr"))
    return open_stores([store_copy, other])


def lines(view: AttributionView, part: str) -> list[str]:
    return str(view.query_one(part).render()).splitlines()


async def mapped(view: AttributionView, pilot: Pilot[None]) -> AttributionMaps:
    """The maps that are shown, once their picture is there."""
    for _ in range(300):
        await pilot.pause(0.01)
        grid = view.grid
        subject, picture = grid._subject, grid.picture
        if not isinstance(subject, AttributionMaps) or not view.is_on_screen:
            continue
        if not grid.draws:
            return subject
        wanted = subject, grid.grid_layout()
        if picture is not None and (picture.request.subject, picture.request.layout) == wanted:
            assert not picture.error
            assert len(picture.pieces) == 1 + len(subject.photos)
            return subject
    raise AssertionError("the picture never came")


async def by_image(app: Explorer, pilot: Pilot[None], *keys: str) -> ByImageScreen:
    """The screen by image, once all that it reads is there."""
    await pilot.press(*(keys or ["i"]))
    for _ in range(300):
        await pilot.pause(0.01)
        if isinstance(app.screen, ByImageScreen) and not app.screen.reading and app.screen._reading is None:
            return app.screen
    raise AssertionError("it was never read")


async def test_the_key_a_walks_the_methods_over_a_units_image(store: Store) -> None:
    top = store.top(store.unit(UNIT)).image.tolist()
    async with exploring(store, size=(80, 24), unit=UNIT) as (app, pilot):
        await pilot.press("enter", "2")
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, ImageScreen)
        await pilot.press("a")
        subject = await mapped(screen.maps, pilot)
        image = top[WITH[0]]
        assert subject == AttributionMaps("gradient", True, (Photo("Tiny", image), Photo("Tiny@other", image)))
        assert not screen.grid.is_on_screen
        head, captions = lines(screen.maps, ".method"), lines(screen.maps, ".captions")
        assert head[0].startswith("Gradient  1 of 4")
        assert head[1].startswith(f"{store.image_name(image)}  {store.class_of(image)}")
        assert "for the class" in head[2]
        assert "against it" in head[2]
        assert "class: the right one" in head[2]
        attribution = store.attribution("Tiny")
        assert attribution is not None
        row = attribution.row(image)
        explained = f"class{attribution.target[row]} p {attribution.probability[row]:.3f}"
        layout = screen.maps.grid.grid_layout()
        assert layout is not None
        names, classes = (line for line in captions if line.strip())
        for column, (name, text) in enumerate([("the image", store.class_of(image)), *2 * [("Tiny", explained)]]):
            start = column * layout.cell_columns
            assert names[start:].startswith(name), "above its tile"
            assert classes[start : start + layout.cell_columns].strip() == text
        for key, method in (("a", "rise"), ("a", "grad-cam"), ("A", "rise"), ("a", "grad-cam"), ("a", "center")):
            await pilot.press(key)
            assert (await mapped(screen.maps, pilot)).method == method
        assert "4 of 4  a control: it knows nothing of the network" in lines(screen.maps, ".method")[0]
        assert "against it" not in lines(screen.maps, ".method")[2]
        await pilot.press("a")
        await pilot.pause()
        assert screen.maps.method is None
        assert screen.grid.is_on_screen, "the unit's activation map is one of them"
        assert not screen.maps.is_on_screen
        assert screen.grid._subject == UnitImage(store.unit(UNIT), 1)
        await pilot.press("a")
        assert (await mapped(screen.maps, pilot)).method == "gradient", "from the front again"
        await pilot.press("A", "A")
        assert (await mapped(screen.maps, pilot)).method == "center", "and from the end"
    assert load_settings().method == "center", "for later runs"


async def test_images_without_maps_say_so_and_n_goes_to_the_next(store: Store) -> None:
    async with exploring(store, Graphics.NONE, unit=UNIT) as (app, pilot):
        app.session.settings.method = "rise"
        await pilot.press("enter", "enter", "a")
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, ImageScreen)
        said = str(screen.query_one(".facts").render()).splitlines()[2]
        assert said == "this image has no attribution maps: n and N go to the unit's 2 images that have some"
        assert screen.grid.is_on_screen
        for key, rank in (("n", 1), ("n", 4), ("N", 1), ("n", 4)):
            await pilot.press(key)
            assert screen.rank == rank
            assert (await mapped(screen.maps, pilot)).method == "rise", "the last one that was shown"
        await pilot.press("n")
        assert screen.rank == 4
        assert "no further image of the unit has attribution maps" in lines(screen.maps, ".method")[1]
        await pilot.press("right")
        await pilot.pause()
        assert screen.rank == 5
        assert screen.grid.is_on_screen
        await pilot.press("left")
        await mapped(screen.maps, pilot)
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen is screen, "Escape closes the maps first"
        assert screen.grid.is_on_screen
        assert "predicts" in str(screen.query_one(".facts").render())
        await pilot.press("N")
        assert (await mapped(screen.maps, pilot)).method == "rise", "n and N open them, too"
        await pilot.press("escape", "escape")
        await pilot.pause()
        assert app.screen is not screen


async def test_a_unit_whose_images_all_lack_maps(store_copy: Path) -> None:
    plain = open_store(store_copy)
    top = plain.top(plain.unit(UNIT)).image.tolist()
    add_attribution(store_copy, sorted(set(range(50)) - set(top))[:5])
    async with exploring(open_store(store_copy), Graphics.NONE, unit=UNIT) as (app, pilot):
        await pilot.press("enter", "enter", "n")
        await pilot.pause()
        said = str(app.screen.query_one(".facts").render()).splitlines()[2]
        assert said == "no image of the unit has attribution maps: i, a, then n goes through the 5 that have some"


async def test_a_store_without_maps_names_the_command(small_store: Path) -> None:
    async with exploring(open_store(small_store), Graphics.NONE, unit=UNIT) as (app, pilot):
        await pilot.press("enter", "enter", "a")
        await pilot.pause()
        assert isinstance(app.screen, ImageScreen)
        said = str(app.screen.query_one(".facts").render()).splitlines()[2]
        assert said == "no attribution maps in this store: make them with `shapebias precompute --passes attribution`"
        assert app.screen.maps.method is None
        await pilot.press("escape", "escape")
        screen = await by_image(app, pilot, "a")
        assert "precompute --passes attribution" in str(screen.query_one(".facts").render()), "from the panes, too"
        assert len(screen.columns["Tiny"].units.options) > 0


async def test_each_map_on_its_own_scale(store: Store) -> None:
    async with exploring(store, Graphics.NONE, unit=UNIT) as (app, pilot):
        await pilot.press("enter", "2", "a")
        await pilot.pause()
        assert isinstance(app.screen, ImageScreen)
        view = app.screen.maps
        for alone, said in (
            (False, "one scale for all, v: one for each"),
            (True, "a scale for each, v: one for all"),
            (False, "one"),
        ):
            assert (await mapped(view, pilot)).each_alone is alone
            assert said in lines(view, ".method")[2]
            await pilot.press("v")


async def test_by_image_walks_the_images_that_have_maps(store: Store) -> None:
    explained = [image.path for image in Attributions(store).images]
    async with exploring(store, Graphics.NONE, unit=UNIT) as (app, pilot):
        screen = await by_image(app, pilot)
        await pilot.press("a")
        await pilot.pause()
        assert "n goes to the next of 6 images that have some" in str(screen.query_one(".facts").render())
        assert "6 of 50: with attribution" in frame(screen.query_one(".find"))
        paths = [name.path for name in screen._images.names]
        after = [path for path in explained if paths.index(path) > paths.index(screen.image.path)] or explained
        await pilot.press("n")
        subject = await mapped(screen.maps, pilot)
        assert screen.image.path == after[0], "the next in the list"
        assert [photo.model for photo in subject.photos] == ["Tiny", "Tiny@other"]
        assert not screen.panel.is_on_screen
        assert not screen.columns["Tiny"].is_on_screen
        seen = [screen.image.path]
        for key in ("n", "N", "n"):
            await pilot.press(key)
            await mapped(screen.maps, pilot)
            seen.append(screen.image.path)
        assert seen == [*after[:2], after[0], after[1]]
        await pilot.press("a", "a")
        assert (await mapped(screen.maps, pilot)).method == "grad-cam"
        await pilot.press("v")
        assert (await mapped(screen.maps, pilot)).each_alone
        await pilot.press("slash", "a")
        assert screen.query_one(Input).value == "a", "a letter there"
        await pilot.press("enter")
        assert "6 of 50: with attribution" in frame(screen.query_one(".find"))
        await pilot.press("escape")
        screen = await by_image(app, pilot, "k")
        assert app.screen is screen, "Escape closes the maps first"
        assert screen.maps.method is None
        assert "50 of 50" in frame(screen.query_one(".find"))
        assert screen.column.units.has_focus
        assert screen.panel.is_on_screen
        assert screen.results[0].photo == Photo("Tiny", paths.index(screen.image.path))
        await pilot.press("escape")
        assert len(app.screen_stack) == 1


async def test_a_in_the_panes_begins_at_the_units_strongest_image_with_maps(store: Store) -> None:
    top = store.top(store.unit(UNIT)).image.tolist()
    async with exploring(store, Graphics.NONE, unit=UNIT) as (app, pilot):
        screen = await by_image(app, pilot, "a")
        assert screen.image.path == store.image_name(top[WITH[0]])
        assert (await mapped(screen.maps, pilot)).method == "gradient"
        await pilot.press("n", "escape")
        screen = await by_image(app, pilot, "k")
        assert screen.results, "it was read then"


async def test_what_is_wrong_with_a_map_is_said_in_its_column(attributed_store: Path) -> None:
    store = open_store(attributed_store)
    async with exploring(store, Graphics.NONE, unit=UNIT) as (app, pilot):
        screen = await by_image(app, pilot, "a")
        names = {name.path: name for name in screen.maps.images}
        for row, said in ((CONSTANT, "no evidence: the map is constant"), (UNMEASURED, "not explained: no output is")):
            screen.show(names[store.image_name(IMAGES[row])])
            await mapped(screen.maps, pilot)
            assert said in "\n".join(lines(screen.maps, ".captions"))


async def test_reasons_are_wrapped_and_settings_beside_maps_where_they_differ(store: Store) -> None:
    for number, part in enumerate(store.parts):
        group = zarr.open_group(part.store.path, mode="r+")["models/Tiny/attribution"]
        methods = group.attrs["methods"]
        methods[1]["settings"] = {"masks": 2000 + 6000 * number}
        group.attrs["methods"] = methods[:3] if number else methods
        group.attrs["left_out"] = {"center": "the reason is a long one that takes several lines of the column"}
        group["gap"][1] = 0.05
        group["scale"].resize((3 if number else 4, 6))
        group["gap"].resize((3 if number else 4, 6))
    again = open_stores([Path(part.store.path) for part in store.parts])
    async with exploring(again, Graphics.NONE, unit=UNIT) as (app, pilot):
        screen = await by_image(app, pilot, "a")
        await pilot.press("a")
        await mapped(screen.maps, pilot)
        said = "\n".join(lines(screen.maps, ".captions"))
        assert "completeness gap 5.00%, masks 2000" in said
        assert "masks 8000" in said
        assert "masks" not in "\n".join(lines(screen.maps, ".method"))
        await pilot.press("a", "a")
        await mapped(screen.maps, pilot)
        _, _, *reason = [line.strip() for line in lines(screen.maps, ".captions") if line.strip()]
        assert len(reason) > 1
        assert " ".join(reason) == "left out: the reason is a long one that takes several lines of the column"


async def test_models_that_do_not_fit(store: Store, small_store: Path) -> None:
    folder = Path(store.parts[0].store.path).parent
    third = Path(shutil.copytree(store.parts[0].store.path, folder / "third.zarr"))
    joined = open_stores([*(Path(part.store.path) for part in store.parts), third, small_store])
    async with exploring(joined, Graphics.SIXEL, (80, 24), "Tiny@third/block2/3") as (app, pilot):
        screen = await by_image(app, pilot, "a")
        for keys, models in (
            ([], ["Tiny", "Tiny@third"]),
            (3 * ["right"], ["Tiny", "Tiny@other"]),
            (3 * ["left"], ["Tiny", "Tiny@third"]),
        ):
            await pilot.press(*keys)
            subject = await mapped(screen.maps, pilot)
            assert [photo.model for photo in subject.photos] == models
            assert "1 more: ← →  no maps of Tiny@small" in lines(screen.maps, ".method")[1]
        await pilot.resize_terminal(110, 30)
        await pilot.pause()
        subject = await mapped(screen.maps, pilot)
        assert [photo.model for photo in subject.photos] == ["Tiny", "Tiny@other", "Tiny@third"]
        assert "more" not in lines(screen.maps, ".method")[1]


async def test_without_colours(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with exploring(store, Graphics.HALFCELL, (80, 24), UNIT) as (app, pilot):
        await pilot.press("enter", "2", "a")
        for _ in range(300):
            await pilot.pause(0.01)
            assert isinstance(app.screen, ImageScreen)
            picture = app.screen.maps.grid.picture
            if picture is not None:
                break
        assert picture is not None
        colours = [style.color.get_truecolor() for row in picture.cells[1] for _, style, _ in row]
        assert all(len(set(colour)) == 1 for colour in colours), "grey"
        assert len(set(colours)) > 5
        assert "white: for the class  black: against it" in lines(app.screen.maps, ".method")[2]


@pytest.mark.parametrize(
    ("size", "graphics"),
    [
        ((80, 24), Graphics.SIXEL),
        ((60, 15), Graphics.KITTY),
        ((100, 30), Graphics.ITERM2),
        ((20, 6), Graphics.NONE),
    ],
)
async def test_every_size(store: Store, size: tuple[int, int], graphics: Graphics) -> None:
    async with exploring(store, graphics, size, UNIT) as (app, pilot):
        await pilot.press("enter", "2", "a")
        await pilot.pause(0.05)
        assert isinstance(app.screen, ImageScreen)
        view = app.screen.maps
        subject = await mapped(view, pilot)
        layout = view.grid.grid_layout()
        assert len(subject.photos) == (2 if size[0] >= 80 else 1)
        if view.grid.draws:
            assert layout is not None
            assert view.grid.content_region.x + layout.columns * layout.cell_columns <= size[0]
            assert layout.size >= min(size[0] * 8 // 4, (size[1] - 9) * 17) - 17
            await pilot.resize_terminal(size[0] - 3, size[1] - 1)
            await pilot.pause()
            await mapped(view, pilot)
