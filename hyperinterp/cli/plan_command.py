"""The command `plan`: the needs of a comparison."""

from typing import Annotated, Any

import typer

from hyperinterp.claims import registry
from hyperinterp.cli.configured import ConfigFile, given_options, with_options
from hyperinterp.cli.options import Json, refuse_launcher
from hyperinterp.cli.roles import with_roles
from hyperinterp.config import CompareConfig
from hyperinterp.looks.registry import listed_looks


@with_roles(registry.roles())
@with_options(
    CompareConfig,
    claims="Only some, by id or name, with commas between; see compare.",
    also=f"Without a verdict, beside the claims: {listed_looks()}.",
)
def plan(
    context: Any,
    base: Annotated[str, typer.Argument(help="The checkpoint before; its config is enough.")],
    fitted: Annotated[str, typer.Argument(help="The checkpoint after, or an adapter.")],
    config: ConfigFile = None,
    quick: Annotated[bool, typer.Option("--quick", help="Same as --preset quick.")] = False,
    json: Json = False,
    **given: Any,
) -> None:
    """Say what `compare` with the same options would need; nothing is compared.

    It says memory by phase, passes, texts, eigen-decompositions and about how many seconds; exit
    code 3 where it does not fit.
    """
    refuse_launcher("plan")
    from hyperinterp.cli.show import show_plan
    from hyperinterp.planning import plan as run
    from hyperinterp.planning import refuse_if_too_large
    from hyperinterp.roles import compare_config, compare_specs

    options = given_options(context, compare_specs(registry.roles()), given)
    if quick:
        options["preset"] = "quick"
    found = run(base, fitted, config=compare_config(registry.roles(), config, options))
    show_plan(found, as_json=json)
    refuse_if_too_large(found)
