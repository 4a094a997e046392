"""Every claim on a real model, for late-stage LoRA and for full fine-tuning, beside the paper.

Trains the twins (each with its control, stopped at the least validation loss), compares each with
its base, and writes benchmarks/results/claims.json and the table in README.md. What is there
already in the folder is not trained or compared again. Validation passages are built-in training
passages that the twins never see; the held-out prompts stay untouched until `compare`.

Usage (from the project's root):
    python -m benchmarks.claims [--seeds 0,1] [--passages 32] [--preset default] [--prompts 64]
    python -m benchmarks.claims --model gemma3-270m --reference smollm2
                                (another family, another judge of C10; results/claims-NAME.json)
    python -m benchmarks.claims --methods late-stage --shuffled    (on passages of shuffled words)
    python -m benchmarks.claims --reference gemma3-270m --claims C10,C11 --methods full
                                (another judge of the same twins; results/claims-judged.json)
    python -m benchmarks.claims --card    (the table of the pairs in part f of gpu.json)
"""

import argparse
import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

import hyperinterp as hi
from benchmarks import pages, record
from hyperinterp.report import save
from hyperinterp.sizes import PRESETS
from hyperinterp.studies.shuffling import shuffled_words
from hyperinterp.text import Passages
from hyperinterp.training import Progress

MODEL = "smollm2"
METHODS = ("late-stage", "full")
LEVELS = (3.0, 2.0, 1.0, 0.5, 0.2, 0.1)
ROLES = ("base", "fitted")
ASKED = ("passages", "preset", "prompts")
VALIDATION = 16  # the last built-in training passages
PAPER = {
    "C1": "TTR +.284",
    "C2": "at T* TTR .397",
    "C3": "static TTR .409 to .215",
    "C4": "39.1 % overridden, 12.9 % of them from rank > 10",
    "C5": "PR +80.8 at the last index",
    "C6": "claimed; not tested by patching",
    "C7": ".469 against .508; .591 against .575",
    "C8": "not tested",
    "C9": "not tested",
    "C10": "not tested",
    "C11": "not tested",
    "C12": "claimed; not tested by removal",
    "C13": "k = 5, last blocks only",
}
"""Li et al., arXiv:2605.22579 (1.1B to 1.5B models, 2000 passages); the README says so."""


def validation() -> Passages:
    """Passages for choosing the control: neither trained on nor compared on."""
    whole = hi.builtin_passages("train")
    return replace(whole, items=whole.items[-VALIDATION:])


def told(progress: Progress) -> None:
    """One line per epoch's worth of steps on stderr."""
    if progress.loss is not None and progress.step % 8 == 0:
        print(f"step {progress.step}/{progress.total_steps} {progress.loss:.3f}", file=sys.stderr)


def trained(
    folder: Path, method: str, seed: int, passages: int, *, model: str = MODEL,
    shuffled: bool = False, device: str = "auto", epochs: int = 40,
) -> Path:  # fmt: skip
    """The twin of one method and seed, trained now unless it is there."""
    out = folder / f"{method}-seed{seed}"
    if out.exists():
        return out
    data = hi.builtin_passages("train").head(passages)
    hi.train(
        model,
        shuffled_words(data) if shuffled else data,
        out,
        hi.TrainConfig(
            method=method,
            seed=seed,
            epochs=epochs,
            eval_every=1,
            keep_control=True,
            save_at=LEVELS,
        ),
        heldout=validation(),
        resume=(folder / f"{out.name}.run").exists(),
        on_progress=told,
        device=device,
    )
    return out


def sizes_of(preset: str, prompts: int) -> hi.Sizes:
    """A preset with so many prompts, and texts that are long enough to loop."""
    longer = {"new_tokens": 96, "window": 96, "context_tokens": 128}
    return replace(PRESETS[preset], prompts=prompts, **longer)


def of_twin(
    folder: Path, method: str, seed: int, sizes: hi.Sizes, *, model: str = MODEL,
    claims: str | None = None, reference: str | None = None, device: str = "auto",
) -> hi.Report:  # fmt: skip
    """A twin's comparison with its base, its control and, for the full one, the late-stage one."""
    twin = folder / f"{method}-seed{seed}"
    late = folder / f"late-stage-seed{seed}"
    return hi.compare(
        model,
        twin,
        control=twin / "control",
        late_stage=[late] if method != "late-stage" and late.exists() else (),
        claims=claims,
        reference=reference,
        sizes=sizes,
        seed=seed,
        device=device,
        progress=lambda task, done, total: (
            print(task, done, total, file=sys.stderr) if done == total else None
        ),
    )


def compared(
    folder: Path, method: str, seed: int, preset: str, prompts: int, *, model: str = MODEL,
    claims: str | None = None, reference: str | None = None,
) -> hi.Report:  # fmt: skip
    """The report of one twin, made now unless it is there."""
    judged = "" if reference is None else f"-judged-by-{reference}"
    only = "" if claims is None else f"-{claims}"
    out = folder / f"report-{method}-seed{seed}-{preset}-{prompts}{judged}{only}"
    if not out.exists():
        asked = {"model": model, "claims": claims, "reference": reference}
        save(of_twin(folder, method, seed, sizes_of(preset, prompts), **asked), out)
    return hi.Report.read(out)


def training_facts(twin: Path) -> dict[str, Any]:
    """What the training log says of a twin."""
    found = json.loads((twin / "training.json").read_text(encoding="utf-8"))["result"]
    return {
        name: found[name]
        for name in ("epochs", "steps", "loss", "stop", "trainable", "total", "seconds")
    }


def short(report: hi.Report) -> dict[str, Any]:
    """The claims and diversity of a report, without the per-prompt figures."""
    kept = ("verdict", "effect", "interval", "unit", "n", "threshold", "why")
    found: dict[str, Any] = {}
    if (diversity := report.results.get("diversity")) is not None:
        found["diversity"] = {name: asdict(diversity.scores[name]) for name in ("ttr", "rep_4")}
    if (quality := report.results.get("quality")) is not None:
        names = ("ttr", "fresh", "shocking", "bits_per_byte")
        found["quality"] = [
            {"source": text.source, **{name: getattr(text, name).value for name in names}}
            for text in quality.texts
        ]
    return found | {
        "claims": {
            name: {key: getattr(claim, key) for key in kept}
            for name, claim in report.claims.items()
        },
        "sizes": report.provenance.sizes,
        "wall_seconds": report.provenance.wall_seconds,
    }


def cell(reports: list[dict[str, Any]], claim: str) -> str:
    """Verdict and effect of every seed."""
    parts = []
    for report in reports:
        if (found := report["claims"].get(claim)) is None:
            continue  # measured before the claim was there
        text = found["verdict"]
        if found["effect"] is not None:
            text += f" {found['effect']:.2f}"
        if found["interval"]:
            text += f" [{found['interval'][0]:.2f}, {found['interval'][1]:.2f}]"
        parts.append(text)
    return "<br>".join(parts) or "-"


def before_and_after(reports: list[dict[str, Any]], score: str) -> str:
    """A diversity score of base and fitted model, for every seed."""
    found = [report["diversity"][score] for report in reports if "diversity" in report]
    return "<br>".join(" → ".join(_short(s[role]["value"]) for role in ROLES) for s in found)


def _short(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def readme_table(runs: dict[str, list[dict[str, Any]]]) -> str:
    """Claims as rows, methods as columns, the paper's figures last."""
    methods = [method for method in METHODS if runs.get(method)]
    rows = [
        [words, *(before_and_after(runs[method], score) for method in methods), paper]
        for words, score, paper in (
            ("TTR, base → fitted", "ttr", ".400 → .684"),
            ("rep-4, base → fitted", "rep_4", "-"),
        )
    ]
    rows += [
        [claim, *(cell(runs[method], claim) for method in methods), PAPER[claim]] for claim in PAPER
    ]
    heads = {"late-stage": "late-stage LoRA, k = 5", "full": "full fine-tuning"}
    return pages.table(["", *(heads[method] for method in methods), "Li et al."], rows)


def judged_table(runs: dict[str, list[dict[str, Any]]]) -> str:
    """C10 and C11 of both methods under another judge than the base."""
    methods = [method for method in METHODS if runs.get(method)]
    said = {"late-stage": "late-stage LoRA", "full": "full fine-tuning"}
    head = ["", *(f"{said[it]}, {runs[it][0]['passages']} passages" for it in methods)]
    rows = [[claim, *(cell(runs[it], claim) for it in methods)] for claim in ("C10", "C11")]

    def fresh(run: dict[str, Any]) -> str:
        found = {text["source"]: text["fresh"] for text in run["quality"]}
        return ", ".join(f"{found[name]:.2f}" for name in ("human", "base greedy", "fitted greedy"))

    told = "nats per fresh token: people, base, fitted"
    return pages.table(head, [*rows, [told, *(fresh(runs[it][0]) for it in methods)]])


def earlier(name: str) -> dict[str, list[dict[str, Any]]]:
    """The runs by method that the results hold; those of methods that are not run again stay."""
    if not (record.RESULTS / f"{name}.json").is_file():
        return {}
    found = record.read(name)
    how = {key: found[key] for key in ASKED if key in found}
    return {method: [how | run for run in runs] for method, runs in found["runs"].items()}


def on_card() -> dict[str, list[dict[str, Any]]]:
    """The pairs that part f of `benchmarks.gpu` trained and compared on a card."""
    found = record.read("gpu")["parts"]["f"]["runs"]
    return {method: [run] for method, run in found.items()}


def main() -> None:
    """Train, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0", help="training seeds of the late-stage twins")
    parser.add_argument("--full-seeds", default="0", help="training seeds of full fine-tuning")
    parser.add_argument("--passages", type=int, default=32)
    parser.add_argument("--preset", choices=tuple(PRESETS), default="quick")
    parser.add_argument("--prompts", type=int, default=64, help="instead of the preset's number")
    parser.add_argument("--model", default=MODEL, help="the base, by any name of load")
    parser.add_argument("--reference", help="the judge of C10; the base itself by default")
    parser.add_argument("--claims", help="only these; none of them goes into the README")
    parser.add_argument("--shuffled", action="store_true", help="train on shuffled words")
    parser.add_argument("--folder", type=Path, help="runs/claims or runs/claims-NAME by default")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--train-only", action="store_true")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--card", action="store_true", help="only the table, of gpu.json's pairs")
    given = parser.parse_args()
    if given.card:
        pages.rewrite_block(pages.README, "claims", readme_table(on_card()))
        return
    torch.set_num_threads(given.threads)
    name = "claims" if given.model == MODEL else f"claims-{given.model}"
    shown = not given.shuffled and given.claims is None
    shown = shown and (given.model != MODEL or given.reference is None)
    name += "-shuffled" if given.shuffled else "" if shown else "-judged"
    folder, pair = given.folder or Path("runs") / name, {"model": given.model}
    start = time.perf_counter()
    seeds = {"late-stage": given.seeds, "full": given.full_seeds}
    plan = [(m, int(seed)) for m in given.methods for seed in seeds[m].split(",") if seed]
    for method, seed in plan:
        trained(folder, method, seed, given.passages, **pair, shuffled=given.shuffled)
    if given.train_only:
        return
    runs: dict[str, list[dict[str, Any]]] = {}
    for method, seed in plan:
        asked = given.preset, given.prompts
        judged = {"claims": given.claims, "reference": given.reference}
        report = compared(folder, method, seed, *asked, **pair, **judged)
        found = short(report)
        facts = training_facts(folder / f"{method}-seed{seed}")
        how = {key: getattr(given, key) for key in ASKED}
        runs.setdefault(method, []).append({"seed": seed, **how, "training": facts, **found})
    runs = earlier(name) | runs
    figures = {
        "model": given.model,
        "reference": given.reference or given.model,
        "seconds": round(time.perf_counter() - start),
        "runs": runs,
        "paper": PAPER,
    }
    record.write(name, figures, given.threads)
    if shown:  # in the README; the others have their own file alone
        pages.rewrite_block(pages.README, name, readme_table(runs))
    elif name == "claims-judged":
        pages.rewrite_block(pages.README, name, judged_table(runs))
    print(readme_table(runs))


if __name__ == "__main__":
    main()
