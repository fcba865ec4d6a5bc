"""`shapebias verify`."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from shapebias.commands.common import Group, command, count, share_processors
from shapebias.commands.options import DeviceOption, JsonOption, StoreArgument, WorkersOption
from shapebias.core.errors import UsageError
from shapebias.core.remote import local_path

if TYPE_CHECKING:
    from shapebias.core.analysis.verify import VerifyReport


@command(
    group=Group.MAINTENANCE,
    examples=(
        "shapebias verify lite0.zarr",
        "shapebias verify lite0.zarr --sample 20 --images moved/photos",
    ),
)
def verify(
    store: StoreArgument,
    sample: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Compute this many units of each model again with the networks, and compare."
        ),
    ] = 0,
    images: Annotated[
        str | None, typer.Option(metavar="IMAGES", help="With --sample: where the images are now, if they have moved.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="SPEC",
            help=r"With --sample: LABEL=SOURCE\[@CHECKPOINT] of a network that has moved. Repeatable.",
        ),
    ] = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Check a store: that its files are whole, its numbers make sense, and the networks still give them."""
    from shapebias.core.analysis.verify import verify_store

    if not sample and (images is not None or model):
        raise UsageError("--images and --model are for --sample N, which computes units again")
    path = local_path(store, "verified")
    report = verify_store(path)
    if sample:
        share_processors()
        from shapebias.precompute.progress import console_progress
        from shapebias.precompute.verify_units import verify_units

        with console_progress() as progress:
            verify_units(
                path,
                sample,
                report,
                progress,
                images=images,
                models=model or [],
                device=device,
                workers=count("--workers", workers, 0),
            )
    print(json.dumps(_record(report), indent=1) if as_json else _text(report))
    if report.wrong:
        raise typer.Exit(1)


def _record(report: "VerifyReport") -> dict[str, object]:
    wrong = [{"path": path, "what": problem} for path, problem in report.wrong]
    facts = {"files": report.files, "bytes": report.bytes, "arrays": report.arrays, "units": report.units}
    return {"right": not report.wrong, "wrong": wrong, "notes": report.notes, **facts}


def _text(report: "VerifyReport") -> str:
    lines = [f"{path}: {problem}" for path, problem in report.wrong]
    lines += [f"note: {note}" for note in report.notes]
    size = f"{report.files:,} files, {report.arrays:,} arrays, {report.bytes / 1e6:.1f} MB"
    if report.units:
        size += f", {report.units:,} units computed again"
    lines.append(f"{size}: {len(report.wrong):,} wrong" if report.wrong else f"{size}: all right")
    return "\n".join(lines)
