"""The JSON schema of declarations, from which editors complete and check them: `use_case.schema.json` beside this.

Belongs here: writing it. Does not belong here: the fields (`schema.py`). Run this module after changing them:
`python -m pipelines.declared.json_schema`.
"""

import json
from pathlib import Path
from typing import Any, Final

from pipelines.declared.schema import UseCaseDeclaration

PATH: Final = Path(__file__).with_name("use_case.schema.json")


def json_schema() -> dict[str, Any]:
    """The schema, draft 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **UseCaseDeclaration.model_json_schema(by_alias=True),
    }


def text() -> str:
    """The schema as it is committed."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the file."""
    PATH.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
