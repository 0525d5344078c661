from .data import ConsensusData as ConsensusData
from .data import collect_consensus as collect_consensus
from .errors import ExpectedErrors as ExpectedErrors
from .network import ConsensusModel as ConsensusModel
from .settings import ConsensusConfig as ConsensusConfig
from .training import ConsensusTrainer as ConsensusTrainer
from .training import with_true_errors as with_true_errors
