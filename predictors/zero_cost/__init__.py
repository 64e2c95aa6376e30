"""Zero-cost proxies: scores of untrained networks from one batch of images, for any ``torch.nn.Module``.

White et al., 2022 (arXiv 2210.03230) compare them: parameters and multiply-accumulates alone are hard to beat, and
different proxies know different things. In all of them more is better, as far as a proxy is right.
"""

from predictors.zero_cost.az_nas import AZ_NAS
from predictors.zero_cost.batch import ProxyBatch, random_batch
from predictors.zero_cost.measurement import PROXIES, Proxy, measure
from predictors.zero_cost.ranking import rank_sum

__all__ = ["AZ_NAS", "PROXIES", "Proxy", "ProxyBatch", "measure", "random_batch", "rank_sum"]
