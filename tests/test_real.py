"""The main job on the real model, as a user runs it, against plain recomputation."""

import json
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
from hyperinterp.sizes import Sizes
from hyperinterp.text import builtin_passages, read_prompts, tokenise
from hyperinterp.training import TrainConfig, train

pytestmark = pytest.mark.real
HYPERINTERP = str(Path(sys.executable).with_name("hyperinterp"))
CLAIMS = "C1,C4,C5"
FEWER = {
    "new_tokens": 16, "window": 16, "context_tokens": 32, "contexts_per_prompt": 6,
    "order_contexts": 16, "lens_contexts": 8, "control_prompts": 2, "patch_prompts": 2,
}  # fmt: skip
SIZES = Sizes(
    **FEWER, components=False, variants=(), seeds=1, sweep=(), alphas=(1.0,), bias_steps=4,
    null_draws=1, null_blocks=1, stitched=1, choices=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Trained for four short steps: a smaller change than `twin`, in a fraction of the time."""
    out = tmp_path_factory.mktemp("fitted") / "adapter"
    config = TrainConfig(max_steps=4, batch_size=2, seq_len=32, rank=8, resume_every=600.0)
    train("smollm2", builtin_passages("train").head(8), out, config, device="cpu")
    return load(out, base="smollm2", device="cpu")


@pytest.fixture(scope="module")
def in_memory(smollm2, fitted, prompts_file):
    """The report of the pair with an adapter put on its base."""
    prompts = read_prompts(prompts_file)
    return compare(smollm2, fitted, prompts=prompts, claims=CLAIMS, sizes=SIZES)


@pytest.fixture(scope="module")
def by_command(tmp_path_factory, smollm2, fitted, prompts_file):
    """What the command writes and prints of the same pair, as a directory and as a bundle."""
    root = tmp_path_factory.mktemp("ways")
    for model, name in ((smollm2, "base"), (fitted, "fitted")):
        save_checkpoint(model.hf, model.tokenizer, root / name, provenance={})
    export_bundle(root / "fitted", root / "fitted.pt")
    options, out = root / "options.yaml", root / "report"
    options.write_text(json.dumps({"sizes": vars(SIZES)}))
    printed = subprocess.run(
        [HYPERINTERP, "compare", root / "base", root / "fitted.pt", "--prompts", prompts_file,
         "--claims", CLAIMS, "--device", "cpu", "--config", options, "--json", "--out", out],
        capture_output=True, text=True, timeout=1200, check=False,
    )  # fmt: skip
    assert printed.returncode == 0, printed.stderr[-2000:]
    return printed, out


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


def test_the_container_does_not_matter(in_memory, by_command):
    other = Report.read(by_command[1])
    expected, found = figures(in_memory), figures(other)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        if value is None:
            assert found[key] is None
        else:
            assert found[key] == pytest.approx(value, rel=1e-3, abs=1e-3), key
    verdicts = [{c: row.verdict for c, row in r.claims.items()} for r in (in_memory, other)]
    assert verdicts[0] == verdicts[1]


def test_the_report_is_whole(by_command):
    import jsonschema

    printed, out = by_command
    report = Report.read(out)
    assert json.loads(printed.stdout) == json.loads((out / "report.json").read_text())
    assert "\x1b[" not in printed.stderr
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


SITES = {
    "resid.14": lambda hf: hf.model.layers[14],
    "resid.29": lambda hf: hf.model.layers[29],
    "final_norm": lambda hf: hf.model.norm,
}


def hidden_rows(model, prompts_file):
    """Rows at each of SITES in float64, by plain Hugging Face forwards with hooks."""
    rows = tokenise(model.tokenizer, read_prompts(prompts_file), SIZES.context_tokens, min_length=4)
    found = {key: [] for key in SITES}

    def kept(key):
        def hook(_module, _given, output):
            tensor = output if isinstance(output, torch.Tensor) else output[0]
            found[key].append(tensor[0, 1:].double().numpy())

        return hook

    handles = [pick(model.hf).register_forward_hook(kept(key)) for key, pick in SITES.items()]
    with torch.no_grad():
        for row in rows.rows:
            model.hf(input_ids=torch.tensor([row]))
    for handle in handles:
        handle.remove()
    return {key: np.concatenate(chunks) for key, chunks in found.items()}


@pytest.fixture(scope="module")
def plain(smollm2, fitted, prompts_file):
    return {
        role: hidden_rows(model, prompts_file)
        for role, model in (("base", smollm2), ("fitted", fitted))
    }


@pytest.mark.parametrize("key", list(SITES))
def test_the_geometry_equals_a_plain_recomputation(in_memory, plain, key):
    site = next(item for item in in_memory.expansion.sites if item.key == key)
    for role in ("base", "fitted"):
        rows = plain[role][key]
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


def test_base_ranks_equal_argsort_exactly(smollm2, fitted, prompts_file, in_memory):
    report = in_memory
    rows = tokenise(
        smollm2.tokenizer, read_prompts(prompts_file), SIZES.context_tokens, min_length=4
    )
    from hyperinterp.capture import chosen_positions

    ranks = []
    for row in rows.rows:
        ids = torch.tensor([row])
        where = chosen_positions(len(row), SIZES.contexts_per_prompt)
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
