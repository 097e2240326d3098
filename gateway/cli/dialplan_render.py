"""How plans sound: every prompt rendered and measured, as the launch of a broadcast does; or a call, as a WAV file.

Imported only when somebody wants to hear: it brings the speech engines along.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import typer

from gateway.carriers.voice_base import rendered
from gateway.cli.common import run, show_table
from gateway.media import wav
from gateway.settings import Settings
from gateway.speech.call_sound import sound_of
from gateway.speech.prompts import Prompts
from gateway.voice.cases import given
from gateway.voice.dialplan import Plan
from gateway.voice.transcript import Transcript
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


def heard(
    plan: Plan, variables: Mapping[str, str], entries: Sequence[str], settings: Settings
) -> tuple[Transcript, bytes]:
    """A call made in thought, and its sound as a WAV file. Raises SpeechUnavailable."""
    return run(_heard(plan, variables, entries, settings))


async def _heard(
    plan: Plan, variables: Mapping[str, str], entries: Sequence[str], settings: Settings
) -> tuple[Transcript, bytes]:
    prompts = Prompts(settings.folders.audio / "prompts", settings.data_dir / "audio")
    try:
        transcript, pcm = await sound_of(plan, variables, entries, partial(rendered, prompts.of("")))
        return transcript, wav.write(pcm)
    finally:
        await prompts.close()
