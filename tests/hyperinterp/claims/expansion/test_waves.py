"""The geometry under different budgets of memory: the same figures, in more or fewer passes."""

import hashlib
import json
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from hyperinterp.claims.registry import CLAIMS
from hyperinterp.claims.running import run
from hyperinterp.runs.room import contexts_bytes, half_bytes, reading_bytes, weight_bytes
from hyperinterp.runs.shape import Shape
from hyperinterp.runs.waves import Workload, waves
from hyperinterp.sites import component_sites, stream_sites

SITES = (*stream_sites(3), *component_sites(3))
VARIANTS = ("standardised", "unit_norm", "visible")
SAME = 4
"""Attention and MLP of the two blocks that are the same; the stream is read for decisions, too."""
ASKED = [spec for spec in CLAIMS if spec.id in ("C4", "C5", "C7", "C12")]


@pytest.fixture
def study(tiny_pair, make_tiny, make_study, words):
    """A function (fewest tokens of a passage, room) -> a study of all that reads in groups."""

    def of(tokens, room=1 << 40):
        made = make_study(
            tiny_pair, passages=words(12, least=tokens, most=tokens + 3), components=True,
            prompts=12, variants=VARIANTS, stitched=0, patch_prompts=2, null_draws=1,
            contexts_per_prompt=4,
            wanted=("moments", "followed", "half"),
        )  # fmt: skip
        made.roles["late-stage 0"] = make_tiny(4)
        shapes = [Shape.of(model.hf) for model in (made.base, made.fitted)]
        beside = reading_bytes(shapes[0], made.sizes, made.run.batch_size)
        beside += contexts_bytes(shapes, made.sizes, 12) + half_bytes(made.base.d_model, 3)
        memory = weight_bytes(made.models.values()) + beside + room
        made.run = replace(made.run, memory=memory)
        return made

    return of


@pytest.mark.parametrize(
    ("kept", "tokens"), [(True, 6), pytest.param(False, 21, marks=pytest.mark.full)]
)
def test_figures_are_the_same_to_the_bit_for_any_budget(study, kept, tokens):
    hashes, passes = set(), []
    for share in (1.0, 0.6, 0.0):
        room = int(share * study(tokens).shared.waves.peak)
        made = study(tokens, room)
        divided = made.shared.waves
        found = run(made, CLAIMS, ASKED)
        results = {name: asdict(result) for name, result in found.results.items()}
        assert len(results) == len(ASKED)
        text = json.dumps(results, sort_keys=True, default=str)
        hashes.add(hashlib.sha256(text.encode()).hexdigest())
        assert divided.kept is (kept and room > 0)
        assert divided.peak <= room or len(divided.groups) == len(SITES)
        passes.append(len(divided.groups))
        read = made.run.log.forwards
        # Beside its passes: the decisions, and the geometry of the other twin, each once.
        assert read["base over the passages"] == divided.passes + 2
        # For intervals at sites where all rows are the base's, the fitted model is not read.
        spared = divided.passes + 1 - read["fitted over the passages"]
        assert spared == (0 if len(divided.groups) < len(SITES) else SAME)
    assert passes[0] == 1 < passes[1] < passes[2] == len(SITES)
    assert len(hashes) == 1


def test_groups_hold_every_site_once_and_fit():
    work = Workload(width=64, itemsize=8, tokens=10**6, prompts=40, variants=VARIANTS)
    whole = waves(SITES, work, None)
    assert (whole.groups, whole.kept) == ((SITES,), False)
    for room in (whole.peak, whole.peak // 2, whole.least, 0):
        found = waves(SITES, work, room)
        assert tuple(site for group in found.groups for site in group) == SITES
        assert found.peak <= max(room, whole.least)
    assert len(waves(SITES, work, whole.peak).groups) == 1
    assert len(waves(SITES, work, 0).groups) == len(SITES)


def test_activations_are_kept_where_they_are_smaller_and_fit():
    work = Workload(width=4096, itemsize=4, tokens=24 * 95, prompts=24, variants=VARIANTS)
    found = waves(SITES, work, None)
    assert (found.kept, found.passes) == (True, 1)
    assert found.peak < waves(SITES, replace(work, tokens=None), None).peak / 2
    assert not waves(SITES, replace(work, tokens=None), None).kept  # a corpus
    assert not waves(SITES, replace(work, width=64), None).kept  # longer than it is wide


CAPPED = """
import resource, sys
from dataclasses import replace
import torch
from tests.hyperinterp.claims.tiny import WIDTH, tiny
from tests.hyperinterp.claims import tiny as shapes
from tests.hyperinterp.claims.conftest import word_tokenizer
from tests.hyperinterp.training.factory import letters
import hyperinterp as hi
from hyperinterp.comparison import compare
from hyperinterp.sizes import Sizes
from hyperinterp.text import Corpus
torch.set_num_threads(1)
shapes.WIDTH = 768
base, fitted = (tiny("llama", word_tokenizer(), seed, layers=4) for seed in (0, 1))
sizes = Sizes(prompts=9, prompt_tokens=5, new_tokens=6, window=6, context_tokens=24,
              contexts_per_prompt=2, components=False, variants=("unit_norm",))
used = int(next(l for l in open("/proc/self/status") if l.startswith("VmData")).split()[1]) << 10
resource.setrlimit(resource.RLIMIT_DATA, (used + (ROOM << 20),) * 2)
report = compare(base, fitted, prompts=hi.read_prompts(sys.argv[1]), claims="C5", sizes=sizes,
                 corpus=Corpus(sys.argv[1]), memory=MEMORY)
print("passes", report.provenance.forwards["base over the corpus"])
"""


@pytest.mark.full
def test_a_capped_process_finishes_where_all_sites_at_once_die(tmp_path, words):
    path = tmp_path / "text.jsonl"
    path.write_text("\n".join(json.dumps({"text": item.text}) for item in words(20).items))
    ends = {}
    for memory in ("None", "'1TB'"):
        script = CAPPED.replace("ROOM", "260").replace("MEMORY", memory)
        done = subprocess.run(
            [sys.executable, "-c", script, str(path)],
            capture_output=True, text=True, check=False, timeout=400,
        )  # fmt: skip
        ends[memory] = done.returncode, done.stdout.split()[-1:], done.stderr[-2000:]
    code, passes, said = ends["None"]
    assert code == 0, said
    assert int(passes[0]) > 2
    code, _, said = ends["'1TB'"]
    assert code == 1
    assert "memory" in said.splitlines()[-1]
