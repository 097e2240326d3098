"""`gateway simulate`: the far end to practise on, as a process of its own."""

from pathlib import Path
from typing import Annotated, Final

import typer

from gateway.cli.common import run
from gateway.practice import scripts
from gateway.practice.options import Options, help_texts

_HELP: Final = help_texts()
_DEFAULT: Final = Options()


def simulate(
    host: Annotated[str, typer.Option(help=_HELP["host"])] = _DEFAULT.host,
    port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help=_HELP["port"])] = _DEFAULT.port,
    sip_port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help=_HELP["sip_port"])
    ] = _DEFAULT.sip_port,
    account_sid: Annotated[str, typer.Option(help=_HELP["account_sid"])] = _DEFAULT.account_sid,
    auth_token: Annotated[str, typer.Option(help=_HELP["auth_token"])] = _DEFAULT.auth_token,
    inbound_url: Annotated[str, typer.Option(help=_HELP["inbound_url"])] = "",
    voice_url: Annotated[str, typer.Option(help=_HELP["voice_url"])] = "",
    gateway_sip: Annotated[str, typer.Option(help=_HELP["gateway_sip"])] = "",
    sip_username: Annotated[str, typer.Option(help=_HELP["sip_username"])] = "",
    sip_password: Annotated[str, typer.Option(help=_HELP["sip_password"])] = "",
    rate: Annotated[list[str] | None, typer.Option(metavar="NUMBER=RATE", help=_HELP["rates"])] = None,
    report_delay_s: Annotated[float, typer.Option(help=_HELP["report_delay_s"])] = _DEFAULT.report_delay_s,
    reply_delay_s: Annotated[float, typer.Option(help=_HELP["reply_delay_s"])] = _DEFAULT.reply_delay_s,
    pause_ms: Annotated[int, typer.Option(help=_HELP["pause_ms"])] = _DEFAULT.pause_ms,
    speed: Annotated[float, typer.Option(help=_HELP["speed"])] = _DEFAULT.speed,
    keyword_handling: Annotated[bool, typer.Option("--keyword-handling", help=_HELP["keyword_handling"])] = False,
    ledger_file: Annotated[Path | None, typer.Option(help=_HELP["ledger_file"])] = None,
    ready_file: Annotated[Path | None, typer.Option(help=_HELP["ready_file"])] = None,
    table: Annotated[bool, typer.Option("--table", help="Print what each number does, and exit.")] = False,
) -> None:
    """Run a far end to practise on: Twilio's REST API and webhooks, and a SIP phone, on this machine only.

    Point twilio.base_url and a trunk at it. The last four digits of a number decide what happens to a text or a call:
    see --table. It prints one JSON line with its ports when it listens, and stops on Ctrl-C or SIGTERM.
    """
    if table:
        typer.echo(scripts.table())
        return
    from gateway.practice import server  # noqa: PLC0415  it loads SIP and HTTP, which --help does not need

    options = Options(
        host=host,
        port=port,
        sip_port=sip_port,
        account_sid=account_sid,
        auth_token=auth_token,
        inbound_url=inbound_url,
        voice_url=voice_url,
        gateway_sip=gateway_sip,
        sip_username=sip_username,
        sip_password=sip_password,
        rates=tuple(rate or ()),
        report_delay_s=report_delay_s,
        reply_delay_s=reply_delay_s,
        pause_ms=pause_ms,
        speed=speed,
        keyword_handling=keyword_handling,
        ledger_file=ledger_file,
        ready_file=ready_file,
    )
    run(server.serve(options))
