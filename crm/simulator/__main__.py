"""python -m crm.simulator: the local provider server."""

import argparse
import sys
from pathlib import Path

from crm.simulator import generate
from crm.simulator.application import Options
from crm.simulator.corps import CORPS
from crm.simulator.server import serve


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop; 0, or 2 for bad arguments or a state file that cannot be read."""
    told = _parser().parse_args(arguments)
    options = Options(
        contacts=told.contacts,
        employees=told.employees,
        seed=told.seed,
        epoch=told.epoch,
        latency_ms=told.latency_ms,
        page_limit=told.page_limit,
        rate_limit=told.rate_limit,
        second_limit=told.second_limit,
        state=told.state,
    )
    try:
        serve(options, host=told.host, port=told.port, as_json=told.json, parent=told.with_parent)
    except (OSError, ValueError, LookupError) as error:
        print(f"simulator: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m crm.simulator",
        description="A local server that speaks the dialects of WeCom and DingTalk. Control page: http://HOST:PORT/_sim/",
        epilog=_credentials(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--host",
        default="127.0.0.1",
        help="address to bind (default: loopback; control calls have no password)",
    )
    add("--port", type=int, default=8801, help="0 picks a free port (default: 8801)")
    add("--contacts", type=_count, default=2000, metavar="N", help="total over the corps (default: 2000)")
    add("--employees", type=_count, default=20, metavar="M", help="total over the corps (default: 20)")
    add("--seed", type=int, default=1, metavar="S", help="the same seed makes the same world (default: 1)")
    add(
        "--epoch",
        type=int,
        default=generate.EPOCH,
        metavar="UNIX",
        help="relations are made in the two years before",
    )
    add("--latency-ms", type=float, default=0.0, metavar="L", help="every API answer waits this long")
    add(
        "--page-limit",
        type=_count,
        default=0,
        metavar="P",
        help="largest page of contact listings (0: as documented)",
    )
    add(
        "--rate-limit",
        type=_count,
        default=10_000,
        metavar="R",
        help="calls per minute, corp and API (0: no limit)",
    )
    add(
        "--second-limit",
        type=_count,
        default=20,
        metavar="R",
        help="calls per second, DingTalk app and API (0: no limit)",
    )
    add("--json", action="store_true", help="when listening, print one JSON line per corp")
    add("--state", type=Path, metavar="FILE", help="load the world from FILE if it exists, keep it there")
    add("--with-parent", type=int, metavar="PID", help=argparse.SUPPRESS)
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return number


def _credentials() -> str:
    lines = ["default credentials (fixed, worthless anywhere else):"]
    for spec in CORPS:
        secrets = {
            "app key": spec.app_key,
            "secret": spec.secret,
            "sync secret": spec.sync_secret,
            "callback token": spec.callback_token,
            "aes key": spec.aes_key,
        }
        lines.append(f"  {spec.dialect}: corpid {spec.corp}  agentid {spec.agentid}")
        lines += [f"    {name:<14} {value}" for name, value in secrets.items() if value]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
