"""What is loaded to read a scikit-learn pipeline."""

import json
import subprocess
import sys

CODE = """
import json, sys
from assets.trainers.skops_io import skops_io
skops_io()
torch = sorted(name for name in sys.modules if "torch" in name)
import sklearn.externals.array_api_compat
print(json.dumps([torch, "sklearn.linear_model" in sys.modules]))
"""


def test_a_pipeline_is_read_without_pytorch() -> None:
    said = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout
    assert json.loads(said) == [[], True]
