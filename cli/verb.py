"""Verbs: click's commands, made so that they can be run here and over SSH alike.

A verb has examples, speaks only through its desk, and answers `--help` there too. `run` gives an
exit status and one sentence for whatever went wrong: 0 done, 1 refused or failed, 2 bad input.
"""

import errno
import logging
from collections.abc import Sequence
from typing import Any, Final

import click

from bastion.errors import BastionError, single
from cli import mistakes
from cli.desk import Desk
from cli.phrases import gathered
from recorder import RecorderError

log = logging.getLogger(__name__)

SUBJECT: Final = "[program]"
"""Stands for the program's name in an example."""


class Verb(click.Command):
    """One command with its examples: command lines without the program's name."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:  # noqa: ANN401 (click's own)
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Over SSH, options that take several words have lost their quotes."""
        desk = ctx.find_object(Desk)
        if desk is not None and desk.identity is not None:
            args = gathered(args, *_options(self.get_params(ctx)))
        return super().parse_args(ctx, args)

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """`--help`, answered at the desk and not on this process's terminal."""
        return _help_option(super().get_help_option(ctx))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, as one would type them."""
        _write_examples(self.examples, ctx, formatter)


class Noun(click.Group):
    """A group of verbs, in their order. Without a verb it shows its help: a mistake of usage."""

    command_class = Verb

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:  # noqa: ANN401 (click's own)
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """`--help`, answered at the desk."""
        return _help_option(super().get_help_option(ctx))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in the order in which they were added: a story, not an alphabet."""
        return list(self.commands)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, as one would type them."""
        _write_examples(self.examples, ctx, formatter)


Noun.group_class = Noun


def run(command: click.Command, words: Sequence[str], desk: Desk) -> int:
    """The exit status of `command`, run with `words` at `desk`.

    Whatever goes wrong is said in a sentence; raises BrokenPipeError alone, when nobody listens.
    """
    try:
        with desk, command.make_context(desk.program, list(words), obj=desk) as context:
            try:
                command.invoke(context)
            finally:
                desk.say_what_is_broken()
    except click.exceptions.Exit as left:
        return left.exit_code
    except (KeyboardInterrupt, click.Abort):
        return 130
    except Exception as error:  # noqa: BLE001 (the last door: a sentence, never a traceback)
        return _answered(desk, single(error))
    return 0


def _options(params: Sequence[click.Parameter]) -> tuple[frozenset[str], frozenset[str]]:
    """The names of the options that take a phrase, and of all."""
    options = [each for each in params if isinstance(each, click.Option)]
    phrases = [each for each in options if getattr(each.type, "phrase", False)]
    every = {name for each in options for name in (*each.opts, *each.secondary_opts)}
    return frozenset(name for each in phrases for name in each.opts), frozenset(every)


def _answered(desk: Desk, error: Exception) -> int:
    """Say what went wrong, and give the exit status."""
    match error:
        case click.exceptions.NoArgsIsHelpError():
            desk.output.err(f"{error.format_message()}\n")
            return error.exit_code
        case click.ClickException():
            return _failed(desk, _usage(desk, error), error.exit_code)
        case BastionError():
            return _failed(desk, str(error), error.exit_status)
        case RecorderError():
            return _failed(desk, _capital(_sentence(str(error))), 1)
        case OSError():
            return _os_error(desk, error)
        case _:
            return _failed(desk, mistakes.keep(desk, error), 1)


def _os_error(desk: Desk, error: OSError) -> int:
    if error.errno == errno.EPIPE:
        raise error
    where = f"{error.filename}: " if error.filename else ""
    return _failed(desk, f"{where}{error.strerror or error}.", 1)


def _failed(desk: Desk, sentence: str, status: int) -> int:
    desk.output.note(f"{desk.program}: {sentence}")
    return status


def _usage(desk: Desk, error: click.ClickException) -> str:
    """click's message as a sentence, with where to read more."""
    context = getattr(error, "ctx", None)
    if not isinstance(context, click.Context):
        return _sentence(error.format_message())
    more = f"{context.command_path} --help"
    if desk.identity is not None:
        words = context.command_path.removeprefix(desk.program).split()
        more = " ".join([desk.program, "help", *words])
    return f"{_sentence(error.format_message())} See {more}."


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text if text.endswith((".", "?", ".)", "?)")) else f"{text}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _help_option(option: click.Option | None) -> click.Option | None:
    if option is not None:
        option.callback = _show_help
    return option


def _show_help(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    desk = ctx.find_object(Desk)
    if value and desk is not None and not ctx.resilient_parsing:
        desk.output.line(ctx.get_help())
        ctx.exit()


def _write_examples(
    examples: Sequence[str], ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    if not examples:
        return
    program = ctx.find_root().info_name
    with formatter.section("Examples" if len(examples) > 1 else "Example"):
        for example in examples:
            formatter.write(f"  {example.replace(SUBJECT, str(program))}\n")
