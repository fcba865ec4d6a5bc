"""Figures as SVG inside the page: with its fonts, its colours in light and dark mode, and without scripts."""

import io
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from typing import TYPE_CHECKING

from shapebias.core.figures.output import MODELS, PEOPLE, drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SVG, LINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_MOST_POINTS = 3000  # largest number of points of a series that is not drawn as pixels
MODEL_INKS = ("blue", "orange", "green", "sky", "ink", "pink")  # the style sheet's names for the colours of `MODELS`
_INKS = {  # colours of figures, and the page's names for them
    **{colour: f"var(--{name})" for (colour, _), name in zip(MODELS, MODEL_INKS, strict=True)},
    PEOPLE[0]: "var(--people)",
    "#ffffff": "var(--paper)",
    **dict.fromkeys(("#e5e5e5", "#d9d9d9", "#cccccc", "#bbbbbb"), "var(--rule)"),
    **dict.fromkeys(("#999999", "#888888", "#8a8a8a", "#6a6a6a", "#555555"), "var(--muted)"),
}
_REFERENCE = re.compile(r"url\(#([^)]*)\)")
_SIZE = re.compile(r"[\d.]+px")


def svg_of(draw: "Callable[[], Figure]", key: str, description: str) -> str:
    """Return the figure that `draw` returns as an SVG element, for a page whose style names the colours of `_INKS`.

    Names in it begin with `key`, as several figures share a page. Text stays text, in the page's font. `description` is
    for readers who cannot see the figure.
    """
    with drawing(key, "none"):
        figure = draw()
        for axes in figure.axes:
            for line in axes.lines:
                line.set_rasterized(len(line.get_xdata()) > _MOST_POINTS)  # type: ignore[arg-type]  # arrays, by its stubs also others
        written = io.BytesIO()
        figure.savefig(written, format="svg", transparent=True, dpi=200, metadata={"Date": None})
    root = ElementTree.fromstring(written.getvalue().decode("utf-8"))
    width, height = (float(root.attrib.pop(name).removesuffix("pt")) for name in ("width", "height"))
    root.attrib |= {
        "role": "img",
        "aria-label": description,
        "style": f"--width: {width:.0f}px; --height: {height:.0f}px",
        "preserveAspectRatio": "xMinYMid",
    }
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style")]:
            parent.remove(child)
        _adapt(parent, key)
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", LINK)
    return ElementTree.tostring(root, "unicode")


def _adapt(element: ElementTree.Element, key: str) -> None:
    """Set an element's colours and font to the page's, and make its names unique."""
    for name, value in list(element.attrib.items()):
        if name == "id":
            element.set(name, f"{key}-{value}")
        elif name == f"{{{LINK}}}href" and value.startswith("#"):
            element.set(name, f"#{key}-{value[1:]}")
        elif name == "clip-path":
            element.set(name, _REFERENCE.sub(rf"url(#{key}-\1)", value))
        elif name == "style" and not value.startswith("--"):
            element.set(name, _style(value, key))


def _style(text: str, key: str) -> str:
    declarations = []
    for declaration in text.split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name == "font":  # early versions of matplotlib write size and family in one property
            name, value = "font-size", "".join(_SIZE.findall(value)[:1])
        if name and name != "font-family":
            value = _REFERENCE.sub(rf"url(#{key}-\1)", value)
            declarations.append(f"{name}: {_INKS.get(value, value)}")
    return "; ".join(declarations)
