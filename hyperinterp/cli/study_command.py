"""The command `study`: recipes, placements and seeds, compared and judged."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from hyperinterp.cli import options as o


def study(
    model: Annotated[str, typer.Argument(help="The checkpoint to start from.")],
    config: Annotated[
        Path | None, typer.Option(help="YAML file of options; every field of StudyConfig.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="quick (one seed), default (three) or paper.")
    ] = None,
    methods: Annotated[
        str | None, typer.Option(help="lora, full or lora,full: each in every placement.")
    ] = None,
    blocks: Annotated[
        str | None, typer.Option(help="Placements, e.g. last:5,first:5,middle:5,random:5.")
    ] = None,
    whole: Annotated[
        str | None, typer.Option(help="Methods that train all blocks: lora,full; or none.")
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="Training seeds, e.g. 0,1,2.")] = None,
    shuffled: Annotated[
        bool | None,
        typer.Option("--shuffled/--no-shuffled", help="Also train on word-shuffled passages."),
    ] = None,
    data: o.Data = None,
    passages: o.Count = None,
    heldout: Annotated[
        str | None, typer.Option(help="Passages that choose the control; built-in by default.")
    ] = None,
    prompts: Annotated[
        str | None, typer.Option(help="Held-out passages of the comparisons; built-in by default.")
    ] = None,
    column: Annotated[str | None, typer.Option(help="Field that holds the text.")] = None,
    split: Annotated[str | None, typer.Option(help="Split of the texts.")] = None,
    chat: Annotated[str | None, typer.Option(help="auto, on or off, as in train.")] = None,
    claims: Annotated[str | None, typer.Option(help="Only some claims, as in compare.")] = None,
    compare: Annotated[
        str | None, typer.Option(help="Preset of the comparisons: quick, default or full.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Directory for the study.")] = Path("study"),
    cell: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Do the I-th of N shares of the cells, e.g. of an array."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="List the cells, how far they are, and their time and memory."
        ),
    ] = False,
    revision: o.Revision = None,
    subfolder: o.Subfolder = None,
    like: o.Like = None,
    tokenizer: o.Tokenizer = None,
    device: o.Device = "auto",
    report_to: o.ReportTo = "none",
    json: o.Json = False,
) -> None:
    """Train MODEL by several recipes under several seeds, compare every twin, judge the recipes.

    The same command goes on where it stopped. A cell that fails costs that cell (exit code 4).
    """
    o.refuse_launcher("study")
    from hyperinterp.cli.show import show_study
    from hyperinterp.studies.files import study_config

    chosen = study_config(config, preset, {
        "methods": _names(methods), "blocks": _names(blocks), "whole": _names(whole),
        "seeds": None if seeds is None else o.numbers("--seeds", seeds, int),
        "shuffled": shuffled, "data": data, "passages": passages, "heldout": heldout,
        "prompts": prompts, "column": column, "split": split, "chat": chat, "claims": claims,
        "compare": compare,
    })  # fmt: skip
    if dry_run:
        from hyperinterp.cli.show_needs import show_needs
        from hyperinterp.studies.cells import Share
        from hyperinterp.studies.needs import study_needs

        share = None if cell is None else Share.read(cell)
        show_needs(
            study_needs(
                model, chosen, out, share=share, like=like, revision=revision,
                subfolder=subfolder, device=device,
            ),
            as_json=json,
        )  # fmt: skip
        return
    from hyperinterp.cli.progress import Reporter

    with Reporter() as reporter:
        from hyperinterp.studies import study as run
        from hyperinterp.trackers import check_results_tracker

        check_results_tracker(report_to, out)

        found = run(
            model,
            out,
            chosen,
            cell=cell,
            revision=revision,
            subfolder=subfolder,
            like=like,
            device=device,
            tokenizer=tokenizer,
            progress=reporter,
        )
    if json:
        sys.stdout.write(found.to_json())
    else:
        show_study(found)
        typer.echo(f"study: {out / 'study.html'}")
    if not found.left:  # of several commands the last one tells the whole
        from hyperinterp.tracking import track

        track(found, report_to, out=out)
    if found.failed:
        raise typer.Exit(4)


def _names(text: str | None) -> Any:
    """The names of a comma-separated list; none of them for `none`, None where not given."""
    if text is None:
        return None
    return () if text.strip() == "none" else tuple(it.strip() for it in text.split(","))
