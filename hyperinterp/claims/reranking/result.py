"""The result of C4: whose token wins, from which base rank, with the logit lens."""

from dataclasses import dataclass

from hyperinterp.brief import Brief
from hyperinterp.claims.spec import Measured
from hyperinterp.drawing.result import Result


@dataclass(frozen=True)
class TokenShift:
    """A token that the fitted model promotes to the top (or demotes from it).

    Attributes:
        token: the token as text.
        token_id: its id.
        count: contexts in which it happened.
        median_rank: median rank of the token in the other model in these contexts.
        frequency_class: class of the token in the frequency table.
        example: one context in which it happened: the text before it.
    """

    token: str
    token_id: int
    count: int
    median_rank: float
    frequency_class: str
    example: str


@dataclass(frozen=True)
class ContextRanks(Brief):
    """Rank statistics over one kind of context.

    Attributes:
        contexts: "teacher-forced" or "on-policy".
        n_contexts: number of next-token decisions.
        override_rate: share of decisions where the fitted argmax is not the base's.
        after_static: share overridden by that and still overridden by scale * base + shift, the
            best context-free change on the other half of the prompts.
        deep_share: share of the overrides whose token has base rank > 10.
        buckets: decisions by base rank of the fitted argmax: 1, 2-10, 11-100, 101-1000, >1000.
        flow: tokens of the vocabulary by (base bucket, fitted bucket), summed over contexts.
        flow_contexts: contexts behind `flow`, `spearman`, `rbo` and `jaccard`.
        spearman: mean rank correlation of the two orderings of the vocabulary, over the contexts
            in which both models give more than one logit.
        rbo: mean rank-biased overlap (p = 0.9).
        jaccard: mean Jaccard similarity of the top k, per k.
        halves: override rate on the two random halves of the prompts; no interval in a half of
            one prompt.
        tied: decisions in which the base rank of the fitted argmax is an exact tie.
        near_ties: overrides whose base margin is below the precision of the logits.
        frequency_shift: mean log2 frequency of promoted minus demoted tokens.
        classes: promoted and demoted tokens per frequency class.
        promoted: tokens most often promoted.
        demoted: tokens most often demoted.
    """

    contexts: str
    n_contexts: int
    override_rate: Measured
    after_static: Measured
    deep_share: Measured
    buckets: tuple[int, ...]
    flow: tuple[tuple[int, ...], ...]
    flow_contexts: int
    spearman: Measured
    rbo: Measured
    jaccard: dict[str, Measured]
    halves: tuple[Measured, Measured]
    tied: int
    near_ties: int
    frequency_shift: Measured
    classes: dict[str, tuple[int, int]]
    promoted: tuple[TokenShift, ...]
    demoted: tuple[TokenShift, ...]


@dataclass(frozen=True)
class LensTrajectory(Brief):
    """Logit lens through both models for one override, for the report's figure.

    Attributes:
        prompt_id: which prompt.
        position: position of the context's last token.
        context: the text before the decision.
        base_token: the base's choice.
        fitted_token: the fitted model's choice.
        base_rank_of_fitted: per depth, rank of the fitted choice through the base's lens.
        fitted_rank_of_fitted: per depth, rank of the fitted choice through the fitted lens.
        fitted_rank_of_base: per depth, rank of the base's choice through the fitted lens.
    """

    prompt_id: str
    position: int
    context: str
    base_token: str
    fitted_token: str
    base_rank_of_fitted: tuple[int, ...]
    fitted_rank_of_fitted: tuple[int, ...]
    fitted_rank_of_base: tuple[int, ...]


@dataclass(frozen=True)
class LensProfile(Brief):
    """Overridden decisions followed through the depth of both models.

    Attributes:
        depths: labels of the depths (embedding, block 0, ...).
        n_contexts: overridden decisions followed.
        base_median_rank: per depth, median rank of the fitted choice through the base's lens.
        fitted_median_rank: per depth, the same through the fitted model's lens.
        overtake: per depth, number of decisions in which the fitted choice passes the base's
            choice there for good, through the fitted model's lens.
        never: decisions where it does not (rounding).
        trajectories: single decisions.
    """

    depths: tuple[str, ...]
    n_contexts: int
    base_median_rank: tuple[float, ...]
    fitted_median_rank: tuple[float, ...]
    overtake: tuple[int, ...]
    never: int
    trajectories: tuple[LensTrajectory, ...]


@dataclass(frozen=True)
class RerankingResult(Result):
    """Rank re-ordering, teacher-forced and on-policy.

    Attributes:
        teacher_forced: on the held-out passages.
        on_policy: on the fitted model's greedy generations; None when fewer than two of them
            have a token.
        lens: by depth; None when nothing was overridden.
        frequency_source: where token frequencies came from.
    """

    teacher_forced: ContextRanks
    on_policy: ContextRanks | None
    lens: LensProfile | None
    frequency_source: str
