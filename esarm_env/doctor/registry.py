"""Registry of health checks, in the order in which they are run."""

from __future__ import annotations

from gymnasium.vector import AutoresetMode

from esarm_env.doctor import contract, determinism, installation, storage, vectors
from esarm_env.doctor.check import Check

_INSTALL = "install the package again: `pip install --upgrade --force-reinstall esarm`"
_PACKAGES = "install packages in these ranges: `pip install --upgrade esarm`"
_PLUG_IN = "mend, update or uninstall the package that brings it"
_FRESH = "return new arrays and dictionaries from every call, for instance `array.copy()`"
_MINE = "mend the environment as the message says"

INSTALLATION_CHECKS: tuple[Check, ...] = (
    Check("Installation", "python", installation.check_python, "install another Python"),
    Check("Installation", "packages", installation.check_packages, _PACKAGES),
    Check("Installation", "extras", installation.check_extras, _INSTALL),
    Check("Installation", "head", installation.check_head, _INSTALL),
    Check("Installation", "registration", installation.check_registration, _INSTALL),
    Check("Installation", "reward plug-ins", installation.check_plug_ins, _PLUG_IN),
    Check("Files", "shipped files", storage.check_shipped, _INSTALL),
    Check(
        "Files",
        "cache folder",
        storage.check_cache_folder,
        "set ESARM_CACHE to a folder that can be written",
    ),
    Check("Files", "left-over drafts", storage.check_drafts, "look at the cache folder"),
    Check("Files", "cached arrays", storage.check_cached_files, "look at the cache folder"),
    Check(
        "Files",
        "rewards",
        installation.check_rewards,
        _PLUG_IN,
        needs=("shipped files", "cached arrays"),
    ),
)

ENVIRONMENT_CHECKS: tuple[Check, ...] = (
    Check(
        "Environment",
        "make",
        contract.check_make,
        "look at the id and at the arguments; a module that registers the id stands before it, "
        "as in `module:Name-v0`",
        needs=("registration", "shipped files"),
    ),
    Check("Environment", "gymnasium checker", contract.check_gymnasium, _MINE, ("make",)),
    Check("Environment", "passive checker", contract.check_passively, _MINE, ("make",)),
    Check("Environment", "sb3 checker", contract.check_stable_baselines3, _MINE, ("make",)),
    Check("Environment", "rendering", contract.check_rendering, _MINE, ("make",)),
    Check(
        "Environment",
        "determinism",
        determinism.check_determinism,
        "draw from `self.np_random` alone, and keep nothing from one episode to the next",
        needs=("make",),
    ),
    Check("Environment", "memory", determinism.check_memory, _FRESH, ("make", "determinism")),
    Check(
        "Environment",
        "replay",
        determinism.check_replay,
        "let `reset` set all that an episode depends on",
        needs=("make", "memory"),
    ),
    Check(
        "Environment",
        "spaces",
        contract.check_spaces,
        "widen the space or clip the observation, and cast it to the dtype of the space",
        needs=("make",),
    ),
    Check(
        "Environment",
        "episode end",
        contract.check_episode_end,
        "pay at the last token, with `terminated`, and without a limit of steps",
        needs=("make",),
    ),
    Check("Environment", "mistakes", contract.check_mistakes, _MINE, ("make",)),
    Check(
        "Environment",
        "pickling",
        determinism.check_pickling,
        "register an entry point and arguments that can be pickled and copied",
        needs=("make", "determinism"),
    ),
    *(
        Check(
            "Vector environment",
            mode.value,
            vectors.check_vector(mode),
            "mend the vector environment; the scalar one is the reference",
            needs=("make", "determinism"),
        )
        for mode in AutoresetMode
    ),
    Check(
        "Vector environment",
        "vector memory",
        vectors.check_vector_memory,
        _FRESH,
        needs=("make", "determinism", AutoresetMode.SAME_STEP.value),
    ),
    Check(
        "Vector environment",
        "sb3 view",
        vectors.check_sb3_view,
        "mend the vector environment; the scalar one is the reference",
        needs=("make", "determinism", AutoresetMode.SAME_STEP.value),
    ),
)
