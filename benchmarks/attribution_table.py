"""The tables of attribution methods and their settings in docs/attribution.md, from the registry.

python -m benchmarks.attribution_table [--write docs/attribution.md]
"""

import argparse
from pathlib import Path

from shapebias.core.attribution.choice import Choice
from shapebias.core.attribution.method import REFERENCE_SIDE, Method, Setting
from shapebias.core.attribution.methods import METHODS

START, END = "<!-- made by benchmarks/attribution_table.py -->", "<!-- end of the methods -->"


def method_row(method: Method) -> str:
    """Return a method as a row of Markdown: name, family, formula, forwards and backwards of an image, source."""
    cost = Choice.of(method.name).cost(REFERENCE_SIDE)
    passes = (
        f"{cost.forwards} + {cost.backwards}" if cost.backwards else f"{cost.forwards}" if cost.forwards else "none"
    )
    sign = "signed" if method.signed else "from 0 up"
    return _row(f"`{method.name}`", method.family, method.formula, sign, passes, method.source)


def setting_row(method: Method, setting: Setting) -> str:
    """Return a setting of a method as a row of Markdown: its default, what there is beside it, what it is, source."""
    others = ", ".join(word for word in setting.words if word != setting.default)
    limits = others or f"{setting.low:g} to {setting.high:g}"
    return _row(f"`{method.name}:{setting.name}`", f"{setting.default}", limits, setting.about, setting.source)


def tables() -> list[str]:
    """Return both tables, line by line."""
    settings = [setting_row(method, setting) for method in METHODS.values() for setting in method.settings]
    return [
        _row("method", "family", "map", "sign", "forwards + backwards", "source"),
        "|---|---|---|---|---|---|",
        *map(method_row, METHODS.values()),
        "",
        _row("setting", "default", "else", "what it is", "source of the default"),
        "|---|---|---|---|---|",
        *settings,
    ]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def main() -> None:
    """Print the tables, or write them into a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="the page whose tables are replaced")
    options = parser.parse_args()
    text = "\n".join(tables())
    print(text)
    if options.write is not None:
        page = options.write.read_text("utf-8")
        before, after = page.partition(START)[0], page.partition(END)[2]
        options.write.write_text(f"{before}{START}\n\n{text}\n\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
