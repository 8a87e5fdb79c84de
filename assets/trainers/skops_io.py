"""skops, loaded without what it does not need.

Belongs here: the one way to import it. Does not belong here: which types it may build (`linear.py`, `estimator.py`).
"""

import sys
from types import ModuleType
from typing import Final

_OF_TORCH: Final = "sklearn.externals.array_api_compat.torch"
"""skops lists all estimators of scikit-learn, which walks through its packages; this one loads PyTorch."""


def skops_io() -> ModuleType:
    """`skops.io`; without PyTorch, which no pipeline of ours needs, it takes 5 s instead of 8 and 180 MB less."""
    is_to_be_left_out = not {_OF_TORCH, "skops.io"} & sys.modules.keys()
    if is_to_be_left_out:
        sys.modules[_OF_TORCH] = None  # type: ignore[assignment]  # Python's own way to say that there is none
    try:
        import skops.io
    finally:
        if is_to_be_left_out:
            sys.modules.pop(_OF_TORCH, None)
    module: ModuleType = skops.io
    return module
