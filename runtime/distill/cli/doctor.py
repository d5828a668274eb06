"""`distill doctor`: what is installed here, whether it works, and what to do where it does not."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer


def doctor(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Model for the self-test; left out: the built-in one."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> int:
    """Look at this installation and try it out; say what to do about whatever is wrong.

    The exit code is 0, or that of the first thing that failed.

    Example: distill doctor
    """
    from distill.doctor import examine

    findings = examine(model)
    code = next((finding.code for finding in findings if finding.code), 0)
    if as_json:
        print(json.dumps({"ok": code == 0, "exit_code": code, "findings": [asdict(f) for f in findings]}, indent=1))
        return code
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        mark = "FAIL" if finding.code else "note" if finding.advice else "ok"
        print(f"{mark:<5}{finding.name:<{width}}  {finding.found}")
        if finding.advice:
            print(f"{'':<5}{'':<{width}}  -> {finding.advice}")
    print("\neverything works" if code == 0 else "\nsomething does not work: see FAIL above")
    return code
