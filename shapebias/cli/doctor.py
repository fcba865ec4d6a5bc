"""`shapebias doctor`."""

import json

from shapebias.cli.common import JsonOption, app, one_line_errors


@app.command(epilog="Example: shapebias doctor")
@one_line_errors
def doctor(as_json: JsonOption = False) -> None:
    """What this machine and terminal can do, and how to get what is missing."""
    from shapebias.doctor import diagnose, diagnosis_text

    facts = diagnose()
    print(json.dumps(facts, indent=1) if as_json else diagnosis_text(facts))
