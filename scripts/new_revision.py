"""Write the next migration of the keeper's database: what `tables.py` has and the last one lacks.

Read it before you commit it: a renamed column looks like one dropped and one added.
"""

import argparse
import tempfile
from pathlib import Path

from alembic import command

from workdeed.chain.engines import make_engine, parse_url
from workdeed.chain.migrations import configuration, known_revisions, upgrade


def write(message: str) -> Path:
    """Compare a database of the newest revision with the models and return the file written."""
    number = f"{int(known_revisions()[0]) + 1:04}"
    config = configuration()
    config.set_main_option("file_template", "v%%(rev)s_%%(slug)s")
    with tempfile.TemporaryDirectory() as folder:
        engine = make_engine(parse_url(str(Path(folder) / "newest.sqlite")))
        with engine.begin() as connection:
            upgrade(connection)
            config.attributes["connection"] = connection
            made = command.revision(config, message, autogenerate=True, rev_id=number)
        engine.dispose()
    script = made[0] if isinstance(made, list) else made
    if script is None:
        raise SystemExit("message: no revision was written; see what Alembic said above")
    return Path(script.path)


def main() -> None:
    """Write it and say where it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("message", help='what changes, such as "Note the gas of each attempt"')
    print(write(parser.parse_args().message))


if __name__ == "__main__":
    main()
