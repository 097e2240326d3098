"""What the launch of a broadcast looks at, by hand: every prompt of a plan rendered and measured."""

import typer

from gateway.cli.common import run, show_table
from gateway.settings import Settings
from gateway.speech.prompts import Prompts
from gateway.voice.cases import given
from gateway.voice.dialplan import Plan
from gateway.workers.launch_check import Checked, launch_check


def sounds_good(plan: Plan, settings: Settings, category: str) -> bool:
    """Render a plan with samples for its variables, and tell whether people may be called so.

    Prints what was measured, and what is wrong. Raises SpeechUnavailable.
    """
    checked = run(_checked(plan, settings, category))
    rows = [
        (each.node, each.language, f"{each.seconds:.1f} s", f"{each.level_dbov:.1f} dBov") for each in checked.prompts
    ]
    typer.echo(f"{plan.name}, as it is heard:")
    show_table(("node", "language", "plays", "level"), rows)
    for problem in checked.problems:
        typer.echo(str(problem), err=True)
    return not checked.is_refused


async def _checked(plan: Plan, settings: Settings, category: str) -> Checked:
    prompts = Prompts(settings.folders.audio / "prompts", settings.data_dir / "audio")
    try:
        return await launch_check(
            plan, given(plan), prompts.of(""), longest_s=settings.launch.longest_prompt_s, category=category
        )
    finally:
        await prompts.close()
