"""Speech with motion, opened by name or by folder."""

from esarm_env.corpus.folder import FolderCorpus
from esarm_env.corpus.opening import CORPUS_NAMES, open_corpus
from esarm_env.corpus.splits import SPLITS, check_split

__all__ = ["CORPUS_NAMES", "SPLITS", "FolderCorpus", "check_split", "open_corpus"]
