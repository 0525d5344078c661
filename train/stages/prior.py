"""Stage 2: train the motion tokenizer, a VQ autoencoder.

One stage a file, called as its command: `esarm prior`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esarm_env.core.run_layout import TOKENIZER_WEIGHTS
from esarm_env.face.head import load_head
from esarm_env.task.opening import assemble_task, open_run_corpus, read_corpus_file
from esarm_env.tokenizer.training import TokenizerTrainer
from train.run.loop import drive

if TYPE_CHECKING:
    from train.run.run_folder import RunFolder


def run_prior(run: RunFolder) -> dict[str, Any]:
    """Train the VQ tokenizer on the training motion; measure its round trip on validation."""
    return run.perform("prior", lambda folder: _train(run, folder))


def _train(run: RunFolder, folder: Path) -> dict[str, Any]:
    corpus = open_run_corpus(run.path)
    trainer = _trainer(run)
    drive(
        trainer,
        folder,
        title="Motion prior",
        shown="loss",
        keep_checkpoint=True,
        elsewhere=partial(_trainer, run),
    )
    tokenizer = trainer.tokenizer.eval()
    tokenizer.save(folder / TOKENIZER_WEIGHTS)
    task = assemble_task(
        corpus, tokenizer, encoder=read_corpus_file(run.path)["encoder"], fetch=False
    )
    errors = task.errors(task.recorded(corpus.split("validation")))
    return {
        "n_tokens": tokenizer.n_tokens,
        "tokens_per_s": tokenizer.tokens_per_chunk * 30 / tokenizer.frames_per_chunk,
        **{f"validation_{name}_mm": float(value.mean()) for name, value in errors.items()},
    }


def _trainer(run: RunFolder) -> TokenizerTrainer:
    corpus = open_run_corpus(run.path)
    motions = [corpus[int(index)].motion for index in corpus.split("train")]
    return TokenizerTrainer(motions, load_head(), config=run.config.prior, seed=run.config.seed)
