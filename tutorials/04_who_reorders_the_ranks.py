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
import _shared
import plotly.graph_objects as go
import torch
from _shared import explore

import hyperinterp as hi
from hyperinterp.sites import block_outputs
from probes import bucket_counts, bucket_label, lens_ranks, token_ranks

print(_shared.mode())
base, fitted = _shared.pair()

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


explore(ranks_on, text=str)

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


def lens_map(prompt=_shared.PROMPT, model="fitted"):
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


explore(lens_map, prompt=str, model=("fitted", "base"))

# %%
lens_map(model="base")

# %% [markdown]
# ## Measured
#
# The report also counts what is overridden *after the best context-free change*: one factor for the
# base's logits and one number per token, fitted on the other half of the prompts. What is left
# depends on the context.

# %%
report = hi.compare(base, fitted, claims="C4", sizes=_shared.sizes())
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


explore(trajectory, decision=decisions)

# %% [markdown]
# The lens says where a choice becomes visible, not what causes it. Next:
# [cause](05_patching_blocks.ipynb).
