from .data import (
    NaturalnessData as NaturalnessData,
)
from .data import (
    collect_naturalness as collect_naturalness,
)
from .data import (
    with_animations as with_animations,
)
from .heads import TwoHeadedModel as TwoHeadedModel
from .network import (
    NaturalnessModel as NaturalnessModel,
)
from .network import (
    load_naturalness as load_naturalness,
)
from .settings import NaturalnessConfig as NaturalnessConfig
from .tradeoff import (
    TradeOff as TradeOff,
)
from .tradeoff import (
    trade_off as trade_off,
)
from .training import (
    NaturalnessTrainer as NaturalnessTrainer,
)
from .training import (
    recordings_above as recordings_above,
)
