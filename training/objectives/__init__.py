"""What reinforcement learning minimises, as pure functions of tensors that compose.

advantage (`advantages`) x token mask (`masks`) x loss (`losses`, `kernel`) x aggregation
(`aggregation`); `objective` puts them together. Rewards may be shaped before (`dsdr`, `shaping`),
groups chosen (`sampling`), the sampler's numerics corrected (`mismatch`), other terms added (`kl`,
`dsdr`). No models, rollouts or training loop: tensors in, tensors out.
"""

from mmreason.training.objectives.advantages import (
    gdpo_advantage,
    group_advantage,
    leave_one_out_advantage,
    zero_variance_share,
)
from mmreason.training.objectives.aggregation import Aggregation, aggregate, count
from mmreason.training.objectives.batch import NonFinite, TokenBatch, require_finite
from mmreason.training.objectives.diversity import (
    cited_evidence,
    embedding_diversity,
    unique_share,
)
from mmreason.training.objectives.dsdr import dsdr_entropy_loss, dsdr_reward, dsdr_shares
from mmreason.training.objectives.kernel import vespo, vespo_report, vespo_weight
from mmreason.training.objectives.kl import k1, k2, k3, k3r
from mmreason.training.objectives.losses import (
    TokenLoss,
    cispo,
    clipped,
    gmpo,
    gspo,
    gspo_token,
    reinforce,
    sapo,
)
from mmreason.training.objectives.masks import (
    StapoMask,
    candidate_entropies,
    entropy_threshold,
    stapo_mask,
    without_truncated,
)
from mmreason.training.objectives.mismatch import (
    icepop_weight,
    masked_weight,
    mismatch_report,
    truncated_weight,
)
from mmreason.training.objectives.objective import PUBLISHED, Objective, policy_loss
from mmreason.training.objectives.position_weights import position_weights
from mmreason.training.objectives.sampling import GroupFilter, keep_groups
from mmreason.training.objectives.shaping import (
    cheapness_bonus,
    overlong_penalty,
    temporal_contrast_bonus,
)

__all__ = [
    "PUBLISHED",
    "Aggregation",
    "GroupFilter",
    "NonFinite",
    "Objective",
    "StapoMask",
    "TokenBatch",
    "TokenLoss",
    "aggregate",
    "candidate_entropies",
    "cheapness_bonus",
    "cispo",
    "cited_evidence",
    "clipped",
    "count",
    "dsdr_entropy_loss",
    "dsdr_reward",
    "dsdr_shares",
    "embedding_diversity",
    "entropy_threshold",
    "gdpo_advantage",
    "gmpo",
    "group_advantage",
    "gspo",
    "gspo_token",
    "icepop_weight",
    "k1",
    "k2",
    "k3",
    "k3r",
    "keep_groups",
    "leave_one_out_advantage",
    "masked_weight",
    "mismatch_report",
    "overlong_penalty",
    "policy_loss",
    "position_weights",
    "reinforce",
    "require_finite",
    "sapo",
    "stapo_mask",
    "temporal_contrast_bonus",
    "truncated_weight",
    "unique_share",
    "vespo",
    "vespo_report",
    "vespo_weight",
    "without_truncated",
    "zero_variance_share",
]
