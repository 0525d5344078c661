from .corrected import (
    CorrectedModel as CorrectedModel,
)
from .corrected import (
    PreferredAlone as PreferredAlone,
)
from .data import (
    Judged as Judged,
)
from .data import (
    agreement_on as agreement_on,
)
from .data import (
    read_judged as read_judged,
)
from .network import (
    PreferenceModel as PreferenceModel,
)
from .network import (
    load_preference as load_preference,
)
from .settings import PreferenceConfig as PreferenceConfig
from .training import fit_preference as fit_preference
