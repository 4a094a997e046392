"""A corpus of any length: the same rows as when read whole, cut at a number of tokens, resumed."""

import json
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from hyperinterp.capture import PromptAccumulator, ResumeDirectory, rows_of_prompts, run_pair
from hyperinterp.comparison import compare
from hyperinterp.distributed import ALONE, Processes
from hyperinterp.errors import InputRefused
from hyperinterp.models import HookedModel
from hyperinterp.sites import stream_sites
from hyperinterp.sizes import Sizes
from hyperinterp.text import Corpus, open_stream, read_passages, tokenise
from tests.cli_rows import run_jobs
from tests.hyperinterp.training.factory import byte_tokenizer, letters, tiny_hf

SITES = stream_sites(tiny_hf("llama").config.num_hidden_layers)


def small(seed):
    model, digest = tiny_hf("llama", seed), str(seed) * 64
    return HookedModel(model, byte_tokenizer(), name=str(seed), fingerprint=digest)


@pytest.fixture
def corpus(tmp_path):
    """A file of 700 passages (more than one block), a repetition, an empty and a short one."""
    texts = [*letters(700).texts, letters(700).texts[5], " !? ", "x"]
    path = tmp_path / "corpus.jsonl"
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    return path


def test_a_stream_has_the_rows_of_the_whole_text(corpus):
    tokenizer = byte_tokenizer()
    whole = tokenise(tokenizer, read_passages(corpus), 16, min_length=4)
    stream = open_stream(Corpus(corpus), tokenizer, 16)
    found = {}
    for numbers, ids in stream.batches(7):
        assert len(numbers) <= 7
        found |= dict(zip(numbers, map(tuple, ids.tolist()), strict=True))
    assert [found[number] for number in range(len(whole))] == list(whole.rows)
    assert (stream.n_rows, stream.n_tokens) == (len(whole), whole.n_tokens)
    assert (stream.duplicates, stream.empty, stream.short) == (1, 1, 1)


@pytest.mark.parametrize("limit", [40, 1000, 8000, 10**9])
def test_no_more_tokens_than_asked_for(corpus, limit):
    stream = open_stream(Corpus(corpus, limit), byte_tokenizer(), 16)
    rows = [ids for _, ids in stream.batches(4)]
    tokens = sum(ids.numel() for ids in rows)
    assert tokens == stream.n_tokens <= limit
    if limit < 10**9:
        assert tokens > limit - 16


def test_a_corpus_that_changes_is_refused(corpus):
    stream = open_stream(Corpus(corpus), byte_tokenizer(), 16)
    corpus.write_text("\n".join(corpus.read_text().splitlines()[:300]))
    with pytest.raises(InputRefused, match="the file has changed"):
        list(stream.batches(8))


@pytest.mark.parametrize(("text", "words"), [("", "at least"), ('{"text": "abcdefgh"}', "found 1")])
def test_a_corpus_without_passages_is_refused(tmp_path, text, words):
    (tmp_path / "none.jsonl").write_text(text)
    with pytest.raises(InputRefused, match=words):
        open_stream(Corpus(tmp_path / "none.jsonl"), byte_tokenizer(), 16)
    with pytest.raises(InputRefused, match="max tokens"):
        Corpus(tmp_path / "none.jsonl", 0)


class Killed(Exception):
    pass


@pytest.fixture
def restless(monkeypatch):
    """Nothing between two savings."""
    monkeypatch.setattr("hyperinterp.capture.resume.PAUSE", 0)


def states(run):
    return {
        f"{site.key}/{name}": tensor
        for site, found in run.sites.items()
        for name, tensor in found.state().items()
    }


@pytest.mark.usefixtures("restless")
@pytest.mark.parametrize("after", [1, 14, 24])
def test_sums_go_on_where_they_were(corpus, tmp_path, after):
    base, fitted = small(0), small(1)
    stream = open_stream(Corpus(corpus, 900), byte_tokenizer(), 16)

    def run(resume=None, tick=None):
        return run_pair(
            base, fitted, stream, sites=SITES, unit_norm=True, positions=lambda *_: (),
            batch_size=2, resume=resume, tick=tick,
        )  # fmt: skip

    def resume():
        return ResumeDirectory(tmp_path / "sums", {"what": 1}, ALONE, every=0.0)

    batches = 0

    def dies(count):
        nonlocal batches
        batches += 1
        if batches > after:
            raise Killed

    whole = states(run())
    with pytest.raises(Killed):
        run(resume(), dies)
    ran = []
    base.blocks[0].register_forward_hook(lambda *given: ran.append(1))
    resumed = states(run(resume()))
    assert len(ran) == len(list(stream.batches(2))) - after
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def with_other_signs(spectrum):
    """What another solver may give: each eigenvector, or its opposite."""
    signs = torch.randn(len(spectrum.vectors), generator=torch.Generator().manual_seed(0)).sign()
    return replace(spectrum, vectors=spectrum.vectors * signs)


@pytest.mark.usefixtures("restless")
@pytest.mark.parametrize("again", [lambda spectrum: spectrum, with_other_signs])
def test_intervals_go_on_where_they_were(corpus, tmp_path, again):
    model = small(0)
    stream = open_stream(Corpus(corpus, 1500), byte_tokenizer(), 16)
    run = run_pair(model, model, stream, sites=SITES, positions=lambda *_: ())
    spectra = {site: run.sites[site].moments["base"].spectrum(vectors=True) for site in SITES}

    def read(resume=None, tick=None, given=lambda spectrum: spectrum):
        accumulators = {site: [PromptAccumulator(given(spectra[site]))] for site in SITES}
        rows_of_prompts(model, stream, SITES, accumulators, batch_size=2, tick=tick, resume=resume)
        return [accumulators[site][0].leave_one_out() for site in SITES]

    seen = 0

    def dies(count):
        nonlocal seen
        seen += 1
        if seen > 9:
            raise Killed

    key = ResumeDirectory(tmp_path / "sums", {}, ALONE, every=0.0), "intervals"
    with pytest.raises(Killed):
        read(key, dies)
    ran = []
    model.blocks[0].register_forward_hook(lambda *given: ran.append(1))
    resumed = read(key, given=again)
    batches = len(list(stream.batches(2)))
    assert len(ran) == (batches if again is with_other_signs else batches - 9)
    for one, other in zip(read(), resumed, strict=True):
        assert one.full == other.full
        assert all(np.array_equal(one.loo[name], other.loo[name]) for name in one.loo)


def test_a_saving_is_followed_by_a_pause_as_it_took_long(monkeypatch, tmp_path):
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    resume, saved = ResumeDirectory(tmp_path, {}, ALONE, every=30.0), []

    def state():
        nonlocal now
        now += 4.0
        saved.append(now)
        return {"x": torch.ones(2)}

    while now < 300:
        resume.save("pass", 1, state)
        now += 1.0
    assert saved == [34.0, 118.0, 202.0, 286.0]


def test_sums_of_another_run_are_refused(tmp_path):
    for processes, key in ((ALONE, {"seed": 1}), (Processes(0, 2), {"seed": 0})):
        mine = ResumeDirectory(tmp_path, {"seed": 0}, ALONE, every=0.0)
        mine.save("pass", 3, lambda: {"x": torch.ones(2)})
        (tmp_path / "pass.0-of-1.safetensors").rename(
            tmp_path / f"pass.0-of-{processes.size}.safetensors"
        )
        with pytest.raises(InputRefused, match="those of another"):
            ResumeDirectory(tmp_path, key, processes).restored("pass")
    (tmp_path / "pass.0-of-1.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(InputRefused, match="expected sums to resume from"):
        mine.restored("pass")
    mine.remove()
    assert not (tmp_path / "pass.0-of-1.safetensors").exists()


SIZES = Sizes(
    prompts=9, prompt_tokens=5, new_tokens=6, window=6, context_tokens=16, contexts_per_prompt=2,
    components=False, variants=(),
)  # fmt: skip


def test_geometry_comes_from_the_corpus_and_the_rest_from_the_prompts(corpus, tmp_path):
    pair = small(0), small(1)
    given = {"prompts": letters(9), "claims": "C4,C5", "sizes": SIZES}
    report = compare(*pair, corpus=Corpus(corpus, 4000), resume_dir=tmp_path / "sums", **given)
    facts = report.provenance.corpus
    assert facts is not None
    assert facts.rows > 200
    assert report.expansion.sites[0].n_rows == facts.tokens - facts.rows
    assert report.reranking.teacher_forced.n_contexts <= 18
    assert not (tmp_path / "sums").exists()
    alone = compare(*pair, **given)
    assert alone.provenance.corpus is None
    assert alone.reranking == report.reranking


def test_what_cannot_be_told_apart_is_not_kept(corpus, tmp_path):
    pair = small(0), small(1)
    given = {"prompts": letters(9), "claims": "C5", "sizes": SIZES, "resume_dir": tmp_path / "sums"}
    pair[1].fingerprint = ""
    with pytest.raises(InputRefused, match="with a fingerprint"):
        compare(*pair, corpus=Corpus(corpus, 2000), **given)
    assert not (tmp_path / "sums").exists()


def test_a_killed_command_goes_on(tmp_path, corpus):
    from hyperinterp.checkpoints import save_checkpoint

    for seed, name in enumerate(("base", "fitted")):
        save_checkpoint(tiny_hf("llama", seed), byte_tokenizer(), tmp_path / name, provenance={})
    script = tmp_path / "eager.py"
    script.write_text(
        "import hyperinterp.capture as p; p.ResumeDirectory.__init__.__defaults__ = (0.0,)\n"
        "from hyperinterp.cli.main import main; main()"
    )
    command = {"script": str(script), "argv": [
        "compare", str(tmp_path / "base"), str(tmp_path / "fitted"), "--corpus", str(corpus),
        "--resume-dir", str(tmp_path / "sums"), "--out", str(tmp_path / "report"), "--claims", "C5",
        "--batch-size", "1", "--quick", "--max-tokens", "2000",
    ]}  # fmt: skip
    place = {"at": "hyperinterp.capture.resume:ResumeDirectory.save:3", "signal": "SIGKILL"}
    (killed,) = run_jobs([command | place], tmp_path)
    assert killed["code"] == -signal.SIGKILL
    assert list((tmp_path / "sums").glob("first-run*.safetensors"))
    (done,) = run_jobs([command], tmp_path)
    assert done["code"] == 0, done["stderr"]
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert 1900 < report["provenance"]["corpus"]["tokens"] <= 2000
    assert not (tmp_path / "sums").exists()
