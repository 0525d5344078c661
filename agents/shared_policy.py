"""A policy in a folder that is given to others, and on the Hugging Face Hub.

What `MotionTransformer.save_pretrained`, `from_pretrained` and `push_to_hub` do. It is no base
class of the network, whose module imports nothing of ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents.weights import check_tokenizer, load_policy, save_policy
from esarm_env.core.hub.courier import digest_of
from esarm_env.core.hub.shareable import POLICY, HasContentHash, Shareable
from esarm_env.core.run_layout import POLICY_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from agents.network.transformer import MotionTransformer


class SharedPolicy(Shareable):
    """A network as what is saved and pushed.

    Attributes:
        network: It.
    """

    shared_kind = POLICY

    def __init__(self, network: MotionTransformer) -> None:
        """Take a network."""
        self.network = network

    def write_shared(self, folder: Path) -> None:
        """Write the policy file."""
        save_policy(self.network, folder / POLICY_FILE)

    @classmethod
    def read_shared(
        cls,
        folder: Path,
        *args: Any,
        tokenizer: HasContentHash | str | None = None,
        **more: Any,
    ) -> SharedPolicy:
        """Read the policy of a shared folder, which is that of `tokenizer` where one is given.

        Raises:
            InputError: If there is none, it is damaged, or it writes tokens of another tokenizer.
        """
        network = load_policy(folder)
        check_tokenizer(network, digest_of(tokenizer), name="tokenizer")
        return cls(network, *args, **more)

    def describe_shared(self) -> str:
        """Return a sentence on its sizes."""
        sizes = self.network.config
        return (
            "Policy of ESARM: a causal transformer that writes a face as motion tokens, "
            f"{sizes.n_layers} layers of width {sizes.width}, {sizes.tokens_per_chunk} tokens a "
            f"chunk out of {sizes.n_tokens} each."
        )

    def tokenizer_told(self) -> str | None:
        """Return the content hash of its tokenizer, where that was told."""
        return self.network.tokenizer_hash
