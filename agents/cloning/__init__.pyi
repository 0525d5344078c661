from .cloning import BehaviourCloning as BehaviourCloning
from .config import CloneConfig as CloneConfig
from .demonstrations import Demonstrations as Demonstrations
from .trainer import CloneTrainer as CloneTrainer
