"""The main job on the real model, as a user runs it, against plain recomputation."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hyperinterp.checkpoints import export_bundle, save_checkpoint
from hyperinterp.claims import registry
from hyperinterp.claims.spec import Verdict
from hyperinterp.comparison import compare
from hyperinterp.models import load
from hyperinterp.report import Report, json_schema, save
from hyperinterp.sizes import PRESETS
from hyperinterp.text import read_prompts, tokenise

pytestmark = pytest.mark.real
HYPERINTERP = str(Path(sys.executable).with_name("hyperinterp"))
CLAIMS = "C1,C4,C5"
QUICK = PRESETS["quick"]


def run_cli(*arguments, expect=0, **environment):
    found = subprocess.run(
        [HYPERINTERP, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=1200,
        check=False,
    )
    assert found.returncode == expect, found.stderr[-2000:]
    return found


@pytest.fixture(scope="module")
def three_ways(tmp_path_factory, prompts_file, twin):
    """The same pair as an adapter, as two directories, and as two bundles: three reports."""
    root = tmp_path_factory.mktemp("ways")
    base, fitted = load("smollm2", device="cpu"), load(twin, base="smollm2", device="cpu")
    for model, name in ((base, "base"), (fitted, "fitted")):
        save_checkpoint(model.hf, model.tokenizer, root / name, provenance={})
    export_bundle("smollm2", root / "base.pt")
    export_bundle(root / "fitted", root / "fitted.pt")
    ways = {
        "adapter": ("smollm2", twin),
        "directories": (root / "base", root / "fitted"),
        "bundles": (root / "base.pt", root / "fitted.pt"),
    }
    reports = {}
    for name, pair in ways.items():
        out = root / f"report-{name}"
        options = ["--prompts", prompts_file, "--quick", "--claims", CLAIMS, "--device", "cpu"]
        printed = run_cli("compare", *pair, *options, "--out", out).stdout
        assert "report.html" in printed
        reports[name] = (Report.read(out), out)
    return reports


def figures(report):
    """Every number of the report that must not depend on the container."""
    found = {}
    for site in report.expansion.sites:
        for name, pair in site.metrics.items():
            found[site.key, name] = pair.delta.value
    for name, pair in report.diversity.scores.items():
        found["diversity", name] = (pair.base.value, pair.fitted.value)
    found["overrides"] = report.reranking.teacher_forced.override_rate.value
    found["buckets"] = report.reranking.teacher_forced.buckets
    return found


def test_the_container_does_not_matter(three_ways):
    expected = figures(three_ways["adapter"][0])
    for name in ("directories", "bundles"):
        found = figures(three_ways[name][0])
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            if value is None:
                assert found[key] is None
            else:
                assert found[key] == pytest.approx(value, rel=1e-3, abs=1e-3), key
        verdicts = {claim: row.verdict for claim, row in three_ways[name][0].claims.items()}
        assert verdicts == {
            claim: row.verdict for claim, row in three_ways["adapter"][0].claims.items()
        }


def test_the_report_is_whole(three_ways):
    import jsonschema

    report, out = three_ways["bundles"]
    jsonschema.validate(json.loads((out / "report.json").read_text()), json_schema())
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("plotly.js v") <= 2
    assert len(page) < 8_000_000
    assert "NaN" not in (out / "report.json").read_text()
    assert set(report.claims) == {spec.id for spec in registry.CLAIMS}
    for claim in ("C2", "C3", "C6", "C7", "C8", "C9"):
        assert report.claims[claim].verdict is Verdict.NOT_TESTED
        assert "needs" in report.claims[claim].why or "--claims" in report.claims[claim].why
    for claim in ("C1", "C4", "C5"):
        assert report.claims[claim].interval is not None


def hidden_rows(name, prompts_file, pick, **options):
    """Rows at one place in float64, by a plain Hugging Face forward with a hook."""
    model = load(name, device="cpu", **options)
    rows = tokenise(model.tokenizer, read_prompts(prompts_file), QUICK.context_tokens, min_length=4)
    found = []
    module = pick(model.hf)

    def hook(_module, _given, output):
        tensor = output if isinstance(output, torch.Tensor) else output[0]
        found.append(tensor[0, 1:].double().numpy())

    handle = module.register_forward_hook(hook)
    with torch.no_grad():
        for row in rows.rows:
            model.hf(input_ids=torch.tensor([row]))
    handle.remove()
    return np.concatenate(found)


@pytest.mark.parametrize(
    ("key", "pick"),
    [
        ("resid.14", lambda hf: hf.model.layers[14]),
        ("resid.29", lambda hf: hf.model.layers[29]),
        ("final_norm", lambda hf: hf.model.norm),
    ],
)
def test_the_geometry_equals_a_plain_recomputation(three_ways, prompts_file, twin, key, pick):
    report = three_ways["adapter"][0]
    site = next(item for item in report.expansion.sites if item.key == key)
    for role, name, options in (
        ("base", "smollm2", {}),
        ("fitted", twin, {"base": "smollm2"}),
    ):
        rows = hidden_rows(name, prompts_file, pick, **options)
        values = np.linalg.eigvalsh(np.cov(rows, rowvar=False, bias=True))[::-1].clip(0)
        ratio = values.sum() ** 2 / (values**2).sum()
        assert site.n_rows == len(rows)
        assert getattr(site.metrics["pr"], role).value == pytest.approx(ratio, rel=1e-4)
        shares = np.cumsum(values) / values.sum()
        for name_d, fraction in (("d90", 0.9), ("d95", 0.95), ("d99", 0.99)):
            least = int(np.searchsorted(shares, fraction) + 1)
            found = getattr(site.metrics[f"{name_d}@integer"], role).value
            assert found == pytest.approx(
                least, abs=1 if abs(shares[least - 1] - fraction) < 1e-5 else 0
            )


def test_base_ranks_equal_argsort_exactly(smollm2, twin, prompts_file, three_ways):
    report = three_ways["adapter"][0]
    fitted = load(twin, base="smollm2", device="cpu")
    rows = tokenise(
        smollm2.tokenizer, read_prompts(prompts_file), QUICK.context_tokens, min_length=4
    )
    from hyperinterp.capture import chosen_positions

    ranks = []
    for row in rows.rows:
        ids = torch.tensor([row])
        where = chosen_positions(len(row), QUICK.contexts_per_prompt)
        ours, theirs = smollm2.logits(ids)[0, where], fitted.logits(ids)[0, where]
        order = torch.argsort(ours, dim=-1, descending=True, stable=True)
        top = theirs.argmax(-1)
        ranks += ((order == top[:, None]).int().argmax(-1) + 1).tolist()
    edges = [1, 10, 100, 1000, 10**9]
    counts = np.histogram(ranks, [1, 2, 11, 101, 1001, 10**9])[0].tolist()
    found = list(report.reranking.teacher_forced.buckets)
    assert len(edges) == len(found)
    # Batched and single-row forwards round differently; an exact tie may fall either way.
    assert sum(abs(a - b) for a, b in zip(found, counts, strict=True)) <= 4
    rate = sum(rank > 1 for rank in ranks) / len(ranks)
    assert report.reranking.teacher_forced.override_rate.value == pytest.approx(rate, abs=0.01)


@pytest.mark.full
def test_a_model_beside_itself(smollm2, prompts_file, tmp_path):
    report = compare(
        smollm2,
        smollm2,
        prompts=read_prompts(prompts_file),
        preset="quick",
        claims=CLAIMS,
    )
    assert all(claim.verdict is not Verdict.SUPPORTED for claim in report.claims.values())
    for site in report.expansion.sites:
        for name, pair in site.metrics.items():
            assert pair.delta.value in (None, 0.0), (site.key, name)
    for name, pair in report.diversity.scores.items():
        assert pair.delta.value == 0, name
    assert report.reranking.teacher_forced.override_rate.value == 0
    written = save(report, tmp_path / "self")
    assert written["report.html"].stat().st_size > 100_000


def test_json_on_stdout_is_one_document(prompts_file, twin):
    options = ["--prompts", prompts_file, "--quick", "--claims", "C1", "--json", "--device", "cpu"]
    found = run_cli("compare", "smollm2", twin, *options, NO_COLOR="1")
    document = json.loads(found.stdout)
    assert document["claims"]["C1"]["verdict"] in {item.value for item in Verdict}
    assert "\x1b[" not in found.stderr


@pytest.mark.full
def test_the_same_seed_gives_the_same_figures(smollm2, twin, prompts_file):
    fitted = load(twin, base="smollm2", device="cpu")
    found = [
        compare(
            smollm2,
            fitted,
            prompts=read_prompts(prompts_file).head(4),
            claims="C1,C4",
            preset="quick",
            seed=3,
        )
        for _ in range(2)
    ]
    assert found[0].claims == found[1].claims
    assert found[0].diversity == found[1].diversity
    assert found[0].reranking == found[1].reranking
