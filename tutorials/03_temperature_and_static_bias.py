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
# # 3. Is it temperature? Is it a static bias?
#
# A hyperfitted model is very sure of its next token. Two simple explanations have to fall before an
# interesting one may stand:
#
# * **temperature**: the same logits, divided by $T < 1$ (claim C2);
# * **a static bias**: the same logits plus one fixed vector, whatever the context (claim C3).
#
# Each is held against the fitted model as the share of $\mathrm{KL}(\text{fitted} \| \text{base})$
# that is left when the explanation is given its best chance.

# %%
import _shared
import plotly.graph_objects as go
import torch
from _shared import explore

import hyperinterp as hi
from probes import entropy, kl_divergence, matched_temperature

print(_shared.mode())
base, fitted = _shared.pair()

# %% [markdown]
# ## Temperature, live
#
# Below: $\mathrm{KL}(\text{fitted} \| \text{base at } T)$ at every position of a text, next to $T=1$.
# `matched_temperature` solves for the $T$ at which the base has the mean entropy of the fitted model.
#
# **Pitfall:** greedy decoding takes the largest logit, and dividing by $T$ does not change which one
# that is. A greedy base at $T$ *is* the greedy base: only the sampled arms say anything.


# %%
def decisions(text):
    ids = torch.tensor([base.tokenizer(text)["input_ids"][:64]])
    return base.logits(ids)[0, 1:].float(), fitted.logits(ids)[0, 1:].float()


def at_temperature(text=hi.builtin_passages("heldout").texts[0], temperature="matched"):
    ours, theirs = decisions(text)
    match = matched_temperature(ours, entropy(theirs).mean())
    t = float(match.temperature) if temperature == "matched" else float(temperature)
    figure = go.Figure()
    for name, scale in (("base", 1.0), (f"base at T = {t:.2f}", t)):
        kl = kl_divergence(theirs, ours / scale)
        figure.add_scatter(y=kl.tolist(), name=f"{name}: mean {float(kl.mean()):.2f}")
    figure.update_layout(title="How far the fitted model is from the base", height=360)
    figure.update_xaxes(title="position")
    return figure.update_yaxes(title="KL(fitted || base), nats")


explore(at_temperature, text=str, temperature=("matched", "0.3", "0.5", "0.7", "1.0", "1.5"))

# %% [markdown]
# ## Temperature, measured
#
# C2 gives temperature more than it asks for: a separate best $T$ for every single context. What is
# left then cannot be temperature.

# %%
report = hi.compare(base, fitted, claims="C2,C3", sizes=_shared.sizes())
report

# %%
report.temperature.plot("divergence")

# %% [markdown]
# The second condition is about text: at equal entropy, is the fitted model's sampled text more
# diverse than the base's? **What to look at:** the fitted model's point against the base's curve
# at the same place on the horizontal axis.

# %%
report.temperature.plot("sweep")

# %% [markdown]
# ## A static bias
#
# The mean logit shift $\delta = \mathbb{E}[\text{fitted} - \text{base}]$ is estimated on one half of
# the prompts and used on the other: $\text{base} + \alpha\,\delta$. The report also fits the best
# bias by gradient, and shuffles $\delta$ over the tokens as a null.
#
# **Pitfall:** a bias estimated on the same prompts it is tested on would explain too much.

# %%
measures = report.static_bias.names()["alpha"]["measure"]


def bias(measure=measures[0]):
    return report.static_bias.plot("alpha", measure=measure)


explore(bias, measure=measures)

# %%
report.static_bias.plot("explained")

# %%
report.static_bias.to_frame("arms")

# %% [markdown]
# **How to read the verdicts.** *Supported* for C2 and C3 means that the simple explanation failed.
# With few prompts the text condition is usually undecided, and the claim inconclusive, even when
# most of the KL is left: both conditions have to hold.
#
# Next: [who re-orders the ranks?](04_who_reorders_the_ranks.ipynb)
