"""hyperinterp: measure, control and causally test what hyperfitting does to a language model.

`load` a model, `compare` two of them, `train` a hyperfitted twin. Names are imported on first
use, so that `import hyperinterp` is fast; the measures themselves live in the package `probes`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyperinterp.activations import ActivationCache as ActivationCache
    from hyperinterp.activations import as_cache as as_cache
    from hyperinterp.activations import cache as cache
    from hyperinterp.activations import read_cache as read_cache
    from hyperinterp.checkpoints import export_bundle as export_bundle
    from hyperinterp.checkpoints import inspect_checkpoint as inspect_checkpoint
    from hyperinterp.claims.registry import geometry as geometry
    from hyperinterp.comparison import compare as compare
    from hyperinterp.config import CompareConfig as CompareConfig
    from hyperinterp.config import TraceConfig as TraceConfig
    from hyperinterp.frequencies import Frequencies as Frequencies
    from hyperinterp.frequencies import read_frequencies as read_frequencies
    from hyperinterp.generation import continue_text as continue_text
    from hyperinterp.models import HookedModel as HookedModel
    from hyperinterp.models import load as load
    from hyperinterp.models import patched as patched
    from hyperinterp.planning import Plan as Plan
    from hyperinterp.planning import plan as plan
    from hyperinterp.publishing import push_to_hub as push_to_hub
    from hyperinterp.report.judging import judge_read as judge_read
    from hyperinterp.report.judging import judge_sheet as judge_sheet
    from hyperinterp.report.many import reports as reports
    from hyperinterp.report.schema import Report as Report
    from hyperinterp.sites import Site as Site
    from hyperinterp.sizes import Sizes as Sizes
    from hyperinterp.studies import StudyConfig as StudyConfig
    from hyperinterp.studies import StudyReport as StudyReport
    from hyperinterp.studies import study as study
    from hyperinterp.text import Corpus as Corpus
    from hyperinterp.text import as_passages as as_passages
    from hyperinterp.text import builtin_passages as builtin_passages
    from hyperinterp.text import read_passages as read_passages
    from hyperinterp.text import read_prompts as read_prompts
    from hyperinterp.tracing import trace as trace
    from hyperinterp.tracking import track as track
    from hyperinterp.training import TrainConfig as TrainConfig
    from hyperinterp.training import sweep as sweep
    from hyperinterp.training import train as train

__version__ = "0.1.0"

_WHERE = {
    "ActivationCache": "hyperinterp.activations",
    "CompareConfig": "hyperinterp.config",
    "Corpus": "hyperinterp.text",
    "Frequencies": "hyperinterp.frequencies",
    "HookedModel": "hyperinterp.models",
    "Plan": "hyperinterp.planning",
    "Report": "hyperinterp.report.schema",
    "Site": "hyperinterp.sites",
    "Sizes": "hyperinterp.sizes",
    "StudyConfig": "hyperinterp.studies",
    "StudyReport": "hyperinterp.studies",
    "TraceConfig": "hyperinterp.config",
    "TrainConfig": "hyperinterp.training",
    "as_cache": "hyperinterp.activations",
    "as_passages": "hyperinterp.text",
    "builtin_passages": "hyperinterp.text",
    "cache": "hyperinterp.activations",
    "compare": "hyperinterp.comparison",
    "continue_text": "hyperinterp.generation",
    "export_bundle": "hyperinterp.checkpoints",
    "geometry": "hyperinterp.claims.registry",
    "inspect_checkpoint": "hyperinterp.checkpoints",
    "judge_read": "hyperinterp.report.judging",
    "judge_sheet": "hyperinterp.report.judging",
    "load": "hyperinterp.models",
    "patched": "hyperinterp.models",
    "push_to_hub": "hyperinterp.publishing",
    "read_cache": "hyperinterp.activations",
    "plan": "hyperinterp.planning",
    "read_frequencies": "hyperinterp.frequencies",
    "read_passages": "hyperinterp.text",
    "read_prompts": "hyperinterp.text",
    "reports": "hyperinterp.report.many",
    "study": "hyperinterp.studies",
    "sweep": "hyperinterp.training",
    "trace": "hyperinterp.tracing",
    "track": "hyperinterp.tracking",
    "train": "hyperinterp.training",
}

__all__ = [*sorted(_WHERE), "__version__"]  # pyright: ignore


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'hyperinterp' has no attribute {name!r}")
    value = getattr(import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE})
