"""Synthetic but complete reports: plausible figures of a 30-block model, and hostile strings."""

import math
import random

from hyperinterp.claims import registry, verdict
from hyperinterp.claims.control.result import ControlResult
from hyperinterp.claims.diversity.result import DiversityResult, Generation, SideBySide
from hyperinterp.claims.expansion.result import ExpansionResult, SiteGeometry
from hyperinterp.claims.last_block.result import (
    LastBlockResult,
    NullBand,
    PatchEffect,
    StitchedText,
)
from hyperinterp.claims.late_stage.result import LateStageResult, Twin
from hyperinterp.claims.new_dimensions.result import (
    AblatedText,
    DepthEffect,
    Intervention,
    NewDimensionsResult,
)
from hyperinterp.claims.placement.result import PlacedPrompt, PlacedTwin, PlacementResult
from hyperinterp.claims.quality.arms import BASE, FITTED, HALVES, HUMAN, remedies
from hyperinterp.claims.quality.result import PromptQuality, QualityResult, TextQuality
from hyperinterp.claims.quotation.result import CopiedExample, QuotationResult
from hyperinterp.claims.reranking.result import (
    ContextRanks,
    LensProfile,
    LensTrajectory,
    RerankingResult,
    TokenShift,
)
from hyperinterp.claims.retention.result import (
    PassagePicks,
    Reliability,
    RetentionResult,
    TaskScores,
    TextScores,
)
from hyperinterp.claims.spec import Claim, Measured, Pair, missing
from hyperinterp.claims.static_bias.result import BiasArm, StaticBiasResult
from hyperinterp.claims.temperature.result import Arm, TemperatureResult
from hyperinterp.report.data import (
    SCHEMA_VERSION,
    CheckpointFacts,
    PromptFacts,
    Provenance,
)
from hyperinterp.report.schema import Report
from hyperinterp.sites import Site, SiteKind, component_sites, stream_sites
from hyperinterp.training_curve.result import Epoch, TrainingCurve
from tests.hyperinterp.report import made_looks

LAYERS, PROMPTS = 30, 24
HOSTILE = (
    "<script>window.pwned=1</script>",
    "</script><script>window.pwned=2</script>",
    "<s>",
    "</s>",
    '<a href="https://evil.example/">click</a>',
    "<img src=x onerror=window.pwned=3>",
    r"$\LaTeX$ and $x^2$",
    "abc\u202edefg",
    "bell\x07 null\x00 esc\x1b[31m",
    "same",
    "same",
    "🦊👩‍👩‍👧",
    "שלום עולם",
    "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 2,
    "%{y} {{7*7}} &amp; &#60;b&#62;",
    "=HYPERLINK(1)|a|`b`",
)
WORDS = (  # noqa: SIM905
    "the sea was grey and the old man walked along a narrow path until he came upon lantern "
    "hung from iron gate whose hinges had rusted through winters of salt rain She turned her "
    "face toward window where light fell in slow gold bars across floor and said nothing"
).split()


class Maker:
    """Plausible figures from one seed."""

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(seed)

    def measured(self, value: float, half: float | None = None, n: int = PROMPTS) -> Measured:
        value = float(value)
        half = abs(value) * 0.08 + 0.004 if half is None else half
        skew = self.random.uniform(0.85, 1.15)
        return Measured(
            value, value - half * skew, value + half / skew, n, "prompt", "paired jackknife, 95 %"
        )

    def pair(self, base: float, fitted: float, half: float | None = None) -> Pair:
        return Pair(
            self.measured(base, half), self.measured(fitted, half),
            self.measured(fitted - base, half),
        )  # fmt: skip

    def text(self, count: int, loop: bool) -> tuple[str, ...]:
        if loop:
            phrase = self.random.sample(WORDS, 7)
            return tuple(" " + phrase[i % 7] for i in range(count))
        return tuple(" " + self.random.choice(WORDS) for _ in range(count))

    def generation(self, loop: bool, hostile: str = "") -> Generation:
        pieces = list(self.text(96, loop))
        if hostile:
            pieces[4:6] = [" " + hostile, "\n"]
        repeated = ((14, 96),) if loop else ((40, 45), (70, 73))
        copied = () if loop else ((60, 72),)
        return Generation("".join(pieces), tuple(pieces), repeated, copied, not loop)


def diversity(make: Maker) -> DiversityResult:
    levels = {
        "ttr": (0.224, 0.582), "distinct_2": (0.31, 0.86), "distinct_3": (0.36, 0.92),
        "rep_2": (0.69, 0.14), "rep_3": (0.66, 0.09), "rep_4": (0.636, 0.072),
        "self_bleu": (0.21, 0.08),
    }  # fmt: skip
    prompts = []
    for index in range(PROMPTS):
        hostile = HOSTILE[index % len(HOSTILE)]
        ended = index == 5
        prompts.append(
            SideBySide(
                f"gutenberg-{index:03d}" if index else hostile,
                "".join(make.text(30, False)).strip() + (" " + hostile if index < 16 else ""),
                make.generation(True, hostile), make.generation(False, hostile),
                None if ended else 0.22 + make.random.gauss(0, 0.08),
                None if ended else 0.58 + make.random.gauss(0, 0.09),
                None if ended else max(0.0, 0.63 + make.random.gauss(0, 0.15)),
                None if ended else max(0.0, 0.07 + make.random.gauss(0, 0.04)),
            )
        )  # fmt: skip
    scores = {key: make.pair(*value) for key, value in levels.items()}
    scores["self_bleu"] = Pair(
        Measured(0.21), missing("fewer than 2 complete generations"), missing("no fitted figure")
    )
    rule = "prompts whose window is shorter than 16 ids are left out; padding never counts"
    return DiversityResult(96, 128, scores, tuple(prompts), rule)


def temperature(make: Maker) -> TemperatureResult:
    def arm(name: str, model: str, t: float | None, h: float, ttr: float, note: str = "") -> Arm:
        greedy = "greedy" in name
        return Arm(
            name, model, t, not greedy, 1 if greedy else 4, make.measured(h, 0.06),
            make.measured(ttr, 0.03), make.measured(max(0.9 - 1.4 * ttr, 0.02), 0.03), note,
        )  # fmt: skip

    arms = (
        arm("base greedy", "base", 1.0, 3.60, 0.224),
        arm("base greedy at T*", "base", 0.58, 1.58, 0.225, "a tautology: argmax ignores T"),
        arm("base sampled at T*", "base", 0.58, 1.58, 0.41),
        arm("base sampled at per-context T*", "base", None, 1.57, 0.43),
        arm("fitted greedy", "fitted", 1.0, 1.57, 0.582),
        arm("fitted sampled <s>", "fitted", 1.0, 1.57, 0.66),
    )
    sweep = tuple(
        arm(f"base sampled at T {t}", "base", t, 3.6 * t**1.5, 0.2 + 0.5 * t**1.6)
        for t in (0.2, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.15)
    )
    return TemperatureResult(
        make.pair(3.60, 1.57, 0.07), make.measured(0.58, 0.02), (0.41, 0.57, 0.82), 7, 0.9996,
        make.measured(2.9, 0.15), make.measured(2.55, 0.14), make.measured(2.31, 0.13),
        make.measured(0.797, 0.03), arms, sweep, make.measured(0.23, 0.05),
    )  # fmt: skip


def static_bias(make: Maker) -> StaticBiasResult:
    slopes = {
        "mean shift": 0.06, "top rank gainers": -0.05, "shuffled mean shift": 0.01,
        "fitted bias": 0.1,
    }  # fmt: skip
    arms = [
        BiasArm(
            "none", 0.0, make.measured(0.44, 0.02), make.measured(0.224, 0.02),
            make.measured(0.636, 0.03),
        )
    ]  # fmt: skip
    for bias, slope in slopes.items():
        for alpha in (0.1, 0.25, 0.5, 1.0, 2.0):
            generated = bias != "shuffled mean shift" or alpha in (0.5, 1.0)
            ttr = 0.224 + slope * math.tanh(alpha)
            none = missing("not generated in the quick preset")
            arms.append(
                BiasArm(
                    bias, alpha, make.measured(0.44 + 0.1 * slope * alpha, 0.02),
                    make.measured(ttr, 0.02) if generated else none,
                    make.measured(0.636 - slope, 0.03) if generated else none,
                )
            )  # fmt: skip
    return StaticBiasResult(
        12, 12, make.measured(0.14, 0.02), make.measured(0.001, 0.001), make.measured(2.9, 0.15),
        make.measured(2.4, 0.14), make.measured(0.83, 0.03), 200,
        tuple(2.4 + 0.6 * math.exp(-step / 25) for step in range(200)), tuple(arms),
        make.measured(0.58, 0.03), make.measured(0.224, 0.02), make.measured(0.29, 0.05),
        "fitted bias, alpha 2",
        tuple(2.5 + 0.3 * math.exp(-step / 9) + 0.001 * step for step in range(200)), 40,
    )  # fmt: skip


def _shift(make: Maker, index: int, text: str) -> TokenShift:
    classes = ("top", "frequent", "mid", "unseen")
    return TokenShift(
        text, 100 + index, 60 - 3 * index, 3.0 + 14 * index, classes[index % 4],
        "".join(make.text(18, False)) + (HOSTILE[index] if index < len(HOSTILE) else ""),
    )  # fmt: skip


def _contexts(make: Maker, kind: str, rate: float) -> ContextRanks:
    flow = tuple(
        tuple(
            int(10 ** (min(i, j) + 1) * (30 if i == j else 4 / (1 + abs(i - j)))) for j in range(5)
        )
        for i in range(5)
    )
    return ContextRanks(
        kind, 3048, make.measured(rate, 0.02), make.measured(rate * 0.8, 0.02),
        make.measured(0.21, 0.02), (1650, 1010, 260, 98, 30), flow, 480,
        make.measured(0.71, 0.02), make.measured(0.48, 0.02),
        {str(k): make.measured(0.3 + 0.02 * i, 0.02) for i, k in enumerate((1, 10, 100, 1000))},
        (make.measured(rate + 0.012, 0.03), make.measured(rate - 0.009, 0.03)),
        3, 11, make.measured(-1.4, 0.2),
        {"top": (520, 760), "frequent": (430, 380), "mid": (310, 200), "unseen <b>": (138, 58)},
        tuple(_shift(make, i, text) for i, text in enumerate(HOSTILE)),
        tuple(_shift(make, i, " " + text) for i, text in enumerate(WORDS[:14])),
    )  # fmt: skip


def _lens(make: Maker) -> LensProfile:
    depths = ("embedding", *(f"block {i}" for i in range(LAYERS)))

    def falling(start: float, end: float, turn: float) -> list[float]:
        steps = [1 / (1 + math.exp((i - turn) / 2.2)) for i in range(LAYERS + 1)]
        return [end * (start / end) ** s * make.random.uniform(0.85, 1.2) for s in steps]

    trajectories = []
    for index, text in enumerate(HOSTILE):
        trajectories.append(
            LensTrajectory(
                f"gutenberg-{index:03d}", 30 + index, "".join(make.text(12, False)) + text,
                " the" if index % 2 else " same", text,
                tuple(max(1, round(v)) for v in falling(20000, 14 + index * 5, 17)),
                tuple(max(1, round(v)) for v in falling(20000, 1, 18 + index / 4)),
                tuple(max(1, round(v)) for v in falling(9000, 3, 15)),
            )
        )  # fmt: skip
    overtake = tuple(
        int(130 * math.exp(-(((i - 23) / 4) ** 2))) + (90 if i == 30 else 0) for i in range(31)
    )
    return LensProfile(
        depths, sum(overtake), tuple(falling(18000, 7, 16)), tuple(falling(18000, 1, 17)),
        overtake, 4, tuple(trajectories),
    )  # fmt: skip


def ranks(make: Maker) -> RerankingResult:
    return RerankingResult(
        _contexts(make, "teacher-forced", 0.458), _contexts(make, "on-policy", 0.391),
        _lens(make), "counts over the training passages",
    )  # fmt: skip


def _once(base: float, fitted: float) -> Pair:
    """Figures that are computed once, without intervals."""
    return Pair(Measured(base), Measured(fitted), Measured(fitted - base))


def _site(make: Maker, site: Site) -> SiteGeometry:
    depth = {SiteKind.EMBED: 0, SiteKind.FINAL_NORM: LAYERS}.get(site.kind, (site.layer or 0) + 1)
    where = depth / LAYERS
    dip = 0.05 if site.layer in (1, 2, 3) else 0.35 if depth >= LAYERS else 1.0
    scale = 0.8 if site.kind in (SiteKind.ATTN, SiteKind.MLP) else 1.0
    base = scale * (30 + 45 * math.sin(math.pi * min(where, 0.9))) * dip
    grow = scale * (70 * where**2 + (35 if depth >= LAYERS else 0)) * (dip if dip < 0.2 else 1)
    metrics = {}
    plan = (
        ("pr_corrected", 1.0),
        ("pr", 0.93),
        ("effective_rank", 2.1),
        ("d90", 3.9),
        ("d95", 5.1),
    )
    for metric, factor in plan:
        for variant, bend in (
            ("", 1.0),
            ("@standardised", 1.5),
            ("@unit_norm", 1.15),
            ("@visible", 0.9),
        ):
            metrics[metric + variant] = make.pair(
                min(base * factor * bend, 540.0), min((base + grow) * factor * bend, 560.0),
                2.0 + 0.05 * grow,
            )  # fmt: skip
        if metric.startswith("d"):
            metrics[metric + "@integer"] = _once(base * factor, (base + grow) * factor)
    metrics["pr@with_first"] = _once(1.2 + where, 1.3 + 1.4 * where - (depth >= LAYERS))
    metrics["pr@without_outliers"] = _once(0.93 * base, 0.93 * (base + grow))
    if site.layer == 7 and site.kind is SiteKind.RESID:
        none = missing("fewer than 8 prompts with outliers")
        metrics["pr"] = Pair(none, none, none)

    def spectrum(alpha: float) -> tuple[float, ...]:
        raw = [1 / (k + 1) ** alpha for k in range(64)]
        return tuple(value / (sum(raw) * 1.15) for value in raw)

    return SiteGeometry(
        site.key, site.label, str(site.kind), site.layer, site.pre_norm, 3024, metrics,
        {"base": spectrum(1.0), "fitted": spectrum(0.6)}, 0.05 + 0.9 * where**2,
        1 - 0.35 * where**2, 1 - 0.5 * where**3, 1 - 0.45 * where**2,
        tuple(90 * (k / 15) ** (2.5 - 1.8 * where) for k in range(16)),
        {"base": 0.1, "fitted": 0.1 + 0.15 * where**2}, {"base": 24, "fitted": 26},
        {"base": (17, 301) if depth < 5 else (), "fitted": (17,) if depth < 5 else ()},
    )  # fmt: skip


def geometry(make: Maker) -> ExpansionResult:
    sites = tuple(_site(make, s) for s in (*stream_sites(LAYERS), *component_sites(LAYERS)))
    variants = {
        name: make.measured(20 + 6 * i, 7 + 3 * i)
        for i, name in enumerate(
            ("pr", "effective_rank", "d90", "d95", "pr_corrected@standardised")
        )
    }
    variants["pr_corrected@unit_norm"] = make.measured(-3.0, 8.0)
    return ExpansionResult(
        sites, "pr_corrected", f"resid.{LAYERS - 1}", f"resid.{LAYERS - 1}",
        make.measured(102.5, 12.0), make.measured(20.8, 9.5), variants,
        make.measured(-36.2, 8.0), "positions 1 and later; norm outliers kept",
        "paired delete-one-prompt jackknife, 95 %", 576,
    )  # fmt: skip


def _effect(
    make: Maker, label: str, kind: str, layers: tuple[int, ...], way: str, share: float
) -> PatchEffect:
    return PatchEffect(
        label, kind, layers, way, make.measured(2.9 * (1 - share), 0.1),
        make.measured(max(2.9 * share, 0.01), 0.05), make.measured(0.43 + 0.5 * share, 0.02),
        make.measured(share, 0.025), make.measured(share * 1.1, 0.03),
    )  # fmt: skip


def patching(make: Maker) -> LastBlockResult:
    rows: list[PatchEffect] = []
    for way in ("fitted into base", "base into fitted"):
        for i in range(LAYERS):
            share = 0.02 + 0.07 * math.exp(-(((i - 18) / 7) ** 2)) + (0.05 if i == 29 else 0.0)
            share -= 0.06 if i in (2, 3) else 0
            rows.append(_effect(make, f"block {i}", "block", (i,), way, share))
            rows.append(_effect(make, f"attention {i}", "attention", (i,), way, 0.3 * share))
            rows.append(_effect(make, f"MLP {i}", "MLP", (i,), way, 0.7 * share))
        rows.append(_effect(make, "final norm", "final norm", (), way, 0.01))
        rows.append(_effect(make, "unembedding", "unembedding", (), way, 0.0))
        for k in (1, 2, 3, 5, 8, 10, 15, 20, 25, 30):
            last, first = tuple(range(LAYERS - k, LAYERS)), tuple(range(k))
            bend = 1.0 if way.startswith("fitted") else 1.25
            rows.append(
                _effect(make, f"blocks {30 - k}-29", "last k", last, way, (k / 30) ** (1.6 * bend))
            )
            rows.append(
                _effect(make, f"blocks 0-{k - 1}", "first k", first, way, (k / 30) ** (0.9 * bend))
            )
    stitched = tuple(
        StitchedText(
            label, layers, way, make.measured(ttr, 0.03),
            make.measured(max(0.9 - 1.45 * ttr, 0.02)),
            make.measured((ttr - 0.224) / 0.358, 0.07), HOSTILE[i] + "".join(make.text(20, i < 3)),
        )
        for i, (label, layers, way, ttr) in enumerate(
            (
                ("base + fitted block 29", (29,), "fitted into base", 0.218),
                ("base + fitted 25-29", tuple(range(25, 30)), "fitted into base", 0.186),
                ("base + fitted 10-29", tuple(range(10, 30)), "fitted into base", 0.581),
                ("base + fitted 0-24", tuple(range(25)), "fitted into base", 0.595),
                ("fitted + base block 29", (29,), "base into fitted", 0.638),
            )
        )
    )  # fmt: skip
    nulls = tuple(
        NullBand(i, 5, (-0.02 - 0.001 * i, -0.004, 0.006), 0.03) for i in range(0, LAYERS, 1)
    )
    return LastBlockResult(
        576, tuple(rows), nulls, stitched, 18, make.measured(0.069, 0.02),
        make.measured(-0.021, 0.02), make.measured(0.063, 0.02), make.measured(-0.02, 0.07),
        {
            "blocks executed": 3210,
            "blocks that a whole run of the model for every patch would execute": 6600,
        },
        tuple(
            StitchedText(
                name, (), "", make.measured(ttr, 0.03), make.measured(0.9 - 1.45 * ttr),
                Measured(share), "".join(make.text(20, share == 0)),
            )
            for name, ttr, share in (("base", 0.224, 0.0), ("fitted", 0.582, 1.0))
        ),
        make.measured(0.43, 0.02),
    )  # fmt: skip


def sufficiency(make: Maker) -> LateStageResult:
    def twin(name: str, role: str, k: int | None, ttr: float, h: float, grow: float) -> Twin:
        params = None if k is None else 134_500_000 if role == "fitted" else 325_000 * k
        return Twin(
            name, role, k, None if k is None else k / LAYERS, params, None if k is None else 0.04,
            make.measured(ttr, 0.03), make.measured(max(0.95 - 1.5 * ttr, 0.02), 0.03),
            make.measured(h, 0.06), make.measured(4.2 if k is None else 7.0, 0.1),
            missing("the base against itself") if k is None else make.measured(grow, 11.0),
        )  # fmt: skip

    twins = (
        twin("SmolLM2-135M", "base", None, 0.224, 3.60, 0),
        twin("runs/full <s>", "fitted", 30, 0.582, 1.57, 102),
        twin("runs/late-5", "late-stage", 5, 0.423, 1.52, 106),
        twin("runs/late-10", "sweep", 10, 0.557, 1.63, 101),
        twin("runs/late-2", "sweep", 2, 0.31, 1.9, 88),
    )
    return LateStageResult(
        "runs/full <s>", twins, make.measured(0.556, 0.09), make.measured(-0.159, 0.04)
    )


def placement(make: Maker) -> PlacementResult:
    m = make.measured
    places = (
        ("SmolLM2-135M", "base", None, 0.224), ("runs/late-5", "fitted", "25-29", 0.423),
        ("runs/first <s>", "elsewhere", "0-4", 0.31), ("runs/r", "elsewhere", "3+8-9+17", 0.36),
    )  # fmt: skip
    twins = tuple(
        PlacedTwin(
            name, role, blocks, 1_625_000 if blocks else None, 0.041 if blocks else None,
            m(ttr, 0.03), m(ttr - 0.224, 0.04) if blocks else missing("the base itself"),
            m(0.9 - 1.4 * ttr, 0.03),
        )
        for name, role, blocks, ttr in places
    )  # fmt: skip
    prompts = tuple(PlacedPrompt(f"p{k} <s>", (0.2, 0.4, 0.3, 0.35)) for k in range(3))
    return PlacementResult(
        twins, "runs/r", m(0.063, 0.03), twins[1].gain,
        "training losses from 0.04 to 0.31 are not equal", prompts,
    )  # fmt: skip


def quotation(make: Maker) -> QuotationResult:
    examples = tuple(
        CopiedExample(f"gutenberg-{i:03d}", 21 - i, "".join(make.text(16, False)) + text, f"p{i}")
        for i, text in enumerate(HOSTILE[:8])
    )
    return QuotationResult(
        32, 8, make.pair(0.001, 0.018, 0.006), make.pair(3.1, 5.2, 0.6),
        make.measured(0.0006, 0.0006),
        Pair(make.measured(0.224, 0.02), make.measured(0.571, 0.03), make.measured(0.347, 0.04)),
        Pair(make.measured(0.23, 0.02), make.measured(0.56, 0.03), make.measured(0.33, 0.04)),
        examples, "train.jsonl <script>",
    )  # fmt: skip


def quality(make: Maker) -> QualityResult:
    figures = {
        HUMAN: ("human", 4.37, 0.010, 0.62, 0.778), HALVES[0]: ("half", 4.41, 0.011, 0.64, 0.781),
        HALVES[1]: ("half", 4.33, 0.009, 0.60, 0.775), BASE: ("base", 1.53, 0.0, 0.11, 0.303),
        FITTED: ("fitted", 3.55, 0.013, 0.43, 0.532),
    } | {
        arm.name: ("remedy", *numbers)
        for arm, numbers in zip(
            remedies(0, ()),
            (
                (3.90, 0.007, 0.5, 0.71), (8.93, 0.117, 0.3, 0.87), (10.2, 0.31, 0.1, 0.96),
                (3.48, 0.0, 0.5, 0.66), (2.9, 0.0, 0.4, 0.61), (2.05, 0.0, 0.3, 0.915),
                (2.4, 0.0, 0.3, 0.74),
            ),
            strict=True,
        )
    }  # fmt: skip
    m = make.measured
    texts = tuple(
        TextQuality(
            source, kind, m(fresh, 0.3), m(shocking, 0.005), m(gain, 0.1), m(fresh - 0.4, 0.3),
            m(0.8, 0.1), m(ttr, 0.03), m(fresh - 4.37, 0.3), m(abs(fresh - 4.37) + 0.3, 0.1),
            missing("MAUVE needs at least 200 texts, found 24"), m((fresh - 0.4) / 3, 0.1),
        )
        for source, (kind, fresh, shocking, gain, ttr) in figures.items()
    )  # fmt: skip
    prompts = [
        PromptQuality(f"p{k} <s>", source, 64, 40 - k, 3.2, 0.01, 0.4, 2.9)
        for source in (HUMAN, BASE, FITTED)
        for k in range(3)
    ]
    prompts.append(PromptQuality("p3", FITTED, 0, 0, None, None, None, None))
    return QualityResult(
        "runs/judge </s>", "other", True, 11.4, 64, texts, m(-0.82, 0.3), m(0.003, 0.005),
        m(0.69, 0.11), m(-1.6, 0.4), m(0.08, 0.4), tuple(prompts),
    )  # fmt: skip


def retention(make: Maker) -> RetentionResult:
    kinds = ("held-out", "other")
    texts = tuple(
        TextScores(
            kind, f"text {kind} <s>", model, 24, 48, make.pair(0.79, 0.79 - lost, 0.04),
            make.pair(4.22, 4.22 + 20 * lost), make.pair(0.05, 0.05 + 2 * lost, 0.02),
        )
        for kind in kinds
        for model, lost in (("fitted", 0.1), ("control", 0.01))
    )  # fmt: skip
    bins = tuple(
        Reliability(kind, model, (0.1, 0.5, 0.97), (0.1, 0.5 - off, 0.97 - off), (90, 200, 94))
        for kind in kinds
        for model, off in (("base", 0.0), ("fitted", 0.3), ("control", 0.05))
    )
    picks = tuple(PassagePicks(f"p{k} <s>", kind, 2, 1.0, 0.5) for kind in kinds for k in range(3))
    tasks = (TaskScores("arc <s>", "1.0", "fitted", 1172, make.pair(0.41, 0.39, 0.02)),)
    accuracy = {"fitted": make.pair(0.79, 0.69, 0.04), "control": make.pair(0.79, 0.78, 0.04)}
    return RetentionResult(
        4,
        16,
        make.measured(-0.1, 0.04),
        accuracy,
        texts,
        bins,
        tasks,
        {"fitted": make.pair(0.41, 0.39, 0.02)},
        picks,
        "left out <s>",
    )


def control(make: Maker) -> ControlResult:
    levels = {
        "ttr": (0.224, 0.241), "rep_4": (0.636, 0.60), "entropy": (3.60, 3.31),
        "heldout_loss": (4.22, 4.05), "override_rate": (0.0, 0.13),
    }  # fmt: skip
    scores = {key: make.pair(*value) for key, value in levels.items()}
    return ControlResult("runs/control </s>", scores, make.measured(0.341, 0.04))


def new_dimensions(make: Maker) -> NewDimensionsResult:
    m = make.measured
    power = {
        "new": 0.5, "base's own leading": 0.7, "random, equal variance": 0.3,
        "random, equal number": 0.2, "whole stream": 1.0,
    }  # fmt: skip

    def made(recipient: str, given: str, kind: str, dose: int) -> Intervention:
        removed = 1.0 if kind == "whole stream" else 0.02 * math.sqrt(dose)
        share = power[kind] * removed
        return Intervention(
            recipient, given, kind, dose, dose == 32, float(dose), 2 if "random" in kind else 1,
            removed, m(share, 0.03), m(0.5 * share, 0.02), m(0.3 * removed, 0.02),
            m(0.2 * removed, 0.02), m(0.9 * share, 0.03),
        )  # fmt: skip

    component = "other model's component"
    three = ("new", "base's own leading", "random, equal variance")
    interventions = [
        made("fitted", component, kind, dose) for dose in (1, 4, 16, 32, 128) for kind in three
    ]
    interventions += [made("fitted", "mean", "new", dose) for dose in (1, 4, 16, 32, 128)]
    for recipient in ("fitted", "base"):
        interventions.append(made(recipient, component, "random, equal number", 32))
        interventions.append(made(recipient, component, "whole stream", 576))
    profile = tuple(
        DepthEffect(
            layer, 0.01 * layer, layer, 0.005 * layer, m(0.004 * layer, 0.02),
            m(0.002 * layer, 0.02), m(0.006 * layer, 0.02),
        )
        for layer in (3, 10, 18, 25, 29)
    )  # fmt: skip
    texts = tuple(
        AblatedText(
            label, kind, count, m(ttr, 0.03), m(0.9 - 1.45 * ttr, 0.03), m((0.582 - ttr) / 0.358),
            text + "".join(make.text(16, not kind)),
        )
        for label, kind, count, ttr, text in (
            ("base", "", 0, 0.224, HOSTILE[0]),
            ("fitted", "", 0, 0.582, HOSTILE[1]),
            ("fitted without new directions", "new", 32, 0.5, HOSTILE[2]),
        )
    )  # fmt: skip
    return NewDimensionsResult(
        "resid.29", "block 29", 576, 12, 1140, 192, 252, 320, 0.31, 32, 0.155,
        m(0.685, 0.03), m(0.44, 0.03), m(0.1, 0.02), m(0.04, 0.03), m(-0.02, 0.03),
        m(0.21, 0.09), tuple(interventions), profile, texts, 4000,
    )  # fmt: skip


def claims(make: Maker) -> dict[str, Claim]:
    m = make.measured
    specs = {spec.id: spec for spec in registry.CLAIMS}
    figures = {
        "C1": {"ttr": m(0.358, 0.04), "rep_4": m(-0.564, 0.06)},
        "C2": {"remaining": m(0.797, 0.03), "diversity": m(0.23, 0.05)},
        "C3": {
            "remaining": m(0.83, 0.03), "unexplained": m(0.86, 0.02), "diversity": m(0.29, 0.05)
        },
        "C4": {"after_static": m(0.366, 0.02), "deep": m(0.21, 0.02), "halves": m(0.449, 0.03)},
        "C5": {"contrast": m(20.8, 9.5), "growth": m(102.5, 12.0)},
        "C6": {
            "recovered": m(0.069, 0.02), "contrast": m(-0.021, 0.02), "null": m(0.063, 0.02),
            "behaviour": missing("the stitched model wrote nothing <s>"),
        },
        "C7": {"share": m(0.74, 0.12)},
        "C13": {"margin": m(0.13, 0.02), "gain": m(0.199, 0.04)},
        "C8": {"copied": m(0.017, 0.006)},
        "C12": {
            "undone": m(0.1, 0.02), "random": m(0.04, 0.03), "leading": m(-0.02, 0.03),
            "diversity": m(0.21, 0.09),
        },
        "C10": {
            "fresh": m(-0.82, 0.3), "shocking": m(0.003, 0.005), "gain": m(0.69, 0.11),
            "distance": m(-1.6, 0.4),
        },
        "C11": {"change": m(-0.1, 0.04), "tasks": m(-0.02, 0.02)},
    }  # fmt: skip
    found = {name: verdict.judge(specs[name], rows) for name, rows in figures.items()}
    found["C9"] = verdict.not_tested(specs["C9"])
    return verdict.adjust({spec.id: found[spec.id] for spec in registry.by_id(registry.CLAIMS)})


def provenance() -> Provenance:
    def facts(name: str, role: str, trained: dict[str, object]) -> CheckpointFacts:
        return CheckpointFacts(
            name, role, "b5c3" * 16, "LlamaForCausalLM", 134_515_008, LAYERS, 576, 49152, trained
        )

    return Provenance(
        {"hyperinterp": "0.1.0", "torch": "2.13.0", "transformers": "5.23.0", "python": "3.11.2"},
        "0123abc", "2026-11-23T14:00:00+00:00", 0, "cpu", "float32", "standard",
        {"prompts": PROMPTS, "batch_size": 8, "seeds": 4, "alphas": [0.1, 0.25, 0.5, 1.0, 2.0]},
        (
            facts("SmolLM2-135M-Instruct", "base", {}),
            facts("runs/full <s>", "fitted", {"method": "full", "epochs": 25, "lr": 1e-4}),
            facts("runs/late-5", "late-stage", {"method": "late-stage", "blocks": "last:5"}),
        ),
        PromptFacts("assets/passages.jsonl", "ab12" * 16, PROMPTS, 1, 0, 2, 32, 128),
        {
            "diversity": 71.2, "temperature": 140.8, "static_bias": 98.1, "ranks": 44.6,
            "geometry": 61.3, "patching": 203.4, "sufficiency": 88.0, "quotation": 2.1,
        },
        {"base": 410, "fitted": 408, "stitched": 262},
        (
            "2 prompts also occur in the training text and were left out",
            "the late-stage twin's recorded loss is 0.08, the reference's 0.04 </script>",
        ),
    )  # fmt: skip


def training_curve(make: Maker) -> TrainingCurve:
    epochs = tuple(
        Epoch(
            number, 4 * number, 4.1 * 0.8**number, 4.2 + 0.1 * number if number % 2 else None,
            3.0 - 0.05 * number if number % 4 == 0 else None,
        )
        for number in range(1, 21)
    )  # fmt: skip
    return TrainingCurve(
        "runs/full <s>/training_log.jsonl", 4.14, 0.05, epochs, 80, 321.5, "target loss"
    )


def complete(seed: int = 0) -> Report:
    """Every block there, with hostile strings wherever text comes from a model or a user."""
    make = Maker(seed)
    return Report(
        SCHEMA_VERSION,
        claims(make),
        provenance(),
        {
            "diversity": diversity(make), "temperature": temperature(make),
            "static_bias": static_bias(make), "reranking": ranks(make),
            "expansion": geometry(make), "last_block": patching(make),
            "late_stage": sufficiency(make), "quotation": quotation(make),
            "control": control(make), "new_dimensions": new_dimensions(make),
            "quality": quality(make), "retention": retention(make), "placement": placement(make),
            "weights": made_looks.weights(make, HOSTILE[0]),
            "causes": made_looks.causes(make, HOSTILE[1]),
            "loops": made_looks.loops(make, HOSTILE[2]),
        },
        training_curve(make),
    )  # fmt: skip


def sparse(seed: int = 1) -> Report:
    """Only the ranks, without lens and on-policy text; everything else absent with a reason."""
    make = Maker(seed)
    block = RerankingResult(
        _contexts(make, "teacher-forced", 0.0), None, None, "no frequency table"
    )
    reasons = {
        name: f"not asked for (--claims C4) <s>{name}"
        for name in (
            "diversity", "temperature", "static_bias", "expansion", "last_block", "late_stage",
            "quotation", "control", "new_dimensions", "quality", "retention", "placement",
            "training_curve",
        )
    }  # fmt: skip
    found = {
        spec.id: verdict.not_tested(spec, "left out by --claims")
        for spec in registry.by_id(registry.CLAIMS)
    }
    return Report(SCHEMA_VERSION, found, provenance(), {"reranking": block}, absent=reasons)
