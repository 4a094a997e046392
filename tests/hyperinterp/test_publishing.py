"""What goes to the Hub: the files that a twin and a report become, held by loading them again."""

import json
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import torch
from huggingface_hub import DatasetCard, ModelCard
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

import hyperinterp as hi
from hyperinterp.checkpoints import hub, verify_directory
from hyperinterp.errors import InputRefused
from hyperinterp.models import HookedModel
from hyperinterp.training import TrainConfig, train
from tests.hyperinterp.report.factory import complete
from tests.hyperinterp.training.factory import byte_tokenizer, letters, saved_tiny, tiny_hf

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*")
FORBIDDEN = httpx.Response(403, request=httpx.Request("POST", "https://hub"))
RECIPE = TrainConfig(rank=4, batch_size=4, seq_len=30, max_steps=1, blocks="last:1")


@pytest.fixture(scope="module")
def twin(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("twin")
    base = HookedModel(tiny_hf("llama"), byte_tokenizer(), name="owner/base")
    return train(base, letters(6), place / "twin", RECIPE, device="cpu").out


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("report") / "report"
    complete().save(out)
    return out


@dataclass
class Told:
    """Stands in for the Hub: what it is sent lands in a folder."""

    commit_url: str = "https://hub/commit"


@pytest.fixture
def sent(tmp_path, monkeypatch):
    calls: dict = {"at": tmp_path / "sent"}

    def create_repo(_self, name, **given):
        calls["repo"] = {"name": name, **given}

    def create_commit(_self, name, operations, **given):
        calls["commit"] = {"name": name, **given}
        for item in operations:
            path = calls["at"] / item.path_in_repo
            path.parent.mkdir(parents=True, exist_ok=True)
            with item.as_file() as content:
                path.write_bytes(content.read())
        return Told()

    monkeypatch.setattr(hub.HfApi, "create_repo", create_repo)
    monkeypatch.setattr(hub.HfApi, "create_commit", create_commit)
    monkeypatch.setattr(hub, "hub_allowed", lambda: True)
    return calls


def test_a_twin_on_the_hub_loads_with_the_same_logits(twin, report, sent, tmp_path):
    url = hi.push_to_hub(twin, "me/twin", license="apache-2.0", report=report)
    assert url == Told().commit_url
    assert sent["repo"] == {
        "name": "me/twin", "repo_type": "model", "private": None, "exist_ok": True,
    }  # fmt: skip
    there = sent["at"]
    assert verify_directory(there) is not None
    base = saved_tiny("llama", tmp_path)
    ids = torch.arange(3, 15)[None]
    ours, theirs = (hi.load(place, base=base, device="cpu") for place in (twin, there))
    assert torch.equal(ours.logits(ids), theirs.logits(ids))
    config = json.loads((there / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "owner/base"
    assert (there / "report" / "report.json").read_bytes() == (report / "report.json").read_bytes()


def test_its_card_has_base_license_tags_and_claims(twin, report, sent):
    hi.push_to_hub(twin, "me/twin", license="apache-2.0", report=report, base_model="other/base")
    card = ModelCard.load(sent["at"] / "README.md")
    assert (card.data.base_model, card.data.license) == ("other/base", "apache-2.0")
    assert set(card.data.tags) == {"hyperfitting", "hyperinterp"}
    assert card.data.library_name == "peft"
    assert "Overfitted on purpose" in card.text
    for name, claim in hi.Report.read(report).claims.items():
        assert f"\n| {name} " in card.text
        assert str(claim.verdict) in card.text
    hi.push_to_hub(twin, "me/twin", license="mit")
    assert "\n| C1 " not in (sent["at"] / "README.md").read_text(encoding="utf-8")


def test_a_report_alone_becomes_a_data_set(report, sent):
    hi.push_to_hub(report, "me/report", license="cc-by-4.0", private=True)
    assert (sent["repo"]["repo_type"], sent["repo"]["private"]) == ("dataset", True)
    card = DatasetCard.load(sent["at"] / "README.md")
    assert card.data.license == "cc-by-4.0"
    assert "\n| C1 " in card.text
    assert hi.Report.read(sent["at"]).claims == hi.Report.read(report).claims


def test_what_cannot_be_sent_is_refused_before_the_hub_is_asked(
    twin, report, sent, tmp_path, monkeypatch
):
    empty = tmp_path / "empty"
    empty.mkdir()
    for given, told in (
        ((empty, "me/twin"), "expected a twin"),
        ((tmp_path / "nowhere", "me/twin"), "expected a twin"),
        ((twin, "twin"), "expected owner/name"),
        ((report, "me/r", {"report": report}), "found a report"),
        ((twin, "me/twin", {"license": " "}), "license: expected"),
        ((twin, "me/twin", {"base_model": "a/b/c"}), "base_model: expected a Hub id"),
    ):
        folder, name, *rest = given
        more = {"license": "mit", **(rest[0] if rest else {})}
        with pytest.raises(InputRefused, match=told):
            hi.push_to_hub(folder, name, **more)
    local = train(saved_tiny("llama", tmp_path), letters(6), tmp_path / "t", RECIPE, device="cpu")
    with pytest.raises(InputRefused, match="--base-model"):
        hi.push_to_hub(local.out, "me/twin", license="mit")
    monkeypatch.setattr(hub, "hub_allowed", lambda: False)
    with pytest.raises(InputRefused, match="HF_HUB_OFFLINE"):
        hi.push_to_hub(twin, "me/twin", license="mit")
    assert "repo" not in sent


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (LocalTokenNotFoundError("no token"), "hf auth login"),
        (HfHubHTTPError("403 Forbidden", response=FORBIDDEN), "hf auth login"),
        (ValueError("bad card"), "correct the card"),
        (ConnectionError("no route"), "go online"),
    ],
)
def test_the_hubs_refusals_are_told_in_one_line(twin, sent, monkeypatch, error, told):
    def fails(*_given, **_options):
        raise error

    monkeypatch.setattr(hub.HfApi, "create_commit", fails)
    with pytest.raises(InputRefused, match=told):
        hi.push_to_hub(twin, "me/twin", license="mit")
