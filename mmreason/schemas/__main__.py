"""`python -m mmreason.schemas` writes the schema files anew, after a record has changed."""

from pathlib import Path

from mmreason.schemas.generate import as_text, schema_of
from mmreason.schemas.outputs import OUTPUTS

for output in OUTPUTS:
    path = Path(__file__).with_name(f"{output.name}.json")
    path.write_text(as_text(schema_of(output)), encoding="utf-8")
    print(path)
