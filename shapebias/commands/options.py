"""Arguments and options that several commands take, each written once."""

from pathlib import Path
from typing import Annotated

import typer

LABELS_HELP = "A file with the images' classes: lines PATH CLASS, or a CSV table with the columns path and label."
CATEGORIES_HELP = (
    r"A JSON file, {category: \[class, ...]}, that says which classes belong to which of the sixteen categories; "
    "needed for networks whose classes are not ImageNet's."
)
WORKERS_HELP = "The number of processes that decode images; 0 decodes them in this one."

StoreArgument = Annotated[
    str, typer.Argument(help="The store: a folder made by `shapebias precompute`, or its URL (s3://…).")
]
UnitArgument = Annotated[str, typer.Argument(metavar="UNIT", help="The unit's name: MODEL/LAYER/INDEX.")]
OnlyModelOption = Annotated[str | None, typer.Option("--model", metavar="LABEL", help="Use only this model.")]
OnlyLayerOption = Annotated[str | None, typer.Option("--layer", metavar="LAYER", help="Use only this layer.")]
LabelsOption = Annotated[Path | None, typer.Option(metavar="FILE", help=LABELS_HELP)]
CategoriesOption = Annotated[Path | None, typer.Option(metavar="FILE", help=CATEGORIES_HELP)]
DeviceOption = Annotated[
    str, typer.Option(metavar="auto|cpu|cuda|cuda:N", help="The device that networks run on; auto is a GPU if any.")
]
WorkersOption = Annotated[str, typer.Option(metavar="auto|N", help=WORKERS_HELP)]
GraphicsOption = Annotated[
    str,
    typer.Option(
        metavar="auto|sixel|kitty|iterm2|halfcell|none",
        help="How pictures are sent to the terminal; auto asks the terminal what it can show.",
    ),
]
AllRightOption = Annotated[
    bool,
    typer.Option("--all-right", help="Take accuracies only over images that all models get right when clean."),
]
DecisionsOption = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="CSV|DIR",
        help="Recorded decisions of people or networks, in the CSV format of model-vs-human. Repeatable.",
    ),
]
ExportOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Write the models' decisions into a folder, in the format of model-vs-human."),
]
OutputOption = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write to a file instead of the terminal.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
