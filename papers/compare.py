"""The comparison of what was run: papers/comparison/<form>/{table.csv, table.md, metrics.json, page.html}.

python -m papers.compare --form FORM
"""

import argparse
import json
import sys
from pathlib import Path

from hemaloop.errors import PREFIX, HemaloopError
from hemaloop.files import write_atomically
from papers.page import to_html
from papers.rows import as_metrics, compare, read_folds, read_results
from papers.systems import FORMS, ROOT, read_reported, read_systems
from papers.table import to_csv, to_markdown

COMPARISON = ROOT / "papers" / "comparison"


def write_comparison(form: str, root: Path = ROOT / "papers") -> Path:
    """Raises: DataError: nothing has been run."""
    systems = read_systems()
    results = read_results(root / "results" / form)
    rows, folds = compare(systems, read_reported(), results), read_folds(results)
    folder = root / "comparison" / form
    files = {
        "table.csv": to_csv(rows),
        "table.md": to_markdown(rows, folds, systems, form),
        "metrics.json": json.dumps(as_metrics(rows), indent=1) + "\n",
        "page.html": to_html(rows, folds, systems, form, root / "work" / form),
    }
    for name, text in files.items():
        write_atomically(folder / name, text.encode())
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m papers.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--form", choices=FORMS, default="full", help="(default: %(default)s)")
    try:
        folder = write_comparison(parser.parse_args().form)
    except HemaloopError as error:
        sys.stderr.write(f"{PREFIX}{error}\n")
        sys.exit(error.exit_code)
    sys.stderr.write(f"wrote {folder.relative_to(ROOT)}: table.md, table.csv, metrics.json, page.html\n")


if __name__ == "__main__":
    main()
