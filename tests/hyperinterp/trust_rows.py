"""The rows of the trust table on figures, pairs and texts, as functions that return counts."""

import dataclasses
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from hyperinterp.capture import Contexts, paired_logits, run_pair
from hyperinterp.comparison import compare
from hyperinterp.errors import HyperinterpError, NumericalFault
from hyperinterp.models import HookedModel
from hyperinterp.pairs import check_pair
from hyperinterp.report.schema import Report
from hyperinterp.sites import Site, SiteKind, component_sites, stream_sites
from hyperinterp.sizes import PRESETS
from hyperinterp.text import Passage, Passages, TokenRows, read_passages, tokenise
from hyperinterp.vocabulary import shared_tokens
from probes import kl_divergence, token_ranks
from tests.hyperinterp.conftest import make_tiny
from tests.hyperinterp.training import factory

ROWS = 50  # 12 or 13 of each length: batches of 1, 7 and 32 all differ, none divides
BATCHES = (1, 7, 32)


def nan_site_rows(*, trials: int, seed: int) -> list[dict[str, Any]]:
    """Put NaN or infinity into the output of a random part of a random model while it runs."""
    draw, rows = random.Random(seed), []
    for _ in range(trials):
        family = draw.choice(["llama", "gpt2", "gemma2", "mixtral"])
        models = {"base": make_tiny(family, 0), "fitted": make_tiny(family, 1)}
        role = draw.choice(sorted(models))
        models[role].name = "the broken one"
        block, value = draw.randrange(3), draw.choice([float("nan"), float("inf")])
        place = draw.choice(["attn", "mlp", "block"])
        path = {"attn": SiteKind.ATTN, "mlp": SiteKind.MLP, "block": SiteKind.RESID}[place]

        def spoil(_module: Any, _given: Any, output: Any, value: float = value) -> None:
            tensor = output if isinstance(output, torch.Tensor) else output[0]
            tensor.view(-1)[-1] = value

        target = models[role].blocks[block]
        part = target if place == "block" else _part(models[role], target, place)
        handle = part.register_forward_hook(spoil)
        try:
            run_pair(models["base"], models["fitted"], some_rows(seed), sites=_all_sites(3))
            line, stopped = "ran to the end", False
        except NumericalFault as error:
            line, stopped = str(error), True
        finally:
            handle.remove()
        rows.append(
            {
                "family": family,
                "place": f"{place} of block {block}",
                "kind": path.value,
                "stopped": stopped,
                "names_the_model": "the broken one" in line,
                "names_the_site": f"at {Site(path, block).label}" in line,
                "line": line,
            }
        )
    return rows


def _part(model: HookedModel, block: Any, place: str) -> Any:
    wanted = {"attn": ("self_attn", "attn", "attention"), "mlp": ("mlp", "block_sparse_moe")}[place]
    return next(getattr(block, name) for name in wanted if hasattr(block, name))


def _all_sites(layers: int) -> tuple[Any, ...]:
    """Every site of a tiny model; of a deep one the stream after every tenth block."""
    if layers > 8:
        return (*stream_sites(layers)[:-1:10], stream_sites(layers)[-1])
    return (*stream_sites(layers), *component_sites(layers))


def some_rows(seed: int = 5, count: int = ROWS, vocabulary: int = 97) -> TokenRows:
    """Token rows of four different lengths."""
    generator = torch.Generator().manual_seed(seed)
    rows = tuple(
        tuple(torch.randint(3, vocabulary, (8 + index % 4,), generator=generator).tolist())
        for index in range(count)
    )
    return TokenRows(rows, tuple(range(count)), 12, 0)


@dataclasses.dataclass(frozen=True)
class Figures:
    """What one batch size gave: participation ratios by site, KL and ranks by context."""

    ratios: torch.Tensor
    kl: torch.Tensor
    ranks: torch.Tensor
    best: torch.Tensor


def figures(base: HookedModel, fitted: HookedModel, rows: TokenRows, batch: int) -> Figures:
    """Geometry, KL and token ranks of a pair at one batch size."""
    run = run_pair(base, fitted, rows, sites=_all_sites(base.n_layers), batch_size=batch)
    ratios = [
        float(accumulators.moments[role].spectrum().participation_ratio)
        for accumulators in run.sites.values()
        for role in ("base", "fitted")
    ]
    return _of_contexts(base, fitted, run.contexts, torch.tensor(ratios, dtype=torch.float64))


def _of_contexts(
    base: HookedModel, fitted: HookedModel, contexts: Contexts, ratios: torch.Tensor
) -> Figures:
    kl, ranks, best = [], [], []
    for where, ours, theirs in paired_logits(base, fitted, contexts):
        kl.append(kl_divergence(theirs, ours))
        ranks.append(token_ranks(ours, contexts.target[where].to(ours.device)))
        best.append(theirs.argmax(-1))
    return Figures(ratios, torch.cat(kl).double(), torch.cat(ranks), torch.cat(best))


def agreement_row(
    base: HookedModel, fitted: HookedModel, rows: TokenRows, batches: tuple[int, ...] = BATCHES
) -> dict[str, Any]:
    """Largest differences of figures between batch sizes, against the first of them."""
    found = [figures(base, fitted, rows, batch) for batch in batches]
    first, others = found[0], found[1:]
    return {
        "contexts": len(first.kl),
        "participation_ratio_relative": max(
            float(((other.ratios - first.ratios).abs() / first.ratios).max()) for other in others
        ),
        "mean_kl": float(first.kl.mean()),
        "kl_absolute": max(float((other.kl - first.kl).abs().max()) for other in others),
        "mean_kl_relative": max(
            float((other.kl.mean() - first.kl.mean()).abs() / first.kl.mean().clamp_min(1e-12))
            for other in others
        ),
        "ranks_that_differ": max(int((other.ranks != first.ranks).sum()) for other in others),
        "choices_that_differ": max(int((other.best != first.best).sum()) for other in others),
    }


def tiny_agreement_rows(dtypes: tuple[str, ...] = ("float32", "bfloat16")) -> list[dict[str, Any]]:
    """Batch 1, 7 and 32 on tiny pairs of three families."""
    rows = []
    for dtype in dtypes:
        for family in ("llama", "gpt2", "gemma2"):
            base, fitted = (make_tiny(family, seed) for seed in (0, 1))
            for model in (base, fitted):
                model.hf.to(getattr(torch, dtype))
            found = agreement_row(base, fitted, some_rows())
            rows.append({"model": f"tiny {family}", "dtype": dtype, **found})
    return rows


def mismatch_rows() -> list[dict[str, Any]]:
    """Pairs that cannot be compared, with the word that the refusal must hold."""
    tokenizer = factory.byte_tokenizer
    llama = factory.tiny("llama")
    cases: dict[str, tuple[HookedModel, HookedModel, str]] = {
        "family": (llama, factory.tiny("gpt2"), "family"),
        "blocks": (llama, _resized(num_hidden_layers=2), "blocks"),
        "width": (llama, _resized(hidden_size=64), "width"),
        "shapes": (llama, _resized(intermediate_size=96), "tensors"),
        "tokenizer": (llama, HookedModel(llama.hf, _renamed(tokenizer())), "vocabulary"),
    }
    rows = []
    for name, (base, other, word) in cases.items():
        check = shared_tokens if name == "tokenizer" else check_pair
        rows.append({"name": name, **refusal(lambda c=check, b=base, o=other: c(b, o), word)})
    return rows


def _resized(**changes: int) -> HookedModel:
    from transformers import AutoModelForCausalLM

    config = factory.CONFIGS["llama"]()
    for name, value in changes.items():
        setattr(config, name, value)
    return HookedModel(AutoModelForCausalLM.from_config(config), factory.byte_tokenizer())


def _renamed(tokenizer: Any) -> Any:
    from transformers import PreTrainedTokenizerFast

    text = tokenizer.backend_tokenizer.to_str()
    state = json.loads(text)
    vocabulary = state["model"]["vocab"]
    vocabulary["!"], vocabulary['"'] = vocabulary['"'], vocabulary["!"]
    from tokenizers import Tokenizer

    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)), bos_token="<s>", eos_token="</s>"
    )


def refusal(action: Callable[[], Any], word: str) -> dict[str, Any]:
    """Whether an action is refused with exit code 2 and one line that holds a word."""
    try:
        action()
    except HyperinterpError as error:
        line = str(error)
        return {
            "refused": error.exit_code == 2 and "\n" not in line,
            "says_which": word in line,
            "line": line,
        }
    except Exception as error:
        return {"refused": False, "says_which": False, "line": repr(error)}
    return {"refused": False, "says_which": False, "line": "accepted"}


BAD_TEXTS: dict[str, tuple[str, bytes, str]] = {
    "empty file": ("a.jsonl", b"", "found none"),
    "no letters": ("a.txt", b"\n\n - \n", "without any letter"),
    "not UTF-8": ("a.jsonl", b'{"text": "\xff\xfe"}\n', "UTF-8"),
    "UTF-16 without its mark": ("a.txt", "text".encode("utf-16-le"), "UTF-8"),
    "no JSON": ("a.jsonl", b'{"text": "x"\n', "expected JSON"),
    "deep JSON": ("a.json", b"[" * 100_000 + b"]" * 100_000, "JSON"),
    "number too long": ("a.jsonl", b'{"text": ' + b"9" * 5000 + b"}", "JSON"),
    "other field": ("a.jsonl", b'{"txt": "x"}\n', "row 1"),
    "number for text": ("a.jsonl", b'{"text": 3}\n', "row 1"),
    "no list": ("a.json", b"{}", "found the fields none"),
    "huge": ("a.jsonl", b'"' + b"x" * 10_000_001 + b'"', "at most 10000000"),
    "CSV field too long": ("a.csv", b"text\n" + b"x" * 10_000_001 + b"\n", "at most"),
    "CSV without column": ("a.csv", b"id\n1\n", "row 1"),
    "broken parquet": ("a.parquet", b"PAR1xxxxPAR1", "parquet"),
    "other suffix": ("a.pdf", b"x", "expected one of"),
}


def text_rows(folder: Path) -> list[dict[str, Any]]:
    """Texts that are refused."""
    rows = []
    for number, (name, (file, content, word)) in enumerate(BAD_TEXTS.items()):
        path = folder / str(number) / file
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        rows.append({"name": name, **refusal(lambda path=path: read_passages(path), word)})
    short = Passages((Passage("a", "x"), Passage("b", "y")), "here")
    tokenizer = factory.byte_tokenizer()
    rows.append(
        {"name": "too short", **refusal(lambda: tokenise(tokenizer, short, 9), "at least 2 tokens")}
    )
    rows.append({"name": "no file", **refusal(lambda: read_passages(folder / "x.txt"), "found no")})
    return rows


SMALL = dataclasses.replace(
    PRESETS["quick"], prompts=10, prompt_tokens=6, new_tokens=12, window=12, context_tokens=16,
    contexts_per_prompt=4, order_contexts=16, lens_contexts=8, control_prompts=3, bias_steps=3,
    patch_prompts=3, null_draws=1, stitched=1, variants=(),
)  # fmt: skip


def small_report(seed: int = 0, claims: str = "C1,C4,C5,C8") -> Report:
    """A comparison of a tiny pair whose held-out text overlaps with its training text."""
    passages = factory.letters(10, 3, 20, 40)
    return compare(
        factory.tiny("llama", 0), factory.tiny("llama", 1), prompts=passages, sizes=SMALL,
        train_data=passages.head(4), seed=seed, claims=claims,
    )  # fmt: skip


def stated_rules_row(folder: Path) -> dict[str, Any]:
    """Duplicates and empty texts are skipped and counted; overlap is warned of in the report."""
    lines = [*["one two three four"] * 3, "", "...", "five six seven"]
    (folder / "a.jsonl").write_text("\n".join(json.dumps({"text": t}) for t in lines))
    found = read_passages(folder / "a.jsonl")
    warnings = small_report().provenance.warnings
    return {
        "duplicates_counted": found.duplicates == 2,
        "empty_counted": found.empty == 2,
        "kept": len(found) == 2,
        "overlap_warned_of": any("share 8 tokens" in text for text in warnings),
    }


def without_times(report: Report) -> dict[str, Any]:
    """A report as data, without when and how fast it was made."""
    found = json.loads(report.to_json())
    for name in ("created", "wall_seconds"):
        found["provenance"].pop(name)
    return found


def same_report_row() -> dict[str, Any]:
    """The same comparison twice, whatever the global generators did in between."""
    first = without_times(small_report())
    torch.manual_seed(99)
    torch.rand(7)
    second = without_times(small_report())
    other = without_times(small_report(seed=1))
    numbers = json.dumps(first).count(".")
    return {
        "same": first == second,
        "figures": numbers,
        "seed_1_differs": other != first,
    }
