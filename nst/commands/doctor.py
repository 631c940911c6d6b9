"""`doctor`: what this machine can paint, how fast, and what is missing."""

import argparse
import contextlib
import json
from dataclasses import asdict
from typing import Any

from nst.commands.output import FAILED, quiet_tensorflow, write
from nst.machine import import_tensorflow


def add_to(commands: Any) -> None:
    parser = commands.add_parser("doctor", help="tell what this machine can paint, how fast, and what is missing")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each finding")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Write each finding as soon as it is known."""
    from nst.deploy import doctor
    from nst.page.studio import Studio

    code = 0

    def report(finding: doctor.Finding) -> int:
        if options.json:
            write(json.dumps(asdict(finding)))
        else:
            write(f"{finding.name:11} {finding.fact}" + (f"\n{'':11} → {finding.advice}" if finding.advice else ""))
        return FAILED if finding.fatal else 0

    for finding in doctor.check_machine():
        report(finding)
    with contextlib.suppress(Exception), quiet_tensorflow():
        import_tensorflow()
    for finding in doctor.check_painting(Studio()):
        code = report(finding) or code
    return code
